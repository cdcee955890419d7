"""Graphs of lower precision, and the evidence that comes with them."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from helpers.traced_graphs import drawn, traced, with_weights

from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import compare
from edge_ser.fidelity.limits import FP16_LIMITS, INT8_LIMITS
from edge_ser.host.cpu import integer_preset
from edge_ser_export.graph.rewrite import save, strip_metadata
from edge_ser_export.graph.run import answers, open_graph
from edge_ser_export.options import ExportOptions
from edge_ser_export.precision.job import Lowered, Lowering
from edge_ser_export.precision.lower import lower, too_slow
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_export.proof.speed import Speed, SpeedOutcome
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES


def lowered(
    kind: str, target: str, work: Path, graph: Path | None = None, fit: int = 8, **options: Any
) -> tuple[Lowered, Path]:
    # on any machine, whatever is faster there
    asked = PrecisionOptions(force=True, **options)
    return lower(job(kind, target, work, graph, fit, asked))


def job(
    kind: str, target: str, work: Path, graph: Path | None, fit: int, asked: PrecisionOptions
) -> Lowering:
    scratch = work / "scratch"
    scratch.mkdir()
    some = replace(drawn(kind), fit=drawn(kind).fit[:fit])
    partition = traced(kind).model.config.partition
    source = graph or traced(kind).path
    return Lowering(target, source, work, scratch, some, partition, asked, None)


def assert_faithful(kind: str, done: Lowered, out: Path) -> float:
    """The gate's limits hold on the utterances to judge on; returns the largest difference."""
    judged = drawn(kind)
    expected = answers(open_graph(traced(kind).path), judged.samples(judged.judge))
    given = answers(open_graph(out), judged.samples(judged.judge))
    partition = traced(kind).model.config.partition
    result = compare(expected, given, partition, done.limits.margin)
    assert result.failures(done.limits) == []
    return result.vad_max


def size(path: Path) -> int:
    """Bytes of a graph as a bundle holds it."""
    model = onnx.load(path)
    strip_metadata(model)
    return int(model.ByteSize())


def assert_common_record(done: Lowered, out: Path, fit: int = 8) -> None:
    record = json.loads(json.dumps(done.record))
    assert record["passes"][0] == "name_nodes"
    assert record["graph"]["before"]["operators"]["Conv"] > 0
    assert "Conv" not in record["graph"]["after"]["operators"]
    assert record["graph"]["after"]["bytes"] == out.stat().st_size
    assert (record["calibration"]["fit"], record["calibration"]["judge"]) == (fit, 8)
    assert record["speed"]["speedup"] > 0
    assert len(record["calibration"]["fingerprint"]) == 64


def test_weights_in_half(tmp_path: Path) -> None:
    kind = "wavlm-tiny"
    done, out = lowered(kind, "onnx-fp16", tmp_path)
    assert (done.precision, done.storage, done.max_batch) == ("fp32", "float16", None)
    assert done.limits == FP16_LIMITS
    assert_common_record(done, out)
    assert done.record["recipe"] == "weights"
    assert "half the file" in done.record["gain"]
    # stored in float16 before: nothing is lost again, but what was folded is rounded
    assert assert_faithful(kind, done, out) < 1e-3
    assert size(out) < 0.57 * size(traced(kind).path)


def test_computation_in_half(tmp_path: Path) -> None:
    kind = "spectral"
    done, out = lowered(kind, "onnx-fp16", tmp_path, half_form="compute")
    assert (done.precision, done.storage, done.max_batch) == ("fp16", "float16", None)
    assert_common_record(done, out)
    assert 1e-6 < assert_faithful(kind, done, out) < 5e-3
    assert done.record["float16_share"]["encoder"] > 0.95
    magnitudes = [row["magnitude"] for row in done.record["loudest"]]
    assert magnitudes == sorted(magnitudes, reverse=True)
    # power spectra of overdriven speech do not fit
    assert magnitudes[0] > 65_504
    assert all(name.startswith("encoder.log_mel") for name in done.record["kept_in_float32"])


def test_integers(tmp_path: Path) -> None:
    kind = "wavlm-tiny"
    done, out = lowered(kind, "onnx-int8", tmp_path, fit=1, recipe="dynamic", sensitivity=True)
    # rows that share a run would share scales
    assert (done.precision, done.storage, done.max_batch) == ("int8", "int8", 1)
    assert done.limits == INT8_LIMITS
    assert_common_record(done, out, fit=1)
    assert_faithful(kind, done, out)
    record = done.record
    assert record["cpu"]["name"] == (integer_preset() or "x86-vnni")
    assert record["passed"] is True and record["failures"] == []
    assert record["integer_share"]["encoder"] >= 0.95
    chosen = [c for c in record["candidates"] if c["recipe"] == record["recipe"]]
    assert chosen and chosen[-1]["speed"] == record["speed"]
    assert record["bytes"] == pytest.approx(out.stat().st_size, rel=0.01)
    assert size(out) < 0.4 * size(traced(kind).path)
    assert done.sensitivity is not None
    names = [row["name"] for row in done.sensitivity["groups"]]
    assert len(set(names)) == len(names) > 15
    left = {row["name"] for row in done.sensitivity["groups"] if row["kept"] == "float32"}
    assert left == set(record["kept_in_float32"])


