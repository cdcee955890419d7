"""Answers to the recorded clips: what another machine may change, and what is another model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.limits import INT8_LIMITS, ceiling
from edge_ser.verify import RecordedRuns, agrees_on_recorded, judge, limits_of, run_recorded

# A tenth of a point on 1..7, of what the graph answers on 0..1.
TENTH = 0.1 / 6
# The least that any of the integers' own implementations was seen to differ by, and more.
SEEN = 0.012


@pytest.fixture(scope="module")
def runs() -> RecordedRuns:
    ser = edge_ser.load(threads=1)
    return run_recorded(ser.bundle, ser.session)


def as_target(bundle: Bundle, folder: Path, target: str) -> Bundle:
    """The bundle as one of another target, without the record of a proof that is not its own."""
    manifest = bundle.manifest
    files = tuple(f for f in manifest.files if f.path != "parity.json")
    other = replace(manifest, target=target, limits=ceiling(target), files=files)
    return Bundle(bundle.root, other.with_parts(parity=None))


def moved(runs: RecordedRuns, computation: str, single: float, batched: float) -> RecordedRuns:
    """Answers with constants added to their VAD."""

    def add(outputs: Outputs, value: float) -> Outputs:
        return Outputs.of(outputs.vad + np.float32(value), outputs.region_logits)

    return RecordedRuns(add(runs.single, single), add(runs.batched, batched), computation)


@pytest.mark.parametrize(
    ("target", "computation"),
    [
        *((f"onnx-{p}", c) for p in ("fp32", "fp16", "int8") for c in ("onnx", "openvino")),
        ("onnx-int8", "openvino-bf16"),
        ("trt-bf16", "trt"),
        ("trt-int8", "trt"),
        ("trt-fp8", "onnx"),
    ],
)
def test_a_tenth_of_a_point_is_another_answer(
    target: str, computation: str, ser: edge_ser.Recognizer, runs: RecordedRuns, tmp_path: Path
) -> None:
    bundle = as_target(ser.bundle, tmp_path, target)
    assert judge(bundle, moved(runs, computation, 0, 0)).passed
    for sign in (-1, 1):
        verdict = judge(bundle, moved(runs, computation, sign * TENTH, sign * TENTH))
        assert any(f.startswith("own: ") for f in verdict.failures), (target, computation)


def test_what_other_processors_change_is_no_other_answer(
    ser: edge_ser.Recognizer, runs: RecordedRuns, tmp_path: Path
) -> None:
    bundle = as_target(ser.bundle, tmp_path, "onnx-int8")
    rng = np.random.default_rng(0)
    vad = runs.single.vad + rng.normal(0, 2e-3, runs.single.vad.shape).astype(np.float32)
    vad[3, 1] += SEEN
    noisy = replace(runs, single=Outputs.of(vad, runs.single.region_logits))
    assert judge(bundle, noisy).failures == []


def test_one_region_that_is_wrong_is_another_answer(
    ser: edge_ser.Recognizer, runs: RecordedRuns, tmp_path: Path
) -> None:
    assert runs.single.region_logits is not None
    logits = runs.single.region_logits.copy()
    logits[5] = np.roll(logits[5], 1)
    other = replace(runs, single=Outputs.of(runs.single.vad, logits))
    failures = judge(as_target(ser.bundle, tmp_path, "onnx-int8"), other).failures
    assert any(f.startswith("own: region logits differ by") for f in failures)


def test_recorded_clips_are_judged_as_a_whole_unless_the_export_says_otherwise(
    ser: edge_ser.Recognizer, runs: RecordedRuns, tmp_path: Path
) -> None:
    bundle = as_target(ser.bundle, tmp_path, "onnx-int8")
    assert agrees_on_recorded(bundle)
    assert judge(bundle, runs).judged["recorded"] == INT8_LIMITS
    parity = ser.manifest.parity
    assert parity is not None
    of_each = replace(parity, judged={"recorded": INT8_LIMITS.of_each.to_dict()})
    told = Bundle(bundle.root, bundle.manifest.with_parts(parity=of_each))
    assert not agrees_on_recorded(told)
    judged = judge(told, runs).judged
    assert judged["recorded"] == judged["batched"] == INT8_LIMITS.of_each
    # what travels is held to the bundle's own answers all the same
    assert not judge(told, moved(runs, "onnx", TENTH, TENTH)).passed


def test_a_target_that_is_not_known_is_judged_by_the_loosest_known(
    ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    bundle = as_target(ser.bundle, tmp_path, "npu-int4")
    loose = replace(bundle.manifest, limits=replace(INT8_LIMITS, vad=0.5, ccc=0.5))
    limits, notes = limits_of(Bundle(bundle.root, loose))
    assert limits == INT8_LIMITS
    assert notes == (
        "the manifest's limits are weaker than npu-int4 allows, and were replaced: vad 0.5 "
        "(at most 0.15), ccc 0.5 (at least 0.995)",
    )


def test_a_clip_that_ran_alone_and_in_a_batch_counts_once(ser: edge_ser.Recognizer) -> None:
    bundle = ser.bundle
    verdict = judge(bundle, run_recorded(bundle, ser.session))
    count = len(bundle.golden().names)
    assert verdict.groups["own"].count == 2 * count
    assert verdict.groups["own"].judged == count
