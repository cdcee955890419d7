"""The steps of gpu_check.py, each run as `python benchmarks/gpu_steps.py ARGUMENTS OUT`.

ARGUMENTS is JSON. OUT is written again after every figure, so that what was measured survives a
step that is stopped or crashes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import DeviceError, EdgeSerError
from edge_ser.verify import verify

SAMPLE_RATE_HZ = 16_000
ENGINE = "model.engine"
# Repetitions of a measurement: at least so many, and for at least so long.
_LEAST, _WARM_SECONDS, _SECONDS = 10, 0.4, 0.6
# Where the GPU has no target of its own, these are tried in turn; None is the default target.
_TARGETS = (None, "CURRENT", "SM89", "SM80")


class StepFigures(dict[str, Any]):
    """Figures that are on disk as soon as they are known."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def put(self, **figures: Any) -> None:
        """Add figures and write all of them."""
        self.update(figures)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self))
        os.replace(part, self._path)


def batch(rows: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Noise of unit variance, as normalised speech has, and its lengths."""
    n = int(seconds * SAMPLE_RATE_HZ)
    x = np.random.default_rng(0).standard_normal((rows, n)).astype(np.float32)
    return x, np.full(rows, n, np.int64)


Timed = Callable[[np.ndarray, np.ndarray], float]


def time_grid(record: StepFigures, arguments: dict[str, Any], run: Timed, started: float) -> None:
    """Median time of each shape; batch 1 at 5 s first, because that is what targets speak of.

    Args:
        record: gets `times`.
        arguments: of the step.
        run: runs a batch, waits for its answer, and returns the seconds that the GPU computed.
        started: when the step did.
    """
    shapes = [(b, s) for b in arguments["batches"] for s in arguments["seconds"]]
    shapes.sort(key=lambda shape: shape != (1, 5))
    times: dict[str, Any] = {}
    for rows, seconds in shapes:
        if time.monotonic() - started > arguments["until"]:
            record.put(failed=f"stopped for time after {len(times)} of {len(shapes)} shapes")
            return
        x, n = batch(rows, seconds)
        try:
            begin = time.perf_counter()
            run(x, n)
            first = time.perf_counter() - begin
            while time.perf_counter() - begin < first + _WARM_SECONDS:
                run(x, n)
            wall, device = [], []
            begin = time.perf_counter()
            while len(wall) < _LEAST or time.perf_counter() - begin < _SECONDS:
                t = time.perf_counter()
                device.append(run(x, n))
                wall.append(time.perf_counter() - t)
        except Exception as error:  # such as too little memory for this shape: others may fit
            times[f"{rows}x{seconds}s failed"] = str(error).splitlines()[0][:200]
            continue
        times[f"{rows}x{seconds}s"] = {
            "ms": 1000 * statistics.median(wall),
            "device_ms": 1000 * statistics.median(device),
            "best_ms": 1000 * min(wall),
            "first_ms": 1000 * first,
            "runs": len(wall),
        }
        record.put(times=times)
    record.put(times=times)


def answers(bundle: Bundle, session: Any) -> dict[str, Any]:
    """Agreement with the reference's recorded answers, run one by one."""
    return verify(bundle, session).groups["recorded"].to_dict()


# TensorRT


def engine_step(record: StepFigures, arguments: dict[str, Any], started: float) -> None:
    """An engine on this GPU: attempts, answers, times, memory."""
    from edge_ser_runtimes.tensorrt.cuda import Driver, Gpu

    os.environ["EDGE_SER_TRUST_ENGINES"] = "1"  # whoever starts this has made the bundles
    os.environ["XDG_CACHE_HOME"] = arguments[
        "cache"
    ]  # nothing of earlier runs, nothing left behind
    with contextlib.closing(Gpu(Driver())) as gpu:
        gpu.open()
        with gpu.current():
            before = gpu.memory()[0]
        session, bundle = first_that_runs(record, arguments, gpu.sm)
        with contextlib.closing(session):
            record.put(answers=answers(bundle, session))
            with gpu.current():
                record.put(gpu_bytes=before - gpu.memory()[0])
            if "again" not in arguments["step"]:
                time_grid(record, arguments, lambda x, n: session.timed_run(x, n)[1], started)
                with gpu.current():
                    record.put(gpu_bytes_largest=before - gpu.memory()[0])


def first_that_runs(record: StepFigures, arguments: dict[str, Any], sm: str) -> tuple[Any, Bundle]:
    """Open one candidate after the other and run it once.

    Returns:
        the session of the first one that runs, and its bundle.

    Raises:
        DeviceError: none does; `record` says why.
    """
    from gpu_timing import TimedSession

    from edge_ser_runtimes.tensorrt.kernel_cache import cache_paths

    step, work = arguments["step"], Path(arguments["cache"])
    again, graphs = "again" in step, "graphs" in step
    folder = Path(arguments["bundles"]) / f"trt-{step.rsplit('-', 1)[1]}"
    attempts: list[dict[str, str]] = []
    for place, target in candidates(folder, sm, work, again or graphs):
        made, session = None, None
        try:
            made = place()
            bundle = Bundle.open(made)
            if bundle.manifest.engine.file and not again:  # the first run is to compile kernels
                for path in cache_paths(bundle):
                    path.unlink(missing_ok=True)
            begin = time.perf_counter()
            session = TimedSession(bundle, cuda_graphs=graphs)
            opened = time.perf_counter()
            session.run(*batch(1, 5))
            first = time.perf_counter() - opened
        except Exception as error:  # recorded: whether it runs at all is the question
            if session is not None:
                session.close()
            if made is not None and made != folder:
                shutil.rmtree(made)  # later steps take what is left
            attempts.append({"target": target, "outcome": str(error).splitlines()[0][:300]})
            record.put(attempts=attempts)
            continue
        attempts.append({"target": target, "outcome": "runs"})
        record.put(attempts=attempts, load_seconds=opened - begin, first_run_seconds=first)
        return session, bundle
    raise DeviceError("engine", expected="one that runs here", found="none of the attempts")


def candidates(
    folder: Path, sm: str, work: Path, known: bool
) -> list[tuple[Callable[[], Path], str]]:
    """Bundles to try: as exported, or with engines built here for other targets.

    Args:
        folder: of the bundle as exported.
        sm: of this GPU.
        work: where bundles are built.
        known: whether an earlier step has found out which one runs.
    """
    entry = Bundle.open(folder).manifest.engine
    made = work / "built" / folder.name
    if known:
        found = sorted(p for p in made.iterdir() if p.is_dir()) if made.is_dir() else []
        return [(lambda p=p: p, p.name) for p in found] or [(lambda: folder, "as exported")]
    if entry.file and sm in entry.sm:
        return [(lambda: folder, f"as exported, for {sm}")]
    return [
        (lambda t=t: rebuild(folder, made / (t or "default"), t, sm), f"target {t or 'default'}")
        for t in _TARGETS
    ]


def rebuild(folder: Path, out: Path, target: str | None, sm: str) -> Path:
    """A copy of a bundle with an engine of TensorRT for RTX, recorded as being for this GPU."""
    import tensorrt_rtx as trt

    from edge_ser_runtimes.tensorrt.engine import new_log

    manifest = Bundle.open(folder).manifest
    shutil.copytree(folder, out)
    log = new_log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(out / manifest.engine.graph)):
        raise DeviceError("parser", expected="the graph", found=parser.get_error(0).desc())
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    for record in manifest.engine.profiles:
        profile = builder.create_optimization_profile()
        rows, samples = record.batch, record.samples
        profile.set_shape("samples", *zip(rows, samples, strict=True))
        profile.set_shape("lengths", *((b,) for b in rows))
        config.add_optimization_profile(profile)
    begin = time.perf_counter()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        shutil.rmtree(out)
        raise DeviceError("builder", expected="an engine", found=log.error or "none")
    (out / ENGINE).write_bytes(bytes(plan))
    entry = replace(
        manifest.engine,
        file=ENGINE,
        backend="rtx",
        version=str(trt.__version__),
        sm=(sm,),
        build_seconds=time.perf_counter() - begin,
    )
    (out / "manifest.json").unlink()
    seal(out, manifest.with_parts(engine=entry))
    return out


