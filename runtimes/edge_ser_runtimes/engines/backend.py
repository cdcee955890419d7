"""Which TensorRT: the standard one (JetPack, data centre) or TensorRT for RTX.

Both have the same classes. Only the RTX one builds for GPUs that are not there; an engine of the
standard one is for the GPU it was built on.
"""

from __future__ import annotations

import ctypes
import importlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from edge_ser.bundle.engine import BackendName
from edge_ser.errors import MissingExtraError, UsageError, unknown_name
from edge_ser.host import nvidia_libraries
from edge_ser.install import JETSON_TENSORRT, pip_extra, pip_package
from edge_ser_runtimes.engines.devices import SMS, Device

BACKENDS: tuple[str, ...] = ("auto", *get_args(BackendName))
MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}
# The first whose parser reads opset 20 and whose networks are strongly typed as this needs it.
_OLDEST = (10, 3)
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Backend:
    """A TensorRT module that can build.

    Attributes:
        name: "rtx" or "tensorrt".
        module: imported.
        version: of it.
    """

    name: str
    module: Any
    version: str


def load_backend(name: str) -> Backend:
    """Import a TensorRT module.

    Args:
        name: "rtx" or "tensorrt".

    Raises:
        MissingExtraError: it is not installed.
        UsageError: older than 10.3.
    """
    try:
        module = importlib.import_module(MODULES[name])
        version = str(module.__version__)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise _missing(name, error) from error
    release = tuple(int(p) for p in version.split(".")[:2] if p.isdigit())
    if name == "tensorrt" and release < _OLDEST:
        raise UsageError(
            "TensorRT", expected="10.3 or newer (JetPack 6 or 7)", found=version,
            advice="upgrade JetPack, or use an onnx target",
        )  # fmt: skip
    return Backend(name, module, version)


def _missing(name: str, error: Exception) -> MissingExtraError:
    place = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    advice = (
        f"run: {pip_extra('trt')} (TensorRT for RTX: Linux and Windows on x86-64)"
        if name == "rtx"
        else f"run: {pip_package('tensorrt')}"
        if platform.machine() in ("x86_64", "AMD64")
        else f"on a Jetson JetPack brings it: sudo {JETSON_TENSORRT}, and make the "
        "virtual environment with --system-site-packages"
    )
    if not isinstance(error, ModuleNotFoundError):
        # an empty wheel, or one without its libraries, imports badly in several ways
        reason = (str(error).splitlines() or ["no reason given"])[0]
        advice = f"it does not load ({reason}); {advice}"
    return MissingExtraError("TensorRT", MODULES[name], "trt", f"{advice}; this is {place}")


def choose_backend(asked: str, devices: Sequence[Device]) -> BackendName:
    """Decide between the two modules for a set of devices.

    Args:
        asked: one of `BACKENDS`.
        devices: that the engine is for.

    Returns:
        "rtx" where that builds for all of them, else "tensorrt".

    Raises:
        UsageError: unknown name; RTX asked for a device that it does not build for; several
            devices of which some need the standard TensorRT.
    """
    if asked not in BACKENDS:
        raise unknown_name("--trt-backend", asked, BACKENDS)
    others = [d for d in devices if not d.sm.rtx]
    if asked == "rtx" and others:
        raise UsageError(
            f"--device {others[0].name}",
            expected="a GPU that TensorRT for RTX builds for: "
            f"{', '.join(s.name for s in SMS.values() if s.rtx)}",
            found=f"{others[0].sm.name} ({others[0].sm.generation})",
            advice="use --trt-backend tensorrt, which builds on the device itself",
        )
    standard = asked == "tensorrt" or bool(others)
    if standard and len({d.sm.name for d in devices}) > 1:
        raise UsageError(
            "--device",
            expected="one kind of GPU: a TensorRT engine is for the one it was built on",
            found=", ".join(d.name for d in devices),
            advice="export once for each",
        )
    return "tensorrt" if standard else "rtx"


def local_sm() -> str | None:
    """Compute capability of this machine's first GPU; None where there is no usable driver.

    Asked of the driver itself: TensorRT's own classes may end the process where there is none.
    """
    cuda = nvidia_libraries.load_first(nvidia_libraries.CUDA_NAMES)
    if cuda is None:
        return None
    count, device = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    if cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return None
        numbers.append(value.value)
    return f"sm{numbers[0]}{numbers[1]}"
