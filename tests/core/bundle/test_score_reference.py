"""Intervals that hold labels as often as they say, ranks among answers, and when an answer is
uncertain."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundle_files import seal_as_is

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.calibrated import write_calibrated
from edge_ser.bundle.files import CARD
from edge_ser.bundle.score_reference import (
    ScoreReference,
    computing_files,
    half_widths,
    percentile,
)
from edge_ser.cli import main
from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.probabilities import Probabilities
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError, DataError


def emotion_of(arousal: float, dominance: float, valence: float) -> Emotion:
    vad = (np.array([[arousal, dominance, valence]], np.float32) - 1) / 6
    return decode(Outputs.of(vad), Partition(), [1.0], ["a.wav"])[0]


def reference_of(bundle: Bundle, labels: np.ndarray, answers: np.ndarray) -> ScoreReference:
    files = bundle.manifest.files
    return ScoreReference.of_labelled(answers, labels, 0.9, "x.csv, split Dev", files)


def drawn(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers and labels of a corpus whose errors are skewed, heavy, and larger in valence."""
    labels = rng.uniform(1, 7, (count, 3)).round(1)
    errors = rng.standard_t(3, (count, 3)) * [0.4, 0.6, 0.9] + 0.2
    return (labels + errors).clip(1, 7), labels


def test_the_width_is_the_residual_of_the_finite_sample_rank() -> None:
    residuals = np.stack([np.arange(1.0, 20.0), np.arange(19.0, 0.0, -1.0)], axis=1)
    assert half_widths(residuals, 0.9).tolist() == [18, 18]  # ceil(20 * 0.9) of 19
    assert half_widths(residuals, 0.95).tolist() == [19, 19]
    assert half_widths(residuals[:9], 0.9).tolist() == [9, 19]
    with pytest.raises(DataError, match=r"at least 9 labelled clips .* of 0\.9, found 8"):
        half_widths(residuals[:8], 0.9)


def test_labels_held_out_lie_in_the_intervals_as_often_as_said() -> None:
    coverage, trials, held_out = 0.9, 200, 400
    rng = np.random.default_rng(0)
    inside = np.zeros(3)
    for _ in range(trials):
        answers, labels = drawn(rng, 60)
        widths = half_widths(np.abs(answers - labels), coverage)
        answers, labels = drawn(rng, held_out)
        inside += (np.abs(answers - labels) <= widths).mean(axis=0) / trials
    # of one calibration the share is beta-distributed: (55, 6) has a deviation of 0.038
    error = 3 * np.sqrt(0.038**2 + coverage * (1 - coverage) / held_out) / np.sqrt(trials)
    assert (inside >= coverage - error).all(), inside
    assert (inside <= 55 / 61 + error).all(), "and no wider than that takes"


def test_percentiles() -> None:
    even = tuple(np.linspace(1, 7, 101))
    assert percentile(4.0, even) == 50 and percentile(0.0, even) == 0
    assert percentile(7.5, even) == 100
    assert percentile(2.515, even) == pytest.approx(25.25)
    heaped = tuple([1.0] * 41 + list(np.linspace(1, 7, 61)[1:]))
    assert percentile(1.0, heaped) == 20, "half of those that are equal"


def test_a_bundle_has_them_for_its_own_answers(
    tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    assert bundle.score_reference is None
    answers, labels = drawn(np.random.default_rng(1), 50)
    reference = reference_of(bundle, labels, answers)
    write_calibrated(bundle, reference, tmp_path / "out")
    written = Bundle.open(tmp_path / "out")
    assert written.score_reference == reference
    assert written.fingerprint != bundle.fingerprint
    assert reference.computed_by == computing_files(written.manifest.files) != {}
    emotion = reference.read(emotion_of(4.5, 2, 6.9))
    assert emotion.intervals is not None and emotion.percentiles is not None
    assert reference.half_widths is not None
    width = reference.half_widths["arousal"]
    assert emotion.intervals["arousal"] == pytest.approx((4.5 - width, 4.5 + width), abs=1e-6)
    assert emotion.intervals["valence"][1] == 7
    below = (answers[:, 0] < 4.5).mean() * 100
    assert emotion.percentiles["arousal"] == pytest.approx(below, abs=2.1)
    assert emotion.to_dict()["intervals"]["valence"] == list(emotion.intervals["valence"])
    assert emotion_of(4, 4, 4).to_dict()["intervals"] is None


def test_without_labels_there_are_percentiles_alone(
    tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_bundle())
    answers, _ = drawn(np.random.default_rng(1), 50)
    reference = ScoreReference.of(answers, "clips, synthetic", bundle.manifest.files)
    write_calibrated(bundle, reference, tmp_path / "out")
    assert Bundle.open(tmp_path / "out").score_reference == reference
    emotion = reference.read(emotion_of(4.5, 2, 6.9))
    assert emotion.intervals is None and emotion.percentiles is not None
    assert emotion.percentiles["valence"] == pytest.approx(
        (answers[:, 2] < 6.9).mean() * 100, abs=2.1
    )
    assert reference.words == (
        "percentiles among 50 answers to clips, synthetic; no intervals, as no labels were given"
    )
    assert f"| {reference.words} |" in (tmp_path / "out" / CARD).read_text(encoding="utf-8")
    check_damaged(tmp_path / "out", replace(reference, coverage=0.9))


def check_damaged(folder: Path, reference: ScoreReference) -> None:
    """It is refused where a bundle is opened, and where one is written."""
    sound = Bundle.open(folder)
    words = r"scores\.json: expected quantiles that rise, widths"
    with pytest.raises(BundleError, match=words):
        write_calibrated(sound, reference, folder.with_name("never"))
    assert not folder.with_name("never").exists()
    reference.write(folder)
    seal_as_is(folder, sound.manifest)
    with pytest.raises(BundleError, match=words):
        _ = Bundle.open(folder).score_reference


def test_those_of_another_graph_do_not_count(
    tiny_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle.open(tiny_bundle())
    answers, labels = drawn(np.random.default_rng(1), 50)
    reference = reference_of(bundle, labels, answers)
    write_calibrated(bundle, replace(reference, computed_by={"model.onnx": "0"}), tmp_path / "a")
    assert Bundle.open(tmp_path / "a").score_reference is None
    said = f"none: {reference.words} are of another graph or engine"
    assert said in (tmp_path / "a" / CARD).read_text(encoding="utf-8")
    assert main(["inspect", str(tmp_path / "a")]) == 0
    assert f"scores         {said}\n" in capsys.readouterr().out
    falling = {**reference.quantiles, "valence": reference.quantiles["valence"][::-1]}
    check_damaged(tmp_path / "a", replace(reference, quantiles=falling))


def test_when_an_answer_is_uncertain() -> None:
    sure = emotion_of(5.5, 6, 2)
    assert sure.doubts == () and not sure.is_uncertain
    near = emotion_of(4.03, 6, 2)
    assert near.doubts == ("region: its boundary is 0.010 away, less than 0.05",)
    wide = {"arousal": (3.5, 7.0), "dominance": (3.9, 7.0), "valence": (1.0, 4.0)}
    assert replace(sure, intervals=wide).doubts == (
        "scores: neutral, 4, lies in the interval of each",
    )
    assert not replace(sure, intervals={**wide, "valence": (1.0, 3.9)}).is_uncertain
    names = ("a", "b", "c", "d")
    torn = replace(sure, categories=Probabilities(names, [0.25] * 4), entropy=2.0)
    assert torn.doubts == ("category: 2.00 bits of entropy, above 75% of 2.00",)
    assert not replace(torn, entropy=1.5).is_uncertain
