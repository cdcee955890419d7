"""What ONNX Runtime can do here, and which of the ONNX targets run."""

from __future__ import annotations

from collections.abc import Iterable

from edge_ser.errors import LibraryError
from edge_ser.host.finding import Finding
from edge_ser.host.offline import import_onnxruntime
from edge_ser.host.survey import Survey


def diagnose(here: Survey) -> Iterable[Finding]:
    """Its version and providers, then a line a target.

    Args:
        here: this machine.
    """
    try:
        library = import_onnxruntime()
    except LibraryError as error:
        yield Finding("runtime", "onnx", "missing", error.found, error.advice)
        for target in ("onnx-fp32", "onnx-fp16", "onnx-int8"):
            yield Finding("target", target, "missing", "onnxruntime cannot be used")
        return
    every = [p.removesuffix("ExecutionProvider") for p in library.get_available_providers()]
    providers = [p for p in every if p != "Azure"]  # it asks a service, and computes nothing
    yield Finding(
        "runtime", "onnx", "ok", f"ONNX Runtime {library.__version__}, {', '.join(providers)}"
    )
    runs = "runs and exports here" if here.exports else "runs here"
    yield Finding("target", "onnx-fp32", "ok", runs)
    yield Finding(
        "target", "onnx-fp16", "ok", f"{runs}; half the file, computed in float32 on a CPU"
    )
    if here.integers == "x86-vnni":
        yield Finding("target", "onnx-int8", "ok", runs)
    else:
        yield Finding(
            "target", "onnx-int8", "advice", runs,
            "made for this processor only: give --cpu "
            f"{here.integers or 'of the device'} when it is exported elsewhere",
        )  # fmt: skip
