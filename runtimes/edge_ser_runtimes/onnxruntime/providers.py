"""Execution providers of ONNX Runtime, by the names that users give them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from edge_ser.errors import DeviceError, unknown_name
from edge_ser.install import GPU_ONNXRUNTIME, pip_package
from edge_ser.libraries import import_library
from edge_ser_runtimes.tensorrt.cuda import Driver
from edge_ser_runtimes.tensorrt.kernel_cache import user_cache

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rtx": "the plugin of TensorRT for RTX",
}
_GPU_PACKAGE = f"run: {GPU_ONNXRUNTIME}"
_PLUGIN, _PLUGIN_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx", "onnxruntime-ep-nv-tensorrt-rtx"


def check_provider(provider: str | None) -> str:
    """The provider asked for; "cpu" where none is.

    Raises:
        UsageError: no such provider.
    """
    if provider is not None and provider not in PROVIDERS:
        raise unknown_name("provider", provider, PROVIDERS)
    return provider or "cpu"


def open_graph(ort: Any, graph: bytes | Path, options: Any, provider: str) -> Any:
    """An `onnxruntime.InferenceSession` that really has the provider.

    ONNX Runtime goes on without a provider that cannot start. Here that is an error: whoever asks
    for a GPU must not be given the CPU's time unknowingly.

    Args:
        ort: the module onnxruntime.
        graph: ONNX file, or its bytes.
        options: `onnxruntime.SessionOptions`.
        provider: a name in `PROVIDERS`.

    Raises:
        DeviceError: the provider is not in this ONNX Runtime, or did not start.
        LibraryError: the plugin is not installed, or does not load.
    """
    source = graph if isinstance(graph, bytes) else str(graph)
    if provider == "rtx":
        name = _add_plugin(ort, options)
        session = ort.InferenceSession(source, options, enable_fallback=0)
    else:
        name = PROVIDERS[provider]
        if provider != "cpu":
            _check_built_in(ort, provider)
        session = _open_built_in(ort, source, options, _with_options(provider))
    session.disable_fallback()  # releases that do not know the keyword above
    started = session.get_providers()
    if name not in started:
        raise DeviceError(
            f"provider {provider}",
            expected=f"{name} to start",
            found=f"{', '.join(started)} instead",
            advice="see ONNX Runtime's page on it for the CUDA and cuDNN it needs",
        )
    return session


def _open_built_in(ort: Any, source: bytes | str, options: Any, providers: list[Any]) -> Any:
    """A session; without the one fusion that some releases cannot run afterwards.

    ONNX Runtime 1.19 to 1.25 fuse a transposition into a float64 product, for which they have no
    kernel (onnxruntime#28136). Graphs written before edge-ser knew have such products.
    """
    settings = {"providers": providers, "enable_fallback": 0}
    try:
        return ort.InferenceSession(source, options, **settings)
    except Exception as error:  # the binding's exception classes are not exported
        if "FusedMatMul" not in str(error):
            raise
        disabled = ["MatmulTransposeFusion"]
        return ort.InferenceSession(source, options, disabled_optimizers=disabled, **settings)


def _check_built_in(ort: Any, provider: str) -> None:
    available = ort.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise DeviceError(
            f"provider {provider}",
            expected=f"an ONNX Runtime with {PROVIDERS[provider]}",
            found=", ".join(available),
            advice=_GPU_PACKAGE,
        )
    Driver()
    if hasattr(
        ort, "preload_dlls"
    ):  # finds CUDA and cuDNN that pip installed; prints what it lacks
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def _with_options(provider: str) -> list[Any]:
    """Providers in order of preference; what the first cannot run goes to the next."""
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})  # ten bits of mantissa are no float32
    if provider == "cuda":
        return [cuda, CPU]
    if provider == "tensorrt":
        folder = _kept("onnxruntime-tensorrt")
        engines = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        return [("TensorrtExecutionProvider", engines if folder else {}), cuda, CPU]
    return [CPU]


def _add_plugin(ort: Any, options: Any) -> str:
    """Register the plugin and choose its first GPU; returns its name."""
    advice = f"run: {pip_package(_PLUGIN_PACKAGE)}"
    plugin = import_library(_PLUGIN, "provider rtx", advice=advice)
    if not hasattr(ort, "register_execution_provider_library"):
        raise DeviceError(
            "provider rtx",
            expected="an ONNX Runtime that takes plugins",
            found=f"onnxruntime {ort.__version__}",
            advice=f"run: {pip_package('onnxruntime>=1.24')}",
        )
    Driver()
    name: str = plugin.get_ep_name()

    def devices() -> list[Any]:
        return [d for d in ort.get_ep_devices() if d.ep_name == name]

    try:
        if not devices():  # once in a process
            ort.register_execution_provider_library(name, plugin.get_library_path())
    except Exception as error:  # the binding's exception classes are not exported
        raise DeviceError(
            "provider rtx",
            expected=f"{_PLUGIN_PACKAGE} to load",
            found=str(error).splitlines()[0],
        ) from error
    gpus = devices()
    if not gpus:
        raise DeviceError(
            "provider rtx",
            expected="a GPU that TensorRT for RTX knows",
            found="none",
            advice="use --provider cuda or cpu",
        )
    folder = _kept("onnxruntime-rtx")
    options.add_provider_for_devices(gpus[:1], {"nv_runtime_cache_path": folder} if folder else {})
    return name


def _kept(name: str) -> str:
    """A folder for what a provider compiles; "" where none can be made."""
    folder = user_cache() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home: the provider compiles at every start
        return ""
    return str(folder)
