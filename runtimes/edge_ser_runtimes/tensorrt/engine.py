"""From the engine in a bundle to one that can run; every reason why not is said before it is tried.

The order is the point. The driver has been asked before anything here; then comes what can be read
without TensorRT, then what TensorRT can tell without loading, then the loading itself.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError, DeviceError, MissingExtraError
from edge_ser.install import RTX_TENSORRT
from edge_ser_runtimes.tensorrt.cuda import Driver, Gpu

MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}
_INSTALL = {
    "rtx": f"run: {RTX_TENSORRT}, or use --runtime onnx",
    "tensorrt": "install TensorRT's Python package (on a Jetson JetPack's python3-libnvinfer), or "
    "use --runtime onnx",
}
HEADER_BYTES = 64


@dataclass(frozen=True)
class EngineFile:
    """What the manifest says about the engine, as far as running it needs it.

    Attributes:
        name: of the engine in the bundle.
        path: of the engine.
        backend: "rtx" or "tensorrt".
        version: of the module that built it.
        sm: of the GPUs it was built for.
        advice: how to get an engine for this device.
    """

    name: str
    path: Path
    backend: str
    version: str
    sm: tuple[str, ...]
    advice: str

    @property
    def module(self) -> str:
        """Name of the Python module that runs it."""
        return MODULES[self.backend]


def engine_file_of(bundle: Bundle) -> EngineFile:
    """What the manifest says about the engine.

    Raises:
        BundleError: there is none.
        DeviceError: the bundle is one from which the engine is still to be built.
    """
    engine = bundle.manifest.engine
    advice = f"run: edge-ser build {bundle.root}"
    if engine is None:
        raise BundleError(
            bundle.root,
            expected="a record of the engine in its manifest",
            found="none",
            advice="export again",
        )
    if not engine.file:
        raise DeviceError(
            bundle.root,
            expected="an engine",
            found="what one is built from, on the device that runs it",
            advice=advice,
        )
    return EngineFile(
        engine.file,
        bundle.root / engine.file,
        engine.backend,
        engine.version,
        engine.sm,
        advice,
    )


def read_header(data: bytes, path: Path) -> str:
    """Version in the header of an engine of TensorRT for RTX.

    Bytes 0 to 3 are `vtrt`, 16 to 23 the size of the file, 24 to 27 the four parts of the version.
    Engines of TensorRT itself are not read: no machine was at hand to see one on.

    Raises:
        BundleError: no such header, or the file has another size than it says.
    """
    if len(data) < HEADER_BYTES or data[:4] != b"vtrt":
        raise BundleError(
            path,
            expected="an engine of TensorRT for RTX",
            found="another file",
            advice="export again",
        )
    (size,) = struct.unpack_from("<Q", data, 16)
    if size != len(data):
        raise BundleError(
            path,
            expected=f"the {size} bytes of its header",
            found=str(len(data)),
            advice="export again",
        )
    return ".".join(str(part) for part in data[24:28])


def check_device(file: EngineFile, gpu: Gpu) -> None:
    """Refuse an engine of other GPUs.

    Raises:
        DeviceError: this GPU is not among those it was built for.
    """
    if gpu.sm not in file.sm:
        raise DeviceError(
            file.path.name,
            expected=f"a GPU of {' or '.join(file.sm)}, which it was built for",
            found=f"{gpu.name}, {gpu.sm}",
            advice=file.advice,
        )


def load_module(file: EngineFile, driver: Driver) -> Any:
    """Import the TensorRT that the engine needs.

    Raises:
        MissingExtraError: it is not installed, or does not load.
        DeviceError: it is of another version than the engine, or needs a newer driver.
    """
    try:
        trt = importlib.import_module(file.module)
        module_version = str(trt.__version__)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        advice = _INSTALL[file.backend]
        if not isinstance(error, ModuleNotFoundError):
            # an empty wheel, or one without its libraries, imports badly in several ways
            reason = (str(error).splitlines() or ["no reason given"])[0]
            advice = f"it does not load ({reason}); {advice}"
        raise MissingExtraError("runtime trt", file.module, "trt", advice) from error
    needed = _cuda_major(file.module)
    if driver.version < (needed, 0):
        raise DeviceError(
            "CUDA driver",
            expected=f"CUDA {needed}, which {file.module} was made for",
            found=f"CUDA {driver.version[0]}.{driver.version[1]}",
            advice="update NVIDIA's driver, or use --runtime onnx",
        )
    # engines of TensorRT for RTX fit one release exactly; its builds differ in the fourth part
    parts = 4 if file.backend == "rtx" else 3
    built_by = file.version
    if module_version.split(".")[:parts] != built_by.split(".")[:parts]:
        raise DeviceError(
            file.path.name,
            expected=f"{file.module} {built_by}, which built it",
            found=f"{file.module} {module_version}",
            advice=file.advice,
        )
    return trt


def _cuda_major(module: str) -> int:
    """Major version of CUDA in the name of the installed package; 12, the oldest, if none says."""
    for major in (13, 12):
        try:
            importlib.metadata.distribution(f"{module}_cu{major}")
        except importlib.metadata.PackageNotFoundError:
            continue
        return major
    return 12


def new_log(trt: Any) -> Any:
    """A logger for TensorRT that keeps the last error, and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.error = message.splitlines()[0] if message else ""

    return Log()


def deserialize(file: EngineFile, trt: Any, data: bytes, runtime: Any, log: Any) -> Any:
    """Load the engine, after asking TensorRT for RTX whether it can be.

    Raises:
        DeviceError: it cannot run here.
    """
    if file.backend == "rtx":
        validity, diagnostics = runtime.get_engine_validity(data)
        if validity == trt.EngineValidity.INVALID:
            reasons = [
                name.lower().replace("_", " ")
                for name, flag in trt.EngineInvalidityDiagnostics.__members__.items()
                if int(diagnostics) & int(flag)
            ]
            raise DeviceError(
                file.path.name,
                expected="an engine that is valid on this GPU and driver",
                found=", ".join(reasons) or log.error or "an invalid one",
                advice=file.advice,
            )
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise DeviceError(
            file.path.name,
            expected=f"an engine that {file.module} {trt.__version__} can load",
            found=log.error or "that it cannot",
            advice=file.advice,
        )
    return engine
