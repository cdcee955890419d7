"""`edge-ser build`: the engine of a bundle, built where it is to run, and proved there."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import BackendName, Engine
from edge_ser.bundle.files import graph_sha256
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.writing import new_bundle, seal
from edge_ser.errors import BundleError, DeviceError, GateError, MissingExtraError, UsageError
from edge_ser.fidelity.verdict import Verdict
from edge_ser.install import JETSON_TENSORRT
from edge_ser.session import Session
from edge_ser.verify import verify
from edge_ser_runtimes import registry
from edge_ser_runtimes.engines.backend import Backend, choose_backend, load_backend, local_sm
from edge_ser_runtimes.engines.build import ENGINE, build_engine
from edge_ser_runtimes.engines.devices import Device, check_precision, find_device
from edge_ser_runtimes.engines.trtexec import Trtexec, TrtexecSession, find_trtexec
from edge_ser_runtimes.engines.trusted import remember_built

OpenSession = Callable[[Bundle], Session]


def open_engine(bundle: Bundle) -> Session:
    """Open a bundle with the runtime for engines."""
    return registry.open_session(bundle, "trt")


@dataclass(frozen=True)
class OnDevice:
    """A bundle with its engine.

    Attributes:
        manifest: as written.
        engine: the manifest's record of it.
        verdict: on the recorded answers; None where there was no GPU to run on.
        replaced: the engine for other GPUs that was there before; None: there was none.
        scores_lapsed: whether percentiles and intervals counted before, and do not any more: the
            answers of another graph or engine gave them.
    """

    manifest: Manifest
    engine: Engine
    verdict: Verdict | None
    replaced: Engine | None = None
    scores_lapsed: bool = False


def build_on_device(
    path: Path,
    open_session: OpenSession = open_engine,
    devices: tuple[str, ...] = (),
    backend: str = "auto",
    progress: Callable[[str], None] = lambda _: None,
    force: bool = False,
) -> OnDevice:
    """Build, or build anew, the engine of a bundle, run the recorded answers and note the result.

    The bundle at `path` is replaced when all has gone well, and left as it was otherwise.

    Args:
        path: of a bundle of a TensorRT target, a directory.
        open_session: opens it with the runtime for engines.
        devices: to build for; none: this machine's GPU, or what the bundle was exported for where
            TensorRT for RTX builds without one.
        backend: one of `backend.BACKENDS`; auto: that of the bundle.
        progress: called with a word per step.
        force: replace an engine for other GPUs than `devices`, too. Without `devices` it is
            replaced in any case: it is of no use on this machine.

    Raises:
        UsageError: not a bundle of a TensorRT target; a device that lacks its precision; an engine
            for other GPUs is there.
        DeviceError: no driver, or not this machine's GPU.
        MissingExtraError: no TensorRT.
        BundleError: damaged, or its graph is not the one that was exported.
        GateError: the engine does not give the recorded answers.
    """
    # `.` and links: what is replaced is the directory itself
    path = path.resolve() if path.exists() else path
    if path.is_file():
        raise UsageError(path, expected="a directory", found="a file", advice="unpack it first")
    bundle = Bundle.open(path)
    engine = bundle.manifest.engine
    if engine is None:
        raise UsageError(
            path, expected="a bundle of a TensorRT target", found=bundle.manifest.target,
            advice="export one with --target trt-fp16",
        )  # fmt: skip
    graph = bundle.root / engine.graph
    if graph_sha256(graph) != engine.graph_sha256:
        raise BundleError(
            graph, expected="the graph that was exported for this engine", found="another one",
            advice="export again",
        )  # fmt: skip
    local = local_sm()
    targets = _devices(devices, engine, local)
    replaced = _engine_for_others(engine, targets)
    if replaced is not None and devices and not force:
        raise UsageError(
            path,
            expected="no engine for other GPUs than --device names, which would be lost",
            found=f"one for {replaced.made_for}",
            advice="copy the bundle first, name both GPUs, or replace it with --force",
        )
    had_scores = bundle.score_reference is not None
    name = _backend(backend, engine, targets)
    check_precision(engine.precision, targets)
    runs_here = local in {d.sm.name for d in targets}
    tool = _tool(name, runs_here, local, targets)
    if isinstance(tool, Trtexec) and not engine.share:
        raise UsageError(
            path.name,
            expected="a bundle whose precision was counted at export, which trtexec cannot do",
            found="no count",
            advice=f"install TensorRT's Python module (sudo {JETSON_TENSORRT}), or "
            "export where tensorrt_rtx is installed",
        )
    with new_bundle(path) as work:
        for entry in bundle.manifest.files:
            if entry.path != engine.file:
                _link(bundle.root / entry.path, work / entry.path)
        progress("building the engine")
        engine = replace(
            engine,
            file=ENGINE,
            backend=name,
            sm=tuple(dict.fromkeys(d.sm.name for d in targets)),
            device=", ".join(dict.fromkeys(d.name for d in targets)),
            verified=False,
        )
        if isinstance(tool, Backend):
            built = build_engine(tool, graph, engine.precision, targets, engine.profiles)
            (work / ENGINE).write_bytes(built.plan)
            engine = built.recorded_in(engine)
        else:
            started = time.perf_counter()
            version = tool.build(graph, work / ENGINE, engine.profiles)
            seconds = round(time.perf_counter() - started, 3)
            engine = replace(engine, version=version, build_seconds=seconds)
        manifest = seal(work, bundle.manifest.with_parts(engine=engine))
        verdict = None
        if runs_here:
            progress("running the recorded answers")
            made = Bundle(work, manifest)
            if isinstance(tool, Backend):
                session = open_session(made)
            else:
                outputs = [o.name for o in manifest.outputs]
                session = TrtexecSession(tool, work / ENGINE, engine.profiles[0], outputs)
            with closing(session):
                verdict = verify(made, session)
            _check(verdict, manifest)
            engine = replace(engine, verified=True)
            manifest = seal(work, manifest.with_parts(engine=engine))
        remember_built((work / ENGINE).read_bytes())
    return OnDevice(manifest, engine, verdict, replaced, had_scores)


def _engine_for_others(engine: Engine, targets: tuple[Device, ...]) -> Engine | None:
    """The bundle's engine, if there is one and a GPU that it is for would lose it."""
    lost = set(engine.sm) - {d.sm.name for d in targets}
    return engine if engine.file and lost else None


