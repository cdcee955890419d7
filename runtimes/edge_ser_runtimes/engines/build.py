"""From a precision-typed ONNX file to an engine, with either TensorRT module.

The network is strongly typed: the graph says what is computed in which precision, on TensorRT 10.3
as on those releases that have no other way. Nothing here needs a GPU with TensorRT for RTX.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge_ser.bundle.engine import Census, Engine, EngineTensor, Profile
from edge_ser.errors import BundleError, GateError, UsageError
from edge_ser_runtimes.engines.backend import Backend
from edge_ser_runtimes.engines.census import check_share, fused_attention, take_census
from edge_ser_runtimes.engines.devices import Device
from edge_ser_runtimes.engines.interrupts import HeldInterrupts

ENGINE = "model.engine"
_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32"}
# Of the builder's own account of memory, which is told at INFO.
_ACTIVATION = re.compile(r"Total Activation Memory: (\d+)")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+)")
_BAR_STEPS = 1000


@dataclass(frozen=True)
class Built:
    """An engine and what is known about it.

    Attributes:
        plan: the engine's bytes.
        version: of the module that built it.
        io: inputs and outputs: name, dtype, mode.
        census: of the parsed network.
        seconds: that parsing and building took.
        activation_bytes: device memory for activations at the largest shapes; 0: not told.
        weight_bytes: of the engine's weights; 0: not told.
    """

    plan: bytes
    version: str
    io: tuple[EngineTensor, ...]
    census: Census
    seconds: float
    activation_bytes: int
    weight_bytes: int

    def recorded_in(self, engine: Engine) -> Engine:
        """The manifest's record of an engine, with what its build told."""
        return replace(
            engine,
            file=ENGINE,
            version=self.version,
            io=self.io,
            build_seconds=round(self.seconds, 3),
            weight_bytes=self.weight_bytes,
            activation_bytes=self.activation_bytes,
            census=self.census,
            share=round(self.census.share, 6),
        )


def build_engine(
    backend: Backend,
    graph: Path,
    precision: str,
    devices: Sequence[Device],
    profiles: Sequence[Profile],
) -> Built:
    """Build an engine, with a progress bar where somebody watches.

    Args:
        backend: what to build with. The standard one builds for this machine's GPU.
        graph: precision-typed ONNX file.
        precision: that the graph is meant to be in.
        devices: that the engine is for.
        profiles: batches and lengths that it is for.

    Raises:
        BundleError: the parser does not take the graph.
        GateError: too little of the graph is in `precision`; the builder gives no engine.
        UsageError: the module does not know a device, or refuses a profile.
        KeyboardInterrupt: after the builder has stopped.
    """
    with HeldInterrupts() as interrupts:
        return _build(backend, graph, precision, devices, profiles, interrupts)


def _build(
    backend: Backend,
    graph: Path,
    precision: str,
    devices: Sequence[Device],
    profiles: Sequence[Profile],
    interrupts: HeldInterrupts,
) -> Built:
    trt = backend.module
    started = time.perf_counter()
    log = _Log()
    builder = trt.Builder(_logger(trt, log))
    network, parser = parse(backend, builder, graph, log)
    census = take_census(trt, network, precision)
    check_share(census, precision)
    config = builder.create_builder_config()
    # 10 bits instead of 23, on by default: not what float32 means here
    config.clear_flag(trt.BuilderFlag.TF32)
    if backend.name == "rtx":
        _set_devices(trt, config, devices)
    for profile in profiles:
        _add_profile(builder, config, network, profile)
    plan = _run(trt, builder, network, config, log, interrupts)
    del parser  # it owns the weights that the network reads
    account = "\n".join(log.facts)
    return Built(
        plan=plan,
        version=backend.version,
        io=_io(trt, network),
        census=replace(census, fused_attention=fused_attention(plan)),
        seconds=time.perf_counter() - started,
        activation_bytes=_number(_ACTIVATION, account),
        weight_bytes=_number(_WEIGHTS, account),
    )


def parse_only(backend: Backend, graph: Path, precision: str) -> Census:
    """The census of a graph that is built elsewhere.

    Raises:
        BundleError: the parser does not take the graph.
        GateError: too little of it is in `precision`.
    """
    with HeldInterrupts():
        log = _Log()
        builder = backend.module.Builder(_logger(backend.module, log))
        network, parser = parse(backend, builder, graph, log)
        census = take_census(backend.module, network, precision)
        check_share(census, precision)
        del parser
        return census


def parse(backend: Backend, builder: Any, graph: Path, log: _Log | None = None) -> tuple[Any, Any]:
    """Read an ONNX file into a strongly typed network.

    Returns:
        the network, and the parser, which must outlive it.

    Raises:
        BundleError: naming the nodes that the parser refuses.
    """
    trt = backend.module
    flag = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flag)
    parser = trt.OnnxParser(network, _logger(trt, log or _Log()))
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(i) for i in range(min(3, parser.num_errors))]
        complaints = "; ".join(
            f"{e.node_operator()} {e.node_name()}: {e.desc().splitlines()[0]}" for e in errors
        )
        raise BundleError(
            graph.name,
            expected=f"a graph that the parser of {backend.module.__name__} {backend.version} "
            "takes",
            found=complaints or "a file that it cannot read",
            advice="export again",
        )
    return network, parser


