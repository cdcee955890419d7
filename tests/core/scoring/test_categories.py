"""Scores of categories: spellings, means over those with labels, and what has no part in them."""

import numpy as np
import pytest

from edge_ser.errors import DataError
from edge_ser.scoring.categories import meaning, score_categories

NAMES = ("angry", "happy", "neutral", "sad")


def test_means_are_those_of_the_definitions() -> None:
    labels = ["angry", "angry", "angry", "happy", "sad", "sad"]
    answers = np.array([0, 0, 1, 1, 2, 3])
    scores = score_categories(NAMES, labels, answers, "t.csv")
    assert scores.confusion == ((2, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0), (0, 0, 1, 1))
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.uar == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)  # nobody was labelled neutral
    assert scores.macro_f1 == pytest.approx((4 / 5 + 2 / 3 + 2 / 3) / 3)
    neutral = scores.each["neutral"]
    assert (neutral.clips, neutral.recall, neutral.precision, neutral.f1) == (0, None, 0.0, None)
    assert scores.uar_low <= scores.uar <= scores.uar_high
    assert scores == score_categories(NAMES, labels, answers, "t.csv")


def test_the_interval_narrows_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (40, 4000):
        truth = rng.integers(0, 4, count)
        answers = np.where(rng.random(count) < 0.7, truth, rng.integers(0, 4, count))
        scores = score_categories(NAMES, [NAMES[i] for i in truth], answers, "t.csv")
        widths.append(scores.uar_high - scores.uar_low)
    assert widths[1] < 0.05
    assert widths[0] > 0.15


@pytest.mark.parametrize(
    ("label", "position"),
    [("A", 0), ("anger", 0), ("HAPPINESS", 1), ("hap", 1), ("Neu", 2), (" sadness ", 3), ("S", 3)],
)
def test_spellings_of_corpora(label: str, position: int) -> None:
    scores = score_categories(NAMES, [label, "angry"], np.array([position, 0]), "t.csv")
    assert scores.accuracy == 1 and scores.others == {}


def test_a_model_that_tells_two_of_a_meaning_apart_knows_them_by_their_own_names() -> None:
    known = meaning(("happy", "joy", "sad"))
    assert (known["happy"], known["joy"], known["s"]) == (0, 1, 2)
    assert "happiness" not in known and "h" not in known


def test_labels_that_the_model_does_not_know_have_no_part() -> None:
    scores = score_categories(NAMES, ["angry", "O", "sad", "", "O"], np.array([0, 0, 3, 1, 1]), "t")
    assert (scores.clips, scores.accuracy, scores.others) == (2, 1.0, {"O": 2, "none": 1})
    with pytest.raises(DataError, match=r"t.csv: expected labels of the model's categories, angry"):
        score_categories(NAMES, ["O", "X", "angry"], np.array([0, 0, 0]), "t.csv")