# PyTorch


class TorchSession:
    """The same model in PyTorch, in half precision.

    Weights are stored in half, but for normalisations; autocast, PyTorch's own rule, computes those
    and softmax in float32 and casts at their borders. The deployment form is used, which is faster
    than Transformers' modules and can be recorded: the strongest form of the peer.
    """

    def __init__(self, checkpoint: Path, kind: str, device: str = "cuda") -> None:
        import torch

        from edge_ser_export.checkpoints.load import load_checkpoint
        from edge_ser_export.models.deployment import DeploymentModel

        self.torch, self.kind, self.device = torch, kind, device
        self.dtype = torch.bfloat16 if kind == "bf16" else torch.float16
        model = DeploymentModel(load_checkpoint(str(checkpoint)).model).eval()
        self.model: Any = model.to(device).to(self.dtype)
        for module in self.model.modules():
            if isinstance(module, torch.nn.LayerNorm | torch.nn.GroupNorm):
                module.float()
        self.model.fold()
        if kind == "compile":
            torch._dynamo.config.cache_size_limit = 64  # or the ninth shape would run eagerly
            self.model = torch.compile(self.model, dynamic=False)
        self._graphs: dict[tuple[int, ...], Any] = {}

    def _forward(self, x: Any, n: Any) -> Any:
        torch = self.torch
        with torch.inference_mode(), torch.autocast(self.device, self.dtype, cache_enabled=False):
            return self.model(x, n)

    def _replay(self, x: Any, n: Any) -> Any:
        """Recorded once per shape, replayed from then on."""
        torch = self.torch
        if tuple(x.shape) not in self._graphs:
            inputs = (x.clone(), n.clone())
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self._forward(*inputs)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                outputs = self._forward(*inputs)
            self._graphs[tuple(x.shape)] = (graph, inputs, outputs)
        graph, inputs, outputs = self._graphs[tuple(x.shape)]
        inputs[0].copy_(x)
        inputs[1].copy_(n)
        graph.replay()
        return outputs

    def timed_run(self, samples: np.ndarray, lengths: np.ndarray) -> tuple[Outputs, float]:
        """As `gpu_timing.TimedSession.timed_run`."""
        torch = self.torch
        x = torch.from_numpy(samples).to(self.device)
        n = torch.from_numpy(lengths).to(self.device)
        on_gpu = self.device == "cuda"
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if on_gpu else []
        if on_gpu:
            marks[0].record()
        outputs = self._replay(x, n) if self.kind == "graphs" else self._forward(x, n)
        if on_gpu:
            marks[1].record()
        vad, *logits = (y.float().cpu().numpy() for y in outputs)
        seconds = marks[0].elapsed_time(marks[1]) / 1000 if on_gpu else 0.0
        return Outputs.of(vad, logits[0] if logits else None), seconds

    def run(self, samples: np.ndarray, lengths: np.ndarray) -> Outputs:
        """As `Session.run`."""
        return self.timed_run(samples, lengths)[0]