def test_too_loud_for_float16(tmp_path: Path) -> None:
    """Every feed-forward block scaled up inside: most of the encoder would stay in float32."""
    kind = "wav2vec2-group"
    before = traced(kind).model
    after = copy.deepcopy(before)
    with torch.no_grad():
        for name, parameter in after.named_parameters():
            if ".intermediate_dense." in name:
                parameter.mul_(30_000)
            elif name.endswith(".output_dense.weight"):
                parameter.div_(30_000)
    graph = traced(kind).load()
    with_weights(graph, before, after)
    loud = tmp_path / "loud.onnx"
    save(graph, loud, EXTERNAL_DATA_BYTES)
    refused, _ = lowered(kind, "onnx-fp16", tmp_path, graph=loud, half_form="compute")
    assert refused.refusal is not None
    message = str(refused.refusal)
    assert "onnx-fp16: expected 95% of the encoder's multiplications in float16" in message
    assert "too loud for it: " in message
    assert "encoder.encoder.layers.0.feed_forward.intermediate_dense/MatMul" in message
    assert message.endswith("use --fp16-form weights")
    assert refused.refusal.exit_code == 1
    # the other form takes it
    (tmp_path / "again").mkdir()
    done, out = lowered(kind, "onnx-fp16", tmp_path / "again", graph=loud)
    given = answers(open_graph(out), drawn(kind).samples(drawn(kind).fit[:2]))
    expected = answers(open_graph(loud), drawn(kind).samples(drawn(kind).fit[:2]))
    np.testing.assert_allclose(given.vad, expected.vad, atol=1e-2)
    assert done.record["recipe"] == "weights"


def compared(speedup: float, outcome: SpeedOutcome, why: str = "") -> Speed:
    return Speed(5.0, 10.0, 10.0 / speedup, speedup, speedup, speedup, 9, outcome, why)


def test_what_is_slower_is_refused_with_advice() -> None:
    assert too_slow("onnx-int8", compared(1.0, "no difference"), "--target onnx-fp32") is None
    refusal = too_slow("onnx-int8", compared(0.8, "slower"), "--target onnx-fp32")
    assert str(refusal) == (
        "speed of onnx-int8: expected at least 1 times float32's on this machine, found 0.80 times "
        "(12.5 ms against 10.0 ms for 5 s of speech); use --target onnx-fp32, or --force to write "
        "it for another machine"
    )


def test_what_a_busy_machine_leaves_open_is_not_refused() -> None:
    unknown = compared(0.7, "could not be judged", "it lies between 0.50x and 1.40x")
    assert too_slow("onnx-int8", unknown, "--target onnx-fp32") is None


def test_half_the_file_is_not_refused_for_its_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edge_ser_export.precision.lower.graph_speed", lambda *_: compared(0.93, "slower")
    )
    done, _ = lowered("wav2vec2-group", "onnx-fp16", tmp_path)
    assert done.record["recipe"] == "weights"
    assert (done.record["speed"]["speedup"], done.record["speed"]["outcome"]) == (0.93, "slower")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "best"}, "--recipe: expected one of auto, dynamic, static, found best"),
        ({"cpu": "riscv"}, "--cpu: expected one of auto, x86-vnni, x86, arm64, found riscv"),
        ({"half_form": "both"}, "--fp16-form: expected one of weights, compute, found both"),
    ],
)
def test_unknown_options(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PrecisionOptions(**options).check()  # type: ignore[arg-type]


def test_an_unknown_processor_is_not_taken_for_one_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_ser_export.precision.recipes.integer_preset", lambda: None)
    with pytest.raises(UsageError, match=r"--cpu auto: .* --cpu x86, which holds on every x86"):
        ExportOptions("spectral", target="onnx-int8").check()
    for target, cpu in (("onnx-int8", "x86"), ("onnx-fp16", "auto"), ("onnx-fp32", "auto")):
        ExportOptions("spectral", target=target, precision=PrecisionOptions(cpu=cpu)).check()


@pytest.mark.parametrize("cpu", ["x86-vnni", "arm64"])
def test_integers_that_saturate_here_cannot_be_proved_here(
    cpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_export.precision.options.sums_saturate", lambda: True)
    with pytest.raises(UsageError, match=f"--cpu {cpu}: expected a processor with VNNI"):
        PrecisionOptions(cpu=cpu).check()
    PrecisionOptions(cpu="x86").check()
    PrecisionOptions(cpu=cpu, force=True).check()


@pytest.mark.parametrize("kind", ["wav2vec2-group"])
def test_a_model_that_integers_hardly_reach_is_refused(kind: str, tmp_path: Path) -> None:
    """Its front end is too narrow to be worth quantising: that would not be an INT8 model."""
    done, out = lowered(kind, "onnx-int8", tmp_path, recipe="static")
    assert done.refusal is not None
    assert "of the encoder in integers, limit 95%" in str(done.refusal)
    assert "calibrate" not in done.refusal.advice, "more speech would not help"
    # the attempt that came nearest was written, for who asks for it
    nearest = [c for c in done.record["candidates"] if c["recipe"] == done.record["recipe"]]
    assert done.record["passed"] is False and not nearest[0]["passed"]
    given = answers(open_graph(out), drawn(kind).samples(drawn(kind).judge))
    expected = answers(open_graph(traced(kind).path), drawn(kind).samples(drawn(kind).judge))
    result = compare(expected, given, traced(kind).model.config.partition)
    assert result.vad_max == pytest.approx(nearest[0]["vad_max"], rel=1e-3)


def test_the_traced_graph_stays_as_it_was(tmp_path: Path) -> None:
    kind = "wav2vec2-group"
    before = traced(kind).path.read_bytes()
    lowered(kind, "onnx-fp16", tmp_path)
    assert traced(kind).path.read_bytes() == before
    assert ir.load(tmp_path / "model.onnx").graph.outputs[0].name == "vad"
