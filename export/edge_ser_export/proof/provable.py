"""Which runtimes a bundle can be proved in beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ser.bundle.target_kind import kind_of
from edge_ser.errors import MissingExtraError, UsageError, did_you_mean
from edge_ser.host.packages import is_installed
from edge_ser_export.targets import Target
from edge_ser_runtimes.registry import ALWAYS_PROVED, RUNTIMES, proving_runtimes


def check_runtimes(names: Sequence[str], target: Target, recipe: str) -> None:
    """Refuse runtimes that a bundle cannot be proved in here.

    Args:
        names: of runtimes.
        target: of the export.
        recipe: of INT8.

    Raises:
        UsageError: no runtime that computes on a CPU, or one that runs another target or recipe.
        MissingExtraError: its library is not installed.
    """
    provable = proving_runtimes()
    for name in names:
        if name not in provable:
            raise UsageError(
                "--runtime",
                expected=f"{' or '.join(provable)} ({ALWAYS_PROVED} is always used)",
                found=f"{name!r:.40}",
                advice=did_you_mean(name, provable),
            )
        runtime = RUNTIMES[name]
        if kind_of(target.name) not in runtime.kinds:
            raise UsageError(
                f"--runtime {name}",
                expected=f"an {' or '.join(runtime.kinds).upper()} target beside it",
                found=f"--target {target.name}",
            )
        if recipe == "dynamic" and runtime.constant_scales:
            raise UsageError(
                f"--runtime {name}",
                expected=f"--recipe static or auto: {name} measures dynamic scales otherwise than "
                "ONNX Runtime, and the answers with them",
                found="--recipe dynamic",
            )
        if not any(is_installed(library) for library in runtime.libraries):
            raise MissingExtraError(f"--runtime {name}", runtime.libraries[0], runtime.extra)
