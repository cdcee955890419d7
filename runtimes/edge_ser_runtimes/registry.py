"""Which runtimes there are, and how one is opened."""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Any, cast

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.target_kind import kind_of
from edge_ser.errors import (
    BundleChangedError,
    BundleError,
    DeviceError,
    LibraryError,
    UsageError,
    unknown_name,
)
from edge_ser.host.cpu import usable_cores
from edge_ser.host.threads import choose_threads
from edge_ser.install import pip_extra
from edge_ser.session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """What there is to know of a runtime before it is loaded.

    Attributes:
        name: that users give.
        session: module:class, imported when it is asked for.
        words: which bundles it runs and when to choose it, for people.
        kinds: of targets that it runs; see `edge_ser.bundle.target_kind`.
        libraries: modules of which one computes.
        extra: of this package, that brings them; "" where they come without one.
        options: of `open_session` that it alone has.
        on_request: never chosen by "auto": for one who has measured that it is faster.
        on_cpu: whether it computes on the processor, unless an option says otherwise.
        int8_floats: types that it may compute the rest of an INT8 bundle in, the faster first; its
            session's `precision` says which it is, as not every processor has them.
        constant_scales: whether it runs INT8 only where no scale is measured in the run.
        diagnose: module:function, from a `Survey` of this machine to its `Finding`s: whether it
            runs here, and what of its targets does; "": whether its libraries are installed.
        misfit: module:function, from a bundle, a `Survey` and what was said already to words: what
            does not fit between the two, "" for bundles of others; "": its own errors say it.
    """

    name: str
    session: str
    words: str
    kinds: tuple[str, ...]
    libraries: tuple[str, ...]
    extra: str = ""
    options: tuple[str, ...] = ()
    on_request: bool = False
    on_cpu: bool = True
    int8_floats: tuple[str, ...] = ("f32",)
    constant_scales: bool = False
    diagnose: str = ""
    misfit: str = ""


# Of several that run a target, "auto" takes the first that can run here.
RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            "trt",
            session="edge_ser_runtimes.tensorrt.session:TrtSession",
            words="`trt-*`: the engine, on the first GPU (`CUDA_VISIBLE_DEVICES` says which that "
            "is)",
            kinds=("trt",),
            libraries=("tensorrt", "tensorrt_rtx"),
            extra="trt",
            options=("cuda_graphs",),
            on_cpu=False,
            diagnose="edge_ser_runtimes.tensorrt.diagnosis:diagnose",
            misfit="edge_ser_runtimes.tensorrt.diagnosis:misfit",
        ),
        Runtime(
            "onnx",
            session="edge_ser_runtimes.onnxruntime.session:OrtSession",
            words="every bundle: `onnx-*`, and of `trt-*` the graph that was proved beside the "
            "engine",
            kinds=("onnx", "trt"),
            libraries=("onnxruntime",),
            options=("provider",),
            diagnose="edge_ser_runtimes.onnxruntime.diagnosis:diagnose",
        ),
        Runtime(
            "openvino",
            session="edge_ser_runtimes.openvino:OpenVinoSession",
            words="`onnx-*`: faster for large INT8 models where there is bfloat16; never chosen by "
            "`auto`",
            kinds=("onnx",),
            libraries=("openvino",),
            extra="openvino",
            on_request=True,
            int8_floats=("bf16", "f32"),
            constant_scales=True,
            diagnose="edge_ser_runtimes.openvino:diagnose",
        ),
    )
}

