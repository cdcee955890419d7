"""The targets trt-fp32 ... trt-fp8: what to build, where, and what the manifest says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_ser.audio import Preprocessing
from edge_ser.bundle.engine import BackendName, Census, Engine, Profile
from edge_ser.bundle.files import graph_sha256
from edge_ser.errors import MissingExtraError, UsageError
from edge_ser_runtimes.engines.backend import (
    Backend,
    choose_backend,
    load_backend,
    local_sm,
)
from edge_ser_runtimes.engines.build import ENGINE, build_engine, parse_only
from edge_ser_runtimes.engines.devices import Device, check_precision, find_device, target_of
from edge_ser_runtimes.engines.profiles import read_profiles
from edge_ser_runtimes.engines.trusted import remember_built

# Graphs that ONNX Runtime's CPU kernels cannot run: the bundle holds a form that they can, too.
_NOT_ON_CPU = ("bf16", "fp8")
GRAPH, TYPED = "model.onnx", "typed.onnx"


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is for.

    Attributes:
        devices: names, see `devices.find_device`.
        profiles: see `profiles.parse_profile`; none: the default one.
        backend: one of `backend.BACKENDS`.
    """

    devices: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    backend: str = "auto"


@dataclass(frozen=True)
class EnginePlan:
    """A checked request.

    Attributes:
        precision: of `PRECISIONS`.
        devices: to build for.
        backend_name: "rtx" or "tensorrt".
        backend: to build with here; None: the device builds, see `edge-ser build`.
        profiles: as the user wrote them.
    """

    precision: str
    devices: tuple[Device, ...]
    backend_name: BackendName
    backend: Backend | None
    profiles: tuple[str, ...]

    @property
    def narrow_front_end(self) -> bool:
        """Whether a device has no float32 matrix products."""
        return any("fp32" not in d.sm.precisions for d in self.devices)

    @property
    def graph(self) -> str:
        """Name of the graph that the engine is built from: that of the CPU, if it can run it."""
        return TYPED if self.precision in _NOT_ON_CPU else GRAPH


def plan_engine(precision: str, options: EngineOptions) -> EnginePlan:
    """Check a request before any work is done.

    Args:
        precision: of the target, one of `devices.PRECISIONS`.
        options: as asked.

    Raises:
        UsageError: no or an unknown device, a precision that it lacks, an unsuitable backend.
        MissingExtraError: TensorRT for RTX is not installed.
    """
    if not options.devices:
        raise UsageError(
            f"--target {target_of(precision)}",
            expected="--device beside it, such as rtx-4090, t4, orin or sm86 (several for one "
            "engine: --device rtx-3060 rtx-4090)",
            found="none",
        )
    devices = tuple(find_device(name) for name in options.devices)
    name = choose_backend(options.backend, devices)
    check_precision(precision, devices)
    backend = None
    if name == "rtx" or local_sm() == devices[0].sm.name:
        try:
            backend = load_backend(name)
        except MissingExtraError:
            if name == "rtx":
                raise
            # the device has other ways to build, such as trtexec
    return EnginePlan(precision, devices, name, backend, options.profiles)


def write_engine(plan: EnginePlan, folder: Path, preprocessing: Preprocessing) -> Engine:
    """Build the engine into a bundle, or note that the device has to.

    Args:
        plan: the request.
        folder: of the bundle, where the typed graph lies.
        preprocessing: of the model.

    Returns:
        the manifest's `engine`.

    Raises:
        BundleError, GateError, UsageError, KeyboardInterrupt: see `build.build_engine`.
    """
    profiles = read_profiles(plan.profiles, preprocessing)
    record = describe_engine(plan, folder, plan.graph, profiles)
    if plan.backend is None:
        return _with_census(record, folder / plan.graph)
    built = build_engine(plan.backend, folder / plan.graph, plan.precision, plan.devices, profiles)
    (folder / ENGINE).write_bytes(built.plan)
    remember_built(built.plan)
    return built.recorded_in(record)


def _with_census(engine: Engine, graph: Path) -> Engine:
    """What the device will compute in which precision, where any TensorRT here can parse it."""
    try:
        backend = load_backend("rtx")
    except MissingExtraError:
        return engine  # the device takes the census when it builds
    census = parse_only(backend, graph, engine.precision)
    return replace(engine, census=census, share=round(census.share, 6))


def describe_engine(
    plan: EnginePlan, folder: Path, graph: str, profiles: Sequence[Profile]
) -> Engine:
    """The manifest's `engine` before there is one."""
    return Engine(
        file="",
        graph=graph,
        graph_sha256=graph_sha256(folder / graph),
        backend=plan.backend_name,
        version="",
        precision=plan.precision,
        sm=tuple(dict.fromkeys(d.sm.name for d in plan.devices)),
        device=", ".join(d.name for d in plan.devices),
        profiles=tuple(profiles),
        io=(),
        build_seconds=0.0,
        weight_bytes=0,
        activation_bytes=0,
        census=Census(),
        share=0.0,
        verified=False,
    )
