"""INT8 beside what a user would run instead: one utterance, one thread, all systems in turn.

    python benchmarks/int8_speed.py default wavlm-base wavlm-large

Times of PyTorch eager, ONNX Runtime on the exported float32 graph, ONNX Runtime's own dynamic
quantisation of it, OpenVINO with NNCF's post-training INT8, and this project's INT8 graphs, in ONNX
Runtime and in OpenVINO, run A B C A B C in one process; ratios are medians over rounds, so that a
noisy machine does not decide. The machine's limit is measured in the same rounds: an integer
product of the encoder's own shape. Weights of the large models are random: neither speed nor size
depends on what a model has learnt.

OpenVINO computes what is not integers in bfloat16 where the processor has it; its rows are measured
so and, with the same graph, in float32. The last column is how far arousal, dominance and valence
of that utterance are from PyTorch's, on 0..1: with random weights not a verdict, but not to be
overlooked.

Needs `pip install openvino nncf` for those rows; without them they are left out.
Writes `results/int8-speed.json` and `results/int8-speed.md`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from common import RESULTS
from common import checkpoint as random_checkpoint
from onnx import TensorProto, helper

from edge_ser.fidelity.limits import INT8_LIMITS
from edge_ser.host.child import code_command
from edge_ser.host.cpu import VNNI, instruction_sets
from edge_ser.host.offline import import_nncf, import_onnxruntime, import_openvino
from edge_ser.session import pad_batch
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import CalibrationSet, draw
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.rewrite import optimize_for_cpu, save, strip_metadata
from edge_ser_export.graph.run import feed, multiplications, open_graph, share_of
from edge_ser_export.models import deployed
from edge_ser_export.precision.int8 import Quantizer
from edge_ser_export.precision.recipes import CPUS, Recipe
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES, trace

SECONDS = 5.0
ROUNDS = {"default": 60, "wavlm-base": 15, "wavlm-large": 9}
Run = Callable[[], Any]


@dataclass
class Built:
    """A model, its float32 graph, and what quantises it.

    Attributes:
        source: of the checkpoint: a name or a run directory.
        checkpoint: loaded.
        graph: float32, as it is exported.
        plain: the same with normalisation and masks written out in every layer, and no float64:
            what is left of NNCF's quantisation of `graph` does not compile.
        optimized: the same, rewritten for integers.
        calibration: speech to measure ranges on.
        quantizer: builds a recipe.
        kept: parts that stay in float32.
    """

    source: str
    checkpoint: Checkpoint
    graph: Path
    plain: Path
    optimized: Path
    calibration: CalibrationSet
    quantizer: Quantizer
    kept: tuple[str, ...]


def build(size: str, work: Path, utterances: int = 4) -> Built:
    """Trace a model of a size into `work`, and prepare its quantisation with so many utterances."""
    source = random_checkpoint(size, work)
    checkpoint = load_checkpoint(source)
    config = checkpoint.config
    preprocessing = config.preprocessing()
    graph = plain = work / f"{size}.onnx"
    trace(checkpoint.model, graph, preprocessing.max_samples, preprocessing.min_samples)
    if config.encoder.kind == "wavlm":
        plain = work / f"{size}-plain.onnx"
        lengths = preprocessing.max_samples, preprocessing.min_samples
        with unittest.mock.patch.object(deployed, "_GATE_LEAST", -math.inf):
            trace(checkpoint.model, plain, *lengths, doubles=False)
    model = ir.load(graph)
    optimize_for_cpu(model)
    optimized = work / f"{size}-optimized.onnx"
    save(model, optimized, EXTERNAL_DATA_BYTES)
    del model
    session = open_graph(graph)
    calibration = draw(
        None, preprocessing, Regions(config.partition),
        lambda x: session.run(["vad"], feed([x]))[0][0], count=utterances,
    )  # fmt: skip
    quantizer = Quantizer(
        optimized, graph, calibration, config.partition, INT8_LIMITS, work, CPUS["x86-vnni"]
    )
    kept = ("log-mel",) if size == "default" else ()
    return Built(source, checkpoint, graph, plain, optimized, calibration, quantizer, kept)


def prepare(size: str, work: Path) -> tuple[dict[str, Run], dict[str, Any]]:
    """Everything that is timed, and facts about the files."""
    built = build(size, work)
    checkpoint, graph, kept = built.checkpoint, built.graph, built.kept
    calibration, quantizer = built.calibration, built.quantizer
    session = open_graph(graph)
    x = np.resize(next(iter(calibration.samples(calibration.judge))), int(SECONDS * 16_000))
    inputs = feed([x])
    samples, lengths = (torch.from_numpy(a) for a in pad_batch([x]))
    reference = checkpoint.model.eval()

    def eager() -> Any:
        with torch.inference_mode():
            return reference(samples, lengths)

    runs: dict[str, Run] = {"PyTorch eager fp32": eager}
    runs["ONNX Runtime fp32"] = lambda: session.run(None, inputs)
    files = {"ONNX Runtime fp32": _size(graph)}
    stock = _stock(built.plain, work / f"{size}-stock.onnx")
    stock_session = open_graph(stock)
    runs["ONNX Runtime dynamic INT8, stock"] = lambda: stock_session.run(None, inputs)
    files["ONNX Runtime dynamic INT8, stock"] = _size(stock)
    shares = {}
    for recipe in (Recipe("dynamic", False, False, kept), Recipe("static", False, False, kept),
                   Recipe("static", True, False, kept)):  # fmt: skip
        name = f"edge-ser INT8 {recipe.name}" + (", integer attention" if recipe.scores else "")
        path = quantizer.build(recipe, work / f"{size}-{recipe.name}-{recipe.scores}.onnx")
        ours = open_graph(path)
        runs[name] = lambda ours=ours: ours.run(None, inputs)
        files[name] = _size(path)
        shares[name] = share_of("int8", path, SECONDS).encoder
    static = work / f"{size}-static-False.onnx"
    for name, model in _openvino_models(built.plain, static, calibration):
        for precision in ("bf16", "f32"):
            run = _openvino(model(), precision, inputs)
            if run is not None:
                runs[f"{name}, {precision}"] = run
    integer = [(250, 3072, 768)] if size != "wavlm-large" else [(250, 4096, 1024)]
    macs = sum(m.macs for m in multiplications(built.optimized, SECONDS))
    for m, n, k in integer:
        runs["integer product"] = _gemm(m, n, k, work)
        facts_gemm = 2.0 * m * n * k
    memory = {name: _peak_rss(work / f"{size}-static-False.onnx") for name in ("static",)}
    expected = eager()[0].numpy()
    off = {
        name: float(np.abs(np.asarray(_first(run())) - expected).max())
        for name, run in runs.items()
        if name != "integer product"
    }
    return runs, {
        "off": off, "files": files, "integer_share": shares, "macs": macs, "gemm_ops": facts_gemm,
        "rss": memory,
    }  # fmt: skip


def _first(outputs: Any) -> Any:
    """`vad`, of whatever a system returns."""
    return outputs["vad"] if hasattr(outputs, "to_dict") else outputs[0]


def _size(path: Path) -> int:
    return sum(f.stat().st_size for f in path.parent.glob(f"{path.name}*"))


def _stock(graph: Path, out: Path) -> Path:
    """ONNX Runtime's quantize_dynamic as its documentation shows it."""
    clean = graph.with_name(f"{graph.stem}-clean.onnx")
    model = onnx.load(graph)
    strip_metadata(model)  # its shape inference stops at the exporter's notes
    big = model.ByteSize() > EXTERNAL_DATA_BYTES
    onnx.save(model, clean, save_as_external_data=big, location=f"{clean.name}.data")
    del model
    quantization = import_onnxruntime("onnxruntime.quantization")
    quantization.quantize_dynamic(
        clean, out, weight_type=quantization.QuantType.QInt8, use_external_data_format=big
    )
    return out


