"""What ONNX Runtime can do here, and which of the ONNX targets run."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable

from edge_ser.errors import LibraryError
from edge_ser.host.child import code_command
from edge_ser.host.finding import Finding
from edge_ser.host.offline import import_onnxruntime
from edge_ser.host.packages import version
from edge_ser.host.survey import Survey
from edge_ser.install import pip_package

_IMPORT = "from edge_ser.host.offline import import_onnxruntime; import_onnxruntime()"


def diagnose(survey: Survey) -> Iterable[Finding]:
    """Its version and providers, then a line a target.

    Args:
        survey: this machine.
    """
    try:
        _check_import()
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
    runs = "runs and exports here" if survey.exports else "runs here"
    yield Finding("target", "onnx-fp32", "ok", runs)
    yield Finding(
        "target", "onnx-fp16", "ok", f"{runs}; half the file, computed in float32 on a CPU"
    )
    if survey.integers == "x86-vnni":
        yield Finding("target", "onnx-int8", "ok", runs)
    else:
        yield Finding(
            "target", "onnx-int8", "advice", runs,
            "made for this processor only: give --cpu "
            f"{survey.integers or 'of the device'} when it is exported elsewhere",
        )  # fmt: skip


def _check_import() -> None:
    """Import ONNX Runtime in a child first, as some of its releases end the process.

    1.21.0 does by an illegal instruction on a Raspberry Pi 4 (onnxruntime#23957), 1.32 by a
    segmentation fault where it does not know an Arm processor's part number.

    Raises:
        LibraryError: it does here.
    """
    try:
        child = subprocess.run(code_command(_IMPORT), capture_output=True, check=False)
    except OSError:  # no child can be started: it is imported here, as every command does
        return
    if child.returncode < 0:  # other failures are told better by the import itself
        raise LibraryError(
            "runtime onnx",
            expected="onnxruntime to load",
            found=f"importing onnxruntime {version('onnxruntime')} ends the process with "
            f"{signal.Signals(-child.returncode).name}",
            advice=f"install another version: {pip_package('onnxruntime>=1.22')}",
        )
