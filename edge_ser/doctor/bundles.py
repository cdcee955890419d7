"""Does a bundle run here? It is opened, and answers its recorded utterances."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from edge_ser.bundle.bundle import Bundle
from edge_ser.doctor.examine import Finding, Machine
from edge_ser.doctor.tensorrt import INSTALL_TENSORRT
from edge_ser.errors import EdgeSerError
from edge_ser.install import RTX_TENSORRT
from edge_ser.session import Session
from edge_ser.verify import verify

# backend of an engine -> its module, how to get it, and how many parts of the version must be
# the same for it to load, as the runtime has it
_BACKENDS = {
    "rtx": ("tensorrt_rtx", RTX_TENSORRT, 4),
    "tensorrt": ("tensorrt", INSTALL_TENSORRT, 3),
}


def check_bundle(
    bundle: Bundle, name: str, here: Machine, open_session: Callable[[Bundle], Session]
) -> Finding:
    """Open a bundle as a user would, and compare its answers with the recorded ones.

    Args:
        bundle: whose files are as recorded.
        name: by which it was asked for.
        here: this machine.
        open_session: of the registry of runtimes.
    """
    target = bundle.manifest.target
    # weights are in memory at least once; to run out of it would take this process along
    if here.free_bytes is not None and bundle.size_bytes > here.free_bytes:
        return Finding(
            "bundle", name, "fails",
            f"{target}: {bundle.size_bytes / 1e9:.2f} GB of weights, "
            f"{here.free_bytes / 1e9:.2f} GB of memory free",
            "use a smaller model, or --target onnx-int8",
        )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            results = verify(bundle, open_session(bundle))
        except EdgeSerError as error:
            why = f"{target}: {error.subject}: expected {error.expected}, found {error.found}"
            advice = "; ".join(
                filter(None, [error.advice, _engine_advice(bundle, here, error.advice)])
            )
            return Finding("bundle", name, "fails", _one_line(why), _one_line(advice))
    limits = bundle.manifest.limits
    failures = [f"{group}: {f}" for group, r in results.items() for f in r.failures(limits)]
    if failures:
        return Finding(
            "bundle", name, "fails", f"{target}: answers differ: {'; '.join(failures)}",
            _one_line(_wrong_answers(bundle, here)),
        )  # fmt: skip
    worst = max(r.vad_max for r in results.values())
    count = max(r.count for r in results.values())
    found = f"{target}: {count} recorded answers, VAD within {worst:.1e}"
    # a runtime that stands in for another, or integers made for another processor, say so
    told = [_one_line(str(w.message)) for w in caught if w.category is UserWarning]
    advice = "; ".join([*told, *([_engine_advice(bundle, here, " ".join(told))] if told else [])])
    return Finding("bundle", name, "advice" if told else "ok", found, advice.strip("; "))


def _wrong_answers(bundle: Bundle, here: Machine) -> str:
    lowered = bundle.manifest.lowered
    made_for = lowered.cpu.name if lowered is not None and lowered.cpu is not None else None
    if made_for and here.integers and made_for != here.integers:
        return f"export again with --cpu {here.integers}: it was made for {made_for}"
    return _engine_advice(bundle, here) or "do not use it on this device; export again"


def _engine_advice(bundle: Bundle, here: Machine, told: str = "") -> str:
    """What does not fit between a TensorRT engine and this machine, beyond what is told already."""
    engine = bundle.manifest.engine
    if engine is None:
        return ""
    advice = []
    module, install, parts = _BACKENDS[engine.backend]
    there = here.tensorrt.modules.get(module)
    if there is None:
        advice.append(f"it needs the module {module}: {install}")
    built, made_by = bool(engine.file), engine.version
    if not built and "edge-ser build" not in told:
        advice.append(f"it has no engine yet: run edge-ser build {bundle.root}")
    # a module without a package, as from a tar file, has a version that is not known here
    elif built and there and there[0].isdigit() and _first(there, parts) != _first(made_by, parts):
        advice.append(f"it was built by {module} {made_by}, here is {there}")
    gpus = [g.sm_name for g in here.driver.gpus]
    if not gpus:
        advice.append("it needs a GPU of NVIDIA's: use an onnx target here")
    elif built and not set(engine.sm) & set(gpus):
        advice.append(f"it was built for {', '.join(engine.sm)}, here is {gpus[0]}: build it here")
    return "; ".join(advice)


def _first(version: str, parts: int) -> list[str]:
    return version.split(".")[:parts]


def _one_line(text: str) -> str:
    return " ".join(text.split())