class _Log:
    """What the builder says: errors in order, and its account of memory."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.facts: list[str] = []

    def add(self, severity: str, message: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            self.errors.append(message.splitlines()[0] if message else severity)
        elif severity == "INFO" and "Memory" in message:
            self.facts.append(message)

    @property
    def reason(self) -> str:
        # the last words are a macro's; the first cause stands before them
        causes = [m for m in self.errors if "checkMacros" not in m]
        return causes[-1] if causes else "no reason given"


# TensorRT keeps the first logger of a process for ever: one that hands on to whoever listens.
_LOGGERS: dict[str, Any] = {}


def _logger(trt: Any, log: _Log) -> Any:
    logger = _LOGGERS.get(trt.__name__)
    if logger is None:

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.listener = log

            def log(self, severity: Any, msg: str) -> None:
                self.listener.add(severity.name, msg)

        logger = _LOGGERS[trt.__name__] = Logger()
    logger.listener = log
    return logger


def _set_devices(trt: Any, config: Any, devices: Sequence[Device]) -> None:
    names = list(dict.fromkeys(d.sm.name for d in devices))
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        capability = getattr(trt.ComputeCapability, name.upper(), None)
        if capability is None:
            raise UsageError(
                "--device", expected=f"a GPU that tensorrt_rtx {trt.__version__} builds for",
                found=name, advice="upgrade tensorrt-rtx",
            )  # fmt: skip
        config.set_compute_capability(capability, index)


def _add_profile(builder: Any, config: Any, network: Any, profile: Profile) -> None:
    shapes = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        name = network.get_input(i).name
        shapes.set_shape(name, *profile.shapes(name))
    if config.add_optimization_profile(shapes) < 0:
        raise UsageError("--profile", expected="shapes that the graph takes", found=str(profile))


def _run(
    trt: Any, builder: Any, network: Any, config: Any, log: _Log, interrupts: HeldInterrupts
) -> bytes:
    """Build in a thread, so that Ctrl-C reaches the builder by way of its progress monitor."""
    stop = threading.Event()
    outcome: dict[str, Any] = {}
    with tqdm(
        total=_BAR_STEPS, desc="building", leave=False, disable=None,
        bar_format="{desc}: {percentage:3.0f}%|{bar:24}| [{elapsed}] {postfix}",
    ) as bar:  # fmt: skip
        monitor = _monitor(trt, bar, stop)
        config.progress_monitor = monitor

        ended = threading.Event()

        def work() -> None:
            try:
                outcome["plan"] = builder.build_serialized_network(network, config)
            except BaseException as error:  # handed to the thread that waits
                outcome["error"] = error
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="tensorrt-build", daemon=True)
        thread.start()
        interrupted: KeyboardInterrupt | None = None
        while not ended.is_set():
            try:
                # not join(): an interrupt in it makes Python 3.11 take the thread for finished
                while not ended.wait(0.05):
                    if interrupts.asked:
                        stop.set()
            except KeyboardInterrupt as error:
                interrupted = error
                stop.set()
        thread.join()
    if interrupted is not None:
        raise interrupted
    if "error" in outcome:
        raise outcome["error"]
    plan = outcome.get("plan")
    if plan is None and "FP32 GEMM is not supported" in log.reason:
        raise GateError(
            "TensorRT",
            expected="a GPU with float32 products, which the log-mel front end of this model takes",
            found="one without (sm75)",
            advice="use an onnx target there, or a model without that front end",
        )
    if plan is None:
        raise GateError(
            "TensorRT",
            expected="an engine",
            found=log.reason,
            advice="export another precision, or for another device",
        )
    return bytes(plan)


def _monitor(trt: Any, bar: Any, stop: threading.Event) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Turns nested phases into one fraction; answers False once the user has enough."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            # phase -> where it begins, how much of the whole each step is, where it ends
            self.phases: dict[str, tuple[float, float, float]] = {}
            self.steps_done: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            begin, span = 0.0, 1.0
            if parent_phase in self.phases:
                start, span, _ = self.phases[parent_phase]
                begin = start + span * self.steps_done.get(parent_phase, 0)
            self.phases[phase_name] = (begin, span / max(1, num_steps), begin + span)
            self.steps_done[phase_name] = 0
            bar.set_postfix_str(phase_name.lower(), refresh=False)

        def step_complete(self, phase_name: str, step: int) -> bool:
            begin, span, _ = self.phases.get(phase_name, (0.0, 0.0, 0.0))
            self.steps_done[phase_name] = step + 1
            self.advance(begin + span * (step + 1))
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            self.advance(self.phases.pop(phase_name, (0.0, 0.0, 0.0))[2])

        def advance(self, fraction: float) -> None:
            bar.update(max(0, min(_BAR_STEPS, round(fraction * _BAR_STEPS)) - bar.n))

    return Monitor()


def _io(trt: Any, network: Any) -> tuple[EngineTensor, ...]:
    tensors = (
        ("input", network.num_inputs, network.get_input),
        ("output", network.num_outputs, network.get_output),
    )
    return tuple(
        EngineTensor(t.name, _TYPES.get(t.dtype.name, t.dtype.name.lower()), mode)
        for mode, count, get in tensors
        for t in (get(i) for i in range(count))
    )


def _number(pattern: re.Pattern[str], text: str) -> int:
    # told once for every profile and GPU
    return max((int(n) for n in pattern.findall(text)), default=0)
