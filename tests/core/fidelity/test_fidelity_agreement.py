"""How a group agrees as a whole, when that is judged, and agreement with labels."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.answers import LIMITS, outputs, points

from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import MIN_JUDGED, Fidelity, compare, label_fidelity
from edge_ser.fidelity.limits import Limits, brief, limit_words, percent

LOW = Limits(
    vad=0.5,
    region_logits=10,
    ccc=0.99,
    pearson=0.98,
    vad_p99=0.05,
    angle_mean_degrees=2.0,
    flip_rate=0.1,
    boundary_margin=0.05,
)


def same(**changes: object) -> Fidelity:
    a = outputs()
    return replace(compare(a, a, Partition()), **changes)  # type: ignore[arg-type]


def test_percentiles_and_means_are_over_utterances() -> None:
    a = outputs(101)
    vad = a.vad.astype(np.float64)
    off = np.linspace(0, 0.1, 101)  # utterance 100 is off by 0.1, 99 by 0.099
    moved = Outputs.of((vad + off[:, None] * [0.2, 1, -0.5]).astype(np.float32), a.region_logits)
    result = compare(a, moved, Partition())
    assert result.vad_p99 == pytest.approx(0.099, abs=1e-6)
    assert result.vad_max == pytest.approx(0.1, abs=1e-6)
    assert 0 < result.angle_mean_degrees < result.angle_p99_degrees < result.angle_max_degrees
    assert 0 < result.radius_mean < result.radius_max


def test_radius_mean() -> None:
    a = points((0.9, 0.5, 0.5), (0.6, 0.5, 0.5))
    b = points((0.5, 0.5, 0.9), (0.8, 0.5, 0.5))
    assert compare(a, b, Partition()).radius_mean == pytest.approx(0.2, abs=1e-6)


def test_correlation_does_not_see_a_shift_and_concordance_does() -> None:
    a = outputs(50)
    result = compare(a, Outputs.of(a.vad + np.float32(0.1), a.region_logits), Partition())
    assert result.pearson is not None and result.ccc is not None
    assert result.pearson == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    assert all(0.8 < v < 0.95 for v in result.ccc.values())


def test_head_agreement_is_a_share() -> None:
    a = outputs(10)
    assert a.region_logits is not None
    logits = a.region_logits.copy()
    logits[7, logits[7].argmin()] += 20
    assert compare(a, Outputs.of(a.vad, logits), Partition()).head_agreement == pytest.approx(0.9)
    headless = outputs(10, head=False)
    assert compare(headless, headless, Partition()).head_agreement is None


def test_share_of_changed_regions_outside_and_inside_the_margin() -> None:
    far, near = (0.8, 0.8, 0.8), (0.51, 0.8, 0.8)  # 0.6 and 0.02 from the plane of arousal
    other_far, other_near = (0.2, 0.8, 0.8), (0.49, 0.8, 0.8)
    a = points(far, far, far, far, near, near)
    b = points(far, far, far, other_far, near, other_near)
    result = compare(a, b, Partition(), margin=0.05)
    assert (result.regions_far, result.flips_far) == (4, 1)
    assert (result.flip_rate, result.flip_rate_near) == (0.25, 0.5)


def test_what_is_not_judged_counts_for_the_largest_difference_only() -> None:
    a = outputs(20)
    vad = a.vad.copy()
    vad[3] = 1 - vad[3]
    b = Outputs.of(vad, a.region_logits)
    everything = compare(a, b, Partition(), 0.05)
    judged = compare(a, b, Partition(), 0.05, np.arange(20) != 3)
    assert judged.vad_max == everything.vad_max > 0.1
    assert (judged.count, judged.judged, judged.worst) == (20, 19, 3)
    assert judged.vad_p99 == judged.angle_mean_degrees == judged.radius_mean == 0
    assert judged.ccc == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    assert everything.ccc is not None and min(everything.ccc.values()) < 0.99
    limits = replace(LOW, vad=1.0)
    assert everything.failures(limits) and judged.failures(limits) == []
    # an answer that may not change at all may not change there either
    assert judged.flips_far == everything.flips_far == 1
    assert judged.failures(replace(limits, flip_rate=0.0)) == [
        "1 regions changed away from any boundary"
    ]


def test_nothing_judged_gives_no_agreement() -> None:
    a = outputs(4)
    result = compare(a, a, Partition(), judged=np.zeros(4, bool))
    assert (result.judged, result.ccc, result.pearson) == (0, None, None)
    json.dumps(result.to_dict(), allow_nan=False)
    assert "0 utterances" in result.not_judged(LOW)


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match=r"judged: expected \[4\], found \[3\]"):
        compare(outputs(4), outputs(4), Partition(), judged=np.ones(3, bool))


ONE_BAD = {"arousal": 1.0, "dominance": 0.9, "valence": 1.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ccc": ONE_BAD}, "CCC of dominance is 0.900000, limit 0.99"),
        ({"pearson": ONE_BAD}, "Pearson of dominance is 0.900000, limit 0.98"),
        ({"vad_p99": 0.051}, "99th percentile of VAD differs by 0.0510, limit 0.05"),
        ({"angle_mean_degrees": 2.5}, "mean angle is 2.500°, limit 2°"),
        (
            {"flip_rate": 0.125},
            "12.50% of the regions farther than 0.05 from a boundary changed, limit 10 %",
        ),
    ],
)
def test_limits_of_the_whole_need_enough_utterances(changes: dict[str, object], words: str) -> None:
    assert same(**changes, judged=MIN_JUDGED).failures(LOW) == [words]
    assert same(**changes, judged=MIN_JUDGED - 1).failures(LOW) == []
    assert same(**changes).failures(LIMITS) == []  # where there is no such limit
    if words.startswith(("CCC", "Pearson")):
        not_a_number = {next(iter(changes)): ONE_BAD | {"dominance": float("nan")}}
        assert len(same(**not_a_number).failures(LOW)) == 1


def test_values_at_their_limits_are_within_them() -> None:
    equal = dict.fromkeys(DIMENSIONS, 0.99)
    result = same(ccc=equal, pearson=equal, vad_p99=0.05, angle_mean_degrees=2.0, flip_rate=0.1)
    assert result.failures(LOW) == []


def test_largest_differences_are_judged_of_few_utterances_too() -> None:
    result = same(judged=1, vad_max=0.6, logits_max=11.0, flips_far=3)
    assert result.failures(LOW) == [
        "VAD differs by 0.6000, limit 0.5",
        "region logits differ by 11.0000, limit 10",
    ]
    assert "3 regions changed" in result.failures(replace(LOW, flip_rate=0.0))[-1]


def test_what_was_not_judged_is_said() -> None:
    assert same(judged=MIN_JUDGED).not_judged(LOW) == ""
    assert same(judged=3).not_judged(LIMITS) == ""  # nothing was to be judged
    assert same(judged=3).not_judged(replace(LIMITS, ccc=0.9)) == (
        "CCC not judged: 3 utterances, 8 needed"
    )
    note = same(judged=3).not_judged(LOW)
    for word in ("CCC", "Pearson", "99th percentile", "mean angle", "changed regions"):
        assert word in note


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1e-4, "1e-04"),
        (2.5e-3, "2.5e-03"),
        (0.15, "0.15"),
        (1.5, "1.5"),
        (0.0, "0"),
        (5e-2, "0.05"),
    ],
)
def test_limits_in_few_characters_lose_nothing(value: float, words: str) -> None:
    assert brief(value) == words


def test_limits_in_words() -> None:
    assert limit_words(LIMITS) == (
        "VAD 1e-04 on 0..1, logits 1e-03, no region changed farther than 0.00035 from a boundary"
    )
    words = limit_words(LOW)
    for word in ("CCC at least 0.99", "Pearson at least 0.98", "99 % of VAD 0.05", "angle 2°",
                 "at most 10 % of regions changed farther than 0.05"):  # fmt: skip
        assert word in words
    assert percent(0.005) == "0.5 %"


# --- labels


def test_labels_before_and_after() -> None:
    a = outputs(60)
    noise = np.random.default_rng(5).normal(0, 0.05, a.vad.shape).astype(np.float32)
    b = Outputs.of(a.vad + noise * np.float32([0, 1, 3]), a.region_logits)
    result = label_fidelity(scores_from_unit(a.vad), a, b)
    assert result.count == 60
    assert result.before == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    assert result.after["arousal"] == pytest.approx(1)
    assert result.after["valence"] < result.after["dominance"] < 1
    for d in DIMENSIONS:
        assert result.change[d] == pytest.approx(result.after[d] - result.before[d])
    back = label_fidelity(scores_from_unit(a.vad), b, a)
    assert back.change["valence"] == pytest.approx(-result.change["valence"])
    assert set(json.loads(json.dumps(result.to_dict()))) == {"count", "before", "after", "change"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((4, 3), 4.0), r"expected \[5, 3\], found \[4, 3\]"),
        (np.full(5, 4.0), r"expected \[5, 3\], found \[5\]"),
        (np.full((5, 3), 0.5), r"expected scores on 1..7, found 0.5..0.5"),
        (np.full((5, 3), 7.1), "expected scores on 1..7"),
        (np.full((5, 3), np.nan), "expected scores on 1..7, found nan"),
    ],
)
def test_labels_that_fit_nothing_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        label_fidelity(labels, outputs(5), outputs(5))


def test_one_label_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least two utterances, found 1"):
        label_fidelity(np.full((1, 3), 4.0), outputs(1), outputs(1))
