"""Scores of answers against labels, on numbers whose scores are known."""

import numpy as np
import pytest

from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.metrics import ccc
from edge_ser.scoring.budgets import broken, parse_least
from edge_ser.scoring.scores import DimensionScores, regions_of, score_dimensions, score_regions


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and answers that are half label and half noise."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(4, 0.8, (count, 3))
    return labels, 4 + 0.5 * (labels - 4) + rng.normal(0, 0.4, (count, 3))


def test_figures_are_those_of_their_formulas() -> None:
    labels = np.array([[1.0, 2, 3], [3, 2, 5], [5, 6, 7], [7, 6, 5]])
    answers = labels + np.array([[1.0, 0, 0], [-1, 0, 0], [1, 0, 2], [-1, 0, -2]])
    scores = score_dimensions(labels, answers)
    assert list(scores) == ["arousal", "dominance", "valence"]
    arousal, dominance, valence = scores.values()
    # labels 1 3 5 7, answers 2 2 6 6: cov 4, variances 5 and 4
    assert arousal.ccc == pytest.approx(2 * 4 / 9)
    assert arousal.pearson == pytest.approx(4 / np.sqrt(20))
    assert (arousal.mae, arousal.rmse) == (1, 1)
    assert (dominance.ccc, dominance.pearson, dominance.mae, dominance.rmse) == (1, 1, 0, 0)
    assert (dominance.ccc_low, dominance.ccc_high) == (1, 1)
    assert (valence.mae, valence.rmse) == (1, pytest.approx(np.sqrt(2)))


def test_the_interval_holds_the_true_value_nineteen_times_of_twenty() -> None:
    truth = 2 * 0.5 * 0.64 / (0.64 + 0.25 * 0.64 + 0.16)
    inside = 0
    for seed in range(40):
        for s in score_dimensions(*drawn(200, seed)).values():
            assert s.ccc_low < s.ccc < s.ccc_high
            inside += s.ccc_low <= truth <= s.ccc_high
    assert 0.90 * 120 <= inside <= 0.99 * 120


def test_more_clips_make_the_interval_narrower_and_the_same_clips_the_same() -> None:
    few, many = (score_dimensions(*drawn(n, 1))["valence"] for n in (100, 1600))
    ratio = (few.ccc_high - few.ccc_low) / (many.ccc_high - many.ccc_low)
    assert 2.5 < ratio < 6, "the square root of sixteen"
    assert score_dimensions(*drawn(100, 1))["valence"] == few


def test_answers_off_the_scale_are_seen_in_the_scores() -> None:
    labels, _ = drawn(50, 2)
    wide = 4 + 3 * (labels - 4)
    assert wide.max() > 7
    assert score_dimensions(labels, wide)["arousal"].ccc == pytest.approx(
        float(ccc(wide, labels)[0])
    )


def test_regions_are_counted_by_label_and_answer() -> None:
    partition = Partition()
    labels = np.array([[6.0, 6, 6], [6, 6, 6], [2, 2, 2], [6, 2, 2]])
    answers = np.array([[6.0, 6, 6], [2, 6, 6], [2, 2, 2], [9, 2, -1]])
    truth, said = regions_of(labels, partition), regions_of(answers, partition)
    assert [partition.regions[i].name for i in truth] == ["I", "I", "VII", "VIII"]
    scores = score_regions(truth, said, partition)
    assert scores.accuracy == 0.75
    counts = np.array(scores.confusion)
    assert counts.shape == (8, 8) and counts.sum() == 4
    assert counts[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert counts[6, 6] == counts[7, 7] == 1


# --- limits


def scored(**ccc_by_name: float) -> dict[str, DimensionScores]:
    return {n: DimensionScores(c, c, c, c, 0, 0) for n, c in ccc_by_name.items()}


def test_limits_hold_for_one_dimension_or_for_each() -> None:
    assert parse_least(["valence=.5", "arousal=0.6"]) == {"valence": 0.5, "arousal": 0.6}
    assert parse_least(["0.4"]) == dict.fromkeys(("arousal", "dominance", "valence"), 0.4)
    scores = scored(arousal=0.6, dominance=0.3, valence=float("nan"))
    limits = {"arousal": 0.6, "dominance": 0.4, "valence": 0.1}
    assert broken(limits, scores) == [
        "CCC of dominance is 0.300, limit 0.4",
        "CCC of valence is nan, limit 0.1",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["joy=0.5"], "NAME arousal, dominance, valence, found joy=0.5"),
        (["valence=high"], "found valence=high"),
        (["valence=1.2"], "a number in -1..1"),
        (["nan"], "found nan"),
        (["0.4", "valence=0.5"], "expected one limit of valence, found two"),
    ],
)
def test_limits_that_are_refused(given: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=f"--min-ccc: .*{words}"):
        parse_least(given)