# an export proves every bundle in it
ALWAYS_PROVED = "onnx"


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
        threads: for the computation; None: see `edge_ser.host.threads.choose_threads`.
        provider: of the runtime onnx: see `edge_ser_runtimes.onnxruntime.session.OrtSession`.
        cuda_graphs: of the runtime trt: see `edge_ser_runtimes.tensorrt.session.TrtSession`.

    Raises:
        UsageError: no such runtime or option, or none for the target.
        MissingExtraError: the runtime's library is not installed.
        LibraryError: it is, and does not load.
        DeviceError: this device cannot run it.
    """
    threads = choose_threads(threads)
    if threads is not None and threads > usable_cores():
        warnings.warn(
            f"{threads} threads, but this process may use {usable_cores()} processors: they will "
            "wait for one another",
            stacklevel=3,  # whoever called edge_ser.load
        )
    options_given: dict[str, Any] = {"provider": provider, "cuda_graphs": cuda_graphs or None}
    options = {name: value for name, value in options_given.items() if value is not None}
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
        able = [n for n in usual if set(options) <= set(RUNTIMES[n].options)]
        return _first_that_opens(bundle, able or usual[:1], threads, options)
    if runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES, "auto or one of ")
    if runtime not in fitting:
        raise UsageError("runtime", expected=f"one that runs {target}", found=runtime)
    return _open(bundle, runtime, threads, options)


def runtimes_of(target: str) -> list[str]:
    """Names of what runs a target."""
    return [r.name for r in RUNTIMES.values() if kind_of(target) in r.kinds]


def usual_runtimes_of(target: str) -> list[str]:
    """What "auto" chooses from, best first."""
    return [n for n in runtimes_of(target) if not RUNTIMES[n].on_request]


def load_part(place: str) -> Any:
    """A class or function of a runtime.

    Args:
        place: module:name.
    """
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def proving_runtimes() -> list[str]:
    """What an export can prove a bundle in, besides `ALWAYS_PROVED`: all that compute on a CPU."""
    return [r.name for r in RUNTIMES.values() if r.on_cpu and r.name != ALWAYS_PROVED]


def runtime_table() -> str:
    """The runtimes as a Markdown table, as the documents have it."""
    rows = ["| `runtime` | runs | needs |", "|---|---|---|"]
    rows.append("| `auto` (default) | the best for the target that can run on this device | - |")
    for r in RUNTIMES.values():
        libraries = " or ".join(f"`{name}`" for name in r.libraries)
        extra = f", with `{pip_extra(r.extra)}`" if r.extra else ", which comes with edge-ser"
        rows.append(f"| `{r.name}` | {r.words} | {libraries}{extra} |")
    return "\n".join(rows) + "\n"


def describe(session: Session) -> str:
    """A session's runtime and the library behind it, such as `onnx (onnxruntime 1.31.1)`."""
    runtime = _runtime_of(session)
    if runtime is None:
        return type(session).__name__
    loaded = [(m, sys.modules[m]) for m in runtime.libraries if m in sys.modules]
    libraries = [
        f"{m} {getattr(module, '__version__', 'of unknown version')}" for m, module in loaded
    ]
    return f"{runtime.name} ({', '.join(libraries)})" if libraries else runtime.name


def runs_engines(session: Session) -> bool:
    """Whether a session computes with the engine of a TensorRT bundle, and not with its graph."""
    runtime = _runtime_of(session)
    return runtime is not None and runtime.kinds == ("trt",)


def _runtime_of(session: Session) -> Runtime | None:
    place = f"{type(session).__module__}:{type(session).__name__}"
    return next((r for r in RUNTIMES.values() if r.session == place), None)


def _first_that_opens(
    bundle: Bundle, runtimes: list[str], threads: int | None, options: dict[str, Any]
) -> Session:
    for name, following in itertools.pairwise(runtimes):
        try:
            return _open(bundle, name, threads, options)
        except BundleChangedError:
            raise
        except (DeviceError, LibraryError, BundleError) as error:
            # 4: whoever called edge_ser.load
            warnings.warn(f"runtime {following} instead of {name}: {error}", stacklevel=4)
    return _open(bundle, runtimes[-1], threads, options)


def _open(bundle: Bundle, runtime: str, threads: int | None, options: dict[str, Any]) -> Session:
    for option in options:
        owner = next(r.name for r in RUNTIMES.values() if option in r.options)
        if owner != runtime:
            raise UsageError(
                option.replace("_", " "),
                expected=f"runtime {owner}, which has it",
                found=f"runtime {runtime}",
            )
    kind = load_part(RUNTIMES[runtime].session)
    session = cast(Session, kind(bundle, threads, **options))
    if _log.isEnabledFor(logging.DEBUG):
        where, target = describe(session), bundle.manifest.target
        _log.debug("%s: %s, opened in %s by process %d", bundle.root, target, where, os.getpid())
    return session
