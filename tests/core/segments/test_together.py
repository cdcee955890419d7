"""Pieces of a recording together: of what the mean is taken."""

import numpy as np
import pytest

from edge_ser.emotion.decode import CATEGORY_LOGITS, VAD
from edge_ser.emotion.sphere import Partition
from edge_ser.segments.segment import Together
from edge_ser.segments.windows import Window

RATE = 16_000
NAMES = ("angry", "happy", "sad")


def window(start: float, counted: float = 1.0) -> Window:
    return Window(round(start * RATE), np.zeros(RATE, np.float32), counted * RATE)


def test_the_mean_of_categories_is_that_of_their_probabilities() -> None:
    """Weighted by seconds of speech; the mean of their logits is another one."""
    shares = np.array([[0.98, 0.01, 0.01], [0.1, 0.5, 0.4]])
    together = Together(RATE)
    for start, row, speech in zip((0, 1), shares, (0.25, 0.75), strict=True):
        logits = np.log(row).astype(np.float32) + np.float32(3 * start)
        together.add(window(start), {CATEGORY_LOGITS: logits}, speech)
    whole = together.overall(Partition(), "call.wav", categories=NAMES)
    assert whole.emotion is not None
    expected = 0.25 * shares[0] + 0.75 * shares[1]
    np.testing.assert_allclose(np.asarray(whole.emotion.categories), expected, atol=1e-6)
    assert whole.emotion.category == "happy"


def test_the_mean_of_dimensions_is_that_of_the_vector() -> None:
    together = Together(RATE)
    together.add(window(0), {VAD: np.array([0.2, 0.4, 0.6], np.float32)}, 1.0)
    together.add(window(1, counted=0.5), {VAD: np.array([0.8, 0.4, 0.0], np.float32)}, 1.0)
    emotion = together.overall(Partition(), "call.wav").emotion
    assert emotion is not None
    scores = (emotion.arousal, emotion.dominance, emotion.valence)
    assert scores == pytest.approx((3.4, 3.4, 3.4), abs=1e-5)


def test_a_probability_of_nothing_stays_finite() -> None:
    together = Together(RATE)
    together.add(window(0), {CATEGORY_LOGITS: np.array([200, 0, -200], np.float32)}, 1.0)
    emotion = together.overall(Partition(), "", categories=NAMES).emotion
    assert emotion is not None and emotion.categories is not None
    assert emotion.categories["angry"] == pytest.approx(1)
    assert emotion.categories["sad"] == pytest.approx(0, abs=1e-30)
