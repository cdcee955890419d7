"""The inference libraries, imported so that they contact nobody.

ONNX Runtime 1.32 and later, and OpenVINO's Python package, report their use to their makers and
keep an identifier of the machine in the user's home. A recogniser of emotions on a device does
neither: whatever here needs one of the two libraries imports it by these functions.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from edge_ser.libraries import import_library

_OPENVINO_TELEMETRY = "openvino_telemetry"


def import_onnxruntime(module: str = "onnxruntime") -> Any:
    """ONNX Runtime, or one of its modules, without its telemetry.

    The variable that turns it off is read once, as the library loads, and is set in the environment
    of this process for that reason: children have it, too. Where someone else has loaded the
    library before, what it still lets one turn off is turned off.

    Args:
        module: "onnxruntime", or a name below it, such as "onnxruntime.quantization".

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it is, and does not load.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    loaded: Any = sys.modules.get("onnxruntime")
    if hasattr(loaded, "disable_telemetry_events"):
        loaded.disable_telemetry_events()
    return import_library(module, "runtime onnx")


def import_openvino() -> Any:
    """OpenVINO, without its telemetry.

    Its package falls back to a stand-in that does nothing where the package of its telemetry is not
    installed, and so does it here: that package is hidden while OpenVINO is imported, no longer, as
    other libraries of the caller's may need it.

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it is, and does not load.
    """
    with _telemetry_hidden():
        return import_library("openvino", "runtime openvino", extra="openvino")


def import_nncf() -> Any:
    """NNCF, OpenVINO's quantiser, which benchmarks compare with, without its telemetry.

    It reports by the same package as OpenVINO, and has a stand-in for it as well.

    Raises:
        ImportError: it is not installed.
    """
    with _telemetry_hidden():
        return importlib.import_module("nncf")


@contextlib.contextmanager
def _telemetry_hidden() -> Iterator[None]:
    modules: dict[str, Any] = sys.modules
    absent = object()
    hidden = modules.get(_OPENVINO_TELEMETRY, absent)
    modules[_OPENVINO_TELEMETRY] = None  # what Python takes for "not installed"
    try:
        yield
    finally:
        if hidden is absent:
            del modules[_OPENVINO_TELEMETRY]
        else:
            modules[_OPENVINO_TELEMETRY] = hidden