def torch_step(record: StepFigures, arguments: dict[str, Any], started: float) -> None:
    """PyTorch in half precision: times, and answers where that needs no compiling per length."""
    import torch

    folder = Path(arguments["bundles"])
    kind = arguments["step"].removeprefix("torch-")
    if not torch.cuda.is_available():
        raise DeviceError("torch", expected="a build with CUDA", found=torch.__version__)
    begin = time.perf_counter()
    session = TorchSession(folder / "checkpoint", kind)
    record.put(load_seconds=time.perf_counter() - begin)
    begin = time.perf_counter()
    session.run(*batch(1, 5))
    record.put(first_run_seconds=time.perf_counter() - begin)
    if kind in ("eager", "bf16"):
        any_bundle = next(p for p in sorted(folder.glob("trt-*")) if p.is_dir())
        record.put(answers=answers(Bundle.open(any_bundle), session))
    if kind != "bf16":
        time_grid(record, arguments, lambda x, n: session.timed_run(x, n)[1], started)
    record.put(gpu_bytes=torch.cuda.max_memory_reserved())


# ONNX Runtime


def onnx_step(record: StepFigures, arguments: dict[str, Any], started: float) -> None:
    """The bundle's graph in ONNX Runtime's CUDA provider."""
    from edge_ser_runtimes.onnxruntime.session import OrtSession

    precision = arguments["step"].removeprefix("onnx-")
    bundle = Bundle.open(Path(arguments["bundles"]) / f"trt-{precision}")
    begin = time.perf_counter()
    session = OrtSession(bundle, None, "cuda")
    record.put(load_seconds=time.perf_counter() - begin)
    begin = time.perf_counter()
    session.run(*batch(1, 5))
    record.put(first_run_seconds=time.perf_counter() - begin)
    record.put(answers=answers(bundle, session))

    def run(x: np.ndarray, n: np.ndarray) -> float:
        begin = time.perf_counter()
        session.run(x, n)
        return time.perf_counter() - begin  # its own clock: the provider tells no time of the GPU

    time_grid(record, arguments, run, started)


def main() -> int:
    started = time.monotonic()
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    record = StepFigures(Path(sys.argv[2]))
    steps = {"engine": engine_step, "torch": torch_step, "onnx": onnx_step}
    try:
        steps[arguments["step"].split("-")[0]](record, arguments, started)
    except EdgeSerError as error:
        record.put(failed=str(error))
        print(error, file=sys.stderr)
        return 2
    except Exception as error:  # a step's failure is a result, too
        lines = str(error).splitlines() or [""]
        record.put(failed=f"{type(error).__name__}: {lines[0][:300]}")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