def _devices(names: tuple[str, ...], engine: Engine, local: str | None) -> tuple[Device, ...]:
    if names:
        return tuple(find_device(name) for name in names)
    exported = tuple(find_device(name) for name in engine.device.split(", "))
    if local is None or local in {d.sm.name for d in exported}:
        return exported
    return (find_device(local),)


def _backend(asked: str, engine: Engine, targets: tuple[Device, ...]) -> BackendName:
    if asked == "auto" and engine.backend == "tensorrt":
        asked = "tensorrt"
    return choose_backend(asked, targets)


def _tool(
    name: str, runs_here: bool, local: str | None, targets: tuple[Device, ...]
) -> Backend | Trtexec:
    """What builds: the Python module, else the program that comes with JetPack."""
    if name == "tensorrt" and not runs_here:
        wanted = f"a GPU of {targets[0].sm.name} ({targets[0].name})"
        if local is None:
            raise DeviceError(
                "TensorRT",
                expected=f"{wanted}: its engines are built where they run",
                found="no NVIDIA driver that answers",
                advice="run edge-ser build on the device",
            )
        raise DeviceError(
            "TensorRT", expected=wanted, found=f"{local}",
            advice="leave out --device to build for this GPU",
        )  # fmt: skip
    try:
        return load_backend(name)
    except MissingExtraError:
        program = find_trtexec() if name == "tensorrt" else None
        if program is None:
            raise
        return Trtexec(program)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _check(verdict: Verdict, manifest: Manifest) -> None:
    if not verdict.passed:
        raise GateError(
            f"engine of {manifest.name}", expected="the recorded answers",
            found="; ".join(verdict.failures),
            advice="the bundle is as it was; do not use this engine",
        )  # fmt: skip
