"""How far two classifiers' answers are apart, and which limits judge that."""

import numpy as np
import pytest

from edge_ser.emotion.decode import CATEGORY_LOGITS, Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import Fidelity, compare
from edge_ser.fidelity.limits import FP32_LIMITS, INT8_LIMITS, Limits, limit_words


def logits(*shares: tuple[float, ...]) -> Outputs:
    return Outputs({CATEGORY_LOGITS: np.log(np.array(shares)).astype(np.float32)})


SURE, TIED = (0.7, 0.2, 0.1), (0.41, 0.4, 0.19)


def compared(before: Outputs, after: Outputs, margin: float | None = None) -> Fidelity:
    return compare(before, after, Partition(), margin)


def test_differences_are_of_probabilities() -> None:
    result = compared(logits(SURE, TIED), logits((0.6, 0.3, 0.1), TIED))
    assert result.probability_max == pytest.approx(0.1, abs=1e-6)
    assert result.largest == result.probability_max
    assert result.probability_mean == pytest.approx(0.2 / 6, abs=1e-6)
    expected = (0.7 * np.log(0.7 / 0.6) + 0.2 * np.log(0.2 / 0.3)) / 2
    assert result.divergence_mean == pytest.approx(expected, abs=1e-6)
    assert result.category_agreement == 1
    assert (result.measure, result.worst, result.count) == ("probabilities", 0, 2)
    assert (result.vad_max, result.angle_max_degrees, result.ccc) == (None, None, None)


def test_logits_that_differ_by_a_constant_are_the_same_answer() -> None:
    a = logits(SURE)
    shifted = Outputs({CATEGORY_LOGITS: a.arrays[CATEGORY_LOGITS] + np.float32(3)})
    result = compared(a, shifted)
    assert result.probability_max < 1e-6
    assert result.failures(FP32_LIMITS) == []


def test_a_category_may_change_near_a_tie_and_nowhere_else() -> None:
    near = compared(logits(TIED), logits((0.4, 0.41, 0.19)), 0.02)
    assert (near.categories_far, near.category_flips_far, near.category_flips_near) == (0, 0, 1)
    far = compared(logits(SURE), logits((0.2, 0.7, 0.1)), 0.02)
    assert (far.categories_far, far.category_flips_far, far.category_flips_near) == (1, 1, 0)
    loose = Limits(vad=1, region_logits=1)
    assert near.failures(loose) == []
    assert "1 categories changed away from any tie" in far.failures(loose)
    assert (near.changed, far.changed) == (1, 1)


def test_a_share_of_changed_categories_is_judged_in_groups_that_are_large_enough() -> None:
    before = logits(*[SURE] * 40)
    flipped = logits(*[SURE] * 39, (0.45, 0.46, 0.09))
    result = compared(before, flipped, INT8_LIMITS.margin)
    assert result.category_flip_rate == pytest.approx(1 / 40)
    failures = result.failures(INT8_LIMITS)
    assert any("of the categories farther than 0.05 from a tie changed" in f for f in failures)
    few = compared(logits(SURE, SURE), logits(SURE, (0.62, 0.27, 0.11)), INT8_LIMITS.margin)
    assert few.failures(INT8_LIMITS) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ((0.5, 0.4, 0.1), "categories' probabilities differ by 0.2000, limit 0.15"),
        ((0.7997, 0.2, 0.0003), "mean of categories' divergence differs by"),
    ],
)
def test_limits_that_break(after: tuple[float, ...], words: str) -> None:
    failures = compared(logits(SURE), logits(after), 0.05).failures(INT8_LIMITS)
    assert any(words in failure for failure in failures)


def test_a_head_on_one_side_only_is_refused() -> None:
    a = logits(SURE)
    b = Outputs(a.arrays | {"vad": np.zeros((1, 3), np.float32)})
    with pytest.raises(UsageError, match="VAD heads in both or neither"):
        compared(a, b)


def test_both_heads_are_compared_beside_each_other() -> None:
    vad = np.full((2, 3), 0.5, np.float32)
    a = Outputs({"vad": vad} | dict(logits(SURE, TIED).arrays))
    b = Outputs({"vad": vad + np.float32(0.2)} | dict(logits((0.6, 0.3, 0.1), TIED).arrays))
    result = compared(a, b)
    assert result.vad_max == pytest.approx(0.2)
    assert result.probability_max == pytest.approx(0.1, abs=1e-6)
    assert result.largest == result.vad_max
    assert result.measure == "VAD and probabilities"
    assert result.classes_of(1) == "region or category"


def test_limits_in_words_are_of_what_there_is() -> None:
    words = limit_words(INT8_LIMITS, has_dimensions=False, has_categories=True)
    assert words == (
        "probabilities 0.15, mean divergence 0.015 nats, 99 % of probabilities 0.05, at most 1 % "
        "of categories changed where the first was ahead by more than 0.05"
    )


def test_what_is_not_judged_is_said_of_what_there_is() -> None:
    few = compared(logits(SURE, SURE), logits(SURE, SURE), 0.05)
    assert few.not_judged(INT8_LIMITS) == (
        "99th percentile of probabilities, share of changed categories not judged: 2 utterances, "
        "8 needed"
    )
