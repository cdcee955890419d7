"""Whether each runtime of the registry runs on this machine, as the runtime itself says."""

from __future__ import annotations

from collections.abc import Iterable

from edge_ser.bundle.bundle import Bundle
from edge_ser.host.finding import Finding
from edge_ser.host.packages import is_installed, version
from edge_ser.host.survey import Survey
from edge_ser.install import pip_extra, pip_package
from edge_ser_runtimes.registry import RUNTIMES, Runtime, load_part


def diagnose(survey: Survey) -> Iterable[Finding]:
    """What every runtime says of this machine.

    A runtime that cannot even be diagnosed has a line that says why; the others have theirs.

    Args:
        survey: this machine.
    """
    for runtime in RUNTIMES.values():
        try:
            yield from _findings(runtime, survey)
        except Exception as error:  # of a library that anyone may have brought
            lines = str(error).splitlines()
            yield Finding(
                "runtime", runtime.name, "fails",
                f"its diagnosis ended with {type(error).__name__}: {lines[0] if lines else ''}",
                f"install its libraries again: {_install(runtime)}",
            )  # fmt: skip


def misfits(bundle: Bundle, survey: Survey, words_said: str = "") -> str:
    """What does not fit between a bundle and this machine, as the runtimes say.

    Args:
        bundle: of any target.
        survey: this machine.
        words_said: what the user was told already.
    """
    ask = [load_part(runtime.misfit) for runtime in RUNTIMES.values() if runtime.misfit]
    words = [misfit(bundle, survey, words_said) for misfit in ask]
    return "; ".join(filter(None, words))


def _findings(runtime: Runtime, survey: Survey) -> list[Finding]:
    if runtime.diagnose:
        return list(load_part(runtime.diagnose)(survey))
    present = [library for library in runtime.libraries if is_installed(library)]
    if present:
        versions = ", ".join(f"{m} {version(m) or 'of unknown version'}" for m in present)
        return [Finding("runtime", runtime.name, "ok", versions)]
    absent = " nor ".join(runtime.libraries)
    return [Finding("runtime", runtime.name, "missing", f"no {absent}",
                    f"only for --runtime {runtime.name}: {_install(runtime)}")]  # fmt: skip


def _install(runtime: Runtime) -> str:
    return pip_extra(runtime.extra) if runtime.extra else pip_package(runtime.libraries[0])
