"""The running mean, and the region that it holds."""

import math

import numpy as np
import pytest

from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.scale import unit_from_scores
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.streaming.smoothing import Smoother

OCTANTS = Partition()


def emotion(arousal: float, dominance: float, valence: float) -> Emotion:
    row = unit_from_scores([[arousal, dominance, valence]]).astype(np.float32)
    return decode(Outputs.of(row), OCTANTS, [3.0], [""])[0]


def test_an_answer_counts_for_less_as_time_goes_by() -> None:
    smoother = Smoother(2.0, 0.05, OCTANTS)
    first = smoother.push(emotion(6, 5, 5), 3.0)
    assert [first.arousal, first.dominance, first.valence] == pytest.approx([6, 5, 5], abs=1e-6)
    second = smoother.push(emotion(4, 5, 5), 3.5)
    kept = math.exp(-0.25)
    assert second.arousal == pytest.approx(4 + 2 * kept, abs=1e-6)
    # after a long pause hardly anything is left of what was before
    assert smoother.push(emotion(2, 5, 5), 60.0).arousal == pytest.approx(2, abs=1e-6)


def test_without_smoothing_it_is_the_answer() -> None:
    smoother = Smoother(0, 0, OCTANTS)
    for arousal in (6, 2, 5):
        one = emotion(arousal, 5, 3)
        smoothed = smoother.push(one, 1.0)
        assert smoothed.region == one.region
        assert smoothed.sphere.to_dict() == pytest.approx(one.sphere.to_dict(), abs=1e-6)


def test_the_mean_is_that_of_the_vector() -> None:
    """On either side of azimuth 180 degrees: the mean of the angles would point the other way."""
    smoother = Smoother(1.0, 0.05, OCTANTS)
    above, below = emotion(2, 5, 4.2), emotion(2, 5, 3.8)
    assert above.sphere.azimuth > 3 and below.sphere.azimuth < -3
    smoother.push(above, 1.0)
    smoothed = smoother.push(below, 1.5)
    assert abs(smoothed.sphere.azimuth) > 3
    assert smoothed.arousal == pytest.approx(2, abs=1e-6)


def test_a_region_does_not_flicker() -> None:
    smoother = Smoother(0, 0.05, OCTANTS)
    held = [smoother.push(emotion(6, 6, 4 + 0.1 * (-1) ** i), i / 2).region for i in range(20)]
    raw = {emotion(6, 6, 4 + 0.1 * (-1) ** i).region.name for i in range(20)}
    assert len(raw) == 2
    assert len(set(held)) == 1
    assert smoother.push(emotion(6, 6, 3.8), 10.5).region != held[0], "margin 0.067"


def test_a_region_whose_boundary_stays_crossed_is_given_up() -> None:
    smoother = Smoother(0, 0.05, OCTANTS)
    first = smoother.push(emotion(6, 6, 4.1), 0.0).region
    regions = [smoother.push(emotion(6, 6, 3.9), 0.5 + i / 2).region for i in range(6)]
    assert [r == first for r in regions] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("seconds", "hysteresis", "words"),
    [
        (-1, 0.05, "smoothing: expected seconds, from 0 on, found -1"),
        (math.inf, 0.05, "smoothing: expected seconds, from 0 on, found inf"),
        (math.nan, 0.05, "smoothing: expected seconds, from 0 on, found nan"),
        (1, 1, "hysteresis: expected a distance, 0 to less than 1, found 1"),
        (1, -0.1, "hysteresis: expected a distance, 0 to less than 1, found -0.1"),
    ],
)
def test_other_numbers_are_refused(seconds: float, hysteresis: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Smoother(seconds, hysteresis, OCTANTS)