def _openvino_models(graph: Path, ours: Path, calibration: Any) -> list[tuple[str, Any]]:
    """NNCF's INT8 of the exported graph, and this project's."""
    if not (importlib.util.find_spec("openvino") and importlib.util.find_spec("nncf")):
        return []
    openvino, nncf = import_openvino(), import_nncf()
    nncf.set_log_level(40)
    core = openvino.Core()
    rows = [feed([x]) for x in calibration.samples(calibration.fit)]
    quantized = nncf.quantize(
        core.read_model(graph),
        nncf.Dataset(rows),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(rows),
    )
    file = graph.with_name("nncf.xml")
    openvino.save_model(quantized, file, compress_to_fp16=False)
    # read anew for each precision: compiling is allowed to change a model
    return [
        ("OpenVINO + NNCF INT8", lambda: core.read_model(file)),
        ("edge-ser INT8 static in OpenVINO", lambda: core.read_model(ours)),
    ]


def _openvino(model: Any, precision: str, inputs: dict[str, Any]) -> Run | None:
    openvino = import_openvino()

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    options = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    try:
        request = core.compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        print(f"not compiled: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return lambda: request.infer(inputs)


def _gemm(m: int, n: int, k: int, work: Path) -> Run:
    """An integer product alone, as large as the encoder's largest."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 127, (k, n)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "gemm",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [m, n])],
        [onnx.numpy_helper.from_array(weight, "b")],
    )  # fmt: skip
    path = work / "gemm.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    made.ir_version = 10
    onnx.save(made, path)
    session = open_graph(path)
    a = {"a": rng.integers(0, 255, (m, k)).astype(np.uint8)}
    return lambda: session.run(None, a)


def _peak_rss(path: Path) -> int:
    """Peak memory of a process that loads a graph and runs it, beyond that of an empty session."""
    code = (
        "import sys, numpy as np, onnxruntime as ort\n"
        "o = ort.SessionOptions(); o.intra_op_num_threads = 1; o.log_severity_level = 3\n"
        "s = ort.InferenceSession(sys.argv[1], o, providers=['CPUExecutionProvider'])\n"
        "n = 80000; x = np.random.default_rng(0).standard_normal((1, n), np.float32)\n"
        "s.run(None, {'samples': x, 'lengths': np.array([n])})\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(l.split()[1] for l in lines if l.startswith('VmHWM')) + '000')\n"
    )
    return int(subprocess.check_output(code_command(code, str(path))))


def measure(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of every run of every system, in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=list(ROUNDS), help="of models")
    sizes = parser.parse_args().sizes
    torch.set_num_threads(1)
    records = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
            runs, facts = prepare(size, Path(folder))
            times = measure(runs, ROUNDS[size])
        records.append({"size": size, "seconds": SECONDS, "times": times, **facts})
        print(table(records[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "int8-speed.json"
    # a size is one run; those that were not measured now keep their own
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    kept = [r for r in kept if "off" in r]  # of an earlier form
    every = {r["size"]: r for r in [*kept, *records]}
    records = [every[size] for size in ROUNDS if size in every]
    path.write_text(json.dumps({"machine": _machine(), "results": records}) + "\n")
    text = "\n\n".join(table(r) for r in records)
    (RESULTS / "int8-speed.md").write_text(
        f"# INT8 beside its alternatives\n\n`python benchmarks/int8_speed.py` on {_machine()}; "
        f"{SECONDS:g} s of speech, one thread. The systems of a size ran in turn, in one process; "
        f"ratios are medians over rounds.\n\n{text}\n"
    )


def _machine() -> str:
    flags = [f for f in instruction_sets() if f in VNNI or f == "amx_int8"]
    integers = ", ".join(flags) or "no VNNI"
    return f"{platform.machine()} with {integers}, Python {platform.python_version()}"


def table(record: dict[str, Any]) -> str:
    """One size as Markdown."""
    times = record["times"]
    eager = times["PyTorch eager fp32"]
    gemm = times.get("integer product", [])
    lines = [
        f"## {record['size']}",
        "",
        "| system | median ms | best ms | faster than PyTorch | file MB | integer peak | VAD off |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, values in times.items():
        if name == "integer product":
            continue
        ratio = statistics.median(a / b for a, b in zip(eager, values, strict=True))
        size = record["files"].get(name)
        peak = "-"
        if "INT8" in name and gemm:
            done = 2.0 * record["macs"]
            share = statistics.median(
                (done / v) / (record["gemm_ops"] / g) for v, g in zip(values, gemm, strict=True)
            )
            peak = f"{share:.0%}"
        lines.append(
            f"| {name} | {1000 * statistics.median(values):.1f} | {1000 * min(values):.1f} "
            f"| {ratio:.2f}x | {'-' if size is None else f'{size / 1e6:.1f}'} | {peak} "
            f"| {record['off'][name]:.4f} |"
        )
    rss = record["rss"]["static"]
    ours = record["files"]["edge-ser INT8 static"]
    lines.append("")
    lines.append(
        f"Peak memory of a process with the static INT8 graph: {rss / 1e6:.0f} MB, "
        f"{rss / ours:.1f} times the file. Integer product alone: "
        f"{record['gemm_ops'] / statistics.median(gemm) / 1e9:.0f} GOP/s."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
