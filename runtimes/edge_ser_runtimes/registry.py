"""Which runtimes there are, and how one is opened."""

from __future__ import annotations

import importlib
import itertools
import sys
import warnings
from typing import Any, cast

from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError, DeviceError, MissingExtraError, UsageError
from edge_ser.session import Session

# name -> (module:class, prefixes of the targets it runs); loaded only when asked for. Of several
# that run a target, "auto" takes the first that can run here.
RUNTIMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "trt": ("edge_ser_runtimes.tensorrt.session:TrtSession", ("trt-",)),
    "onnx": ("edge_ser_runtimes.onnxruntime.session:OrtSession", ("onnx-", "trt-")),
    "openvino": ("edge_ser_runtimes.openvino:OpenVinoSession", ("onnx-",)),
}
# never chosen by "auto": for one who has measured that it is faster
ON_REQUEST = {"openvino"}
# modules of which one computes for the runtime
_LIBRARIES = {
    "trt": ("tensorrt", "tensorrt_rtx"),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}
# option -> runtime that has it
OPTIONS = {"provider": "onnx", "cuda_graphs": "trt"}


def open_session(
    bundle: Bundle,
    runtime: str = "auto",
    threads: int | None = None,
    provider: str | None = None,
    cuda_graphs: bool = False,
) -> Session:
    """Open a bundle.

    Args:
        bundle: verified model.
        runtime: a name in `RUNTIMES`, or "auto": the first that runs the bundle's target and has
            the options asked for. Where that one cannot run on this device, the next one does, and
            a warning says why.
        threads: for the computation; None: the runtime's own choice.
        provider: of the runtime onnx: see `edge_ser_runtimes.onnxruntime.session.OrtSession`.
        cuda_graphs: of the runtime trt: see `edge_ser_runtimes.tensorrt.session.TrtSession`.

    Raises:
        UsageError: no such runtime or option, or none for the target.
        MissingExtraError: the runtime's library is not installed.
        DeviceError: this device cannot run it.
    """
    if threads is not None and threads < 1:
        raise UsageError("threads", expected="at least 1", found=str(threads))
    given: dict[str, Any] = {"provider": provider, "cuda_graphs": cuda_graphs or None}
    options = {name: value for name, value in given.items() if value is not None}
    target = bundle.manifest.target
    fitting = runtimes_of(target)
    names = ", ".join(RUNTIMES)
    if runtime == "auto":
        if not fitting:
            raise UsageError(
                bundle.root,
                expected=f"a target that a runtime here can run ({names})",
                found=target,
                advice="upgrade edge-ser",
            )
        usual = usual_runtimes_of(target)
        able = [n for n in usual if all(OPTIONS[option] == n for option in options)]
        return _first_that_opens(bundle, able or usual[:1], threads, options)
    if runtime not in RUNTIMES:
        raise UsageError("runtime", expected=f"auto or one of {names}", found=runtime)
    if runtime not in fitting:
        raise UsageError("runtime", expected=f"one that runs {target}", found=runtime)
    return _open(bundle, runtime, threads, options)


def runtimes_of(target: str) -> list[str]:
    """Names of what runs a target."""
    return [n for n, (_, prefixes) in RUNTIMES.items() if target.startswith(prefixes)]


def usual_runtimes_of(target: str) -> list[str]:
    """What "auto" chooses from, best first."""
    return [n for n in runtimes_of(target) if n not in ON_REQUEST]


def describe(session: Session) -> str:
    """A session's runtime and the library behind it, such as `onnx (onnxruntime 1.31.1)`."""
    place = f"{type(session).__module__}:{type(session).__name__}"
    name = next((n for n, (where, _) in RUNTIMES.items() if where == place), None)
    if name is None:
        return type(session).__name__
    loaded = [(m, sys.modules[m]) for m in _LIBRARIES[name] if m in sys.modules]
    libraries = [
        f"{m} {getattr(module, '__version__', 'of unknown version')}" for m, module in loaded
    ]
    return f"{name} ({', '.join(libraries)})" if libraries else name


def _first_that_opens(
    bundle: Bundle, runtimes: list[str], threads: int | None, options: dict[str, Any]
) -> Session:
    for name, following in itertools.pairwise(runtimes):
        try:
            return _open(bundle, name, threads, options)
        except (DeviceError, MissingExtraError, BundleError) as error:
            # 4: whoever called edge_ser.load
            warnings.warn(f"runtime {following} instead of {name}: {error}", stacklevel=4)
    return _open(bundle, runtimes[-1], threads, options)


def _open(bundle: Bundle, runtime: str, threads: int | None, options: dict[str, Any]) -> Session:
    for option in options:
        if OPTIONS[option] != runtime:
            raise UsageError(
                option.replace("_", " "),
                expected=f"runtime {OPTIONS[option]}, which has it",
                found=f"runtime {runtime}",
            )
    module, name = RUNTIMES[runtime][0].split(":")
    session = getattr(importlib.import_module(module), name)
    return cast(Session, session(bundle, threads, **options))
