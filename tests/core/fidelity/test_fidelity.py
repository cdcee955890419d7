"""How far two sets of outputs are apart, and which differences are a different answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.answers import LIMITS, outputs, points

from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.fidelity.limits import Limits


@pytest.mark.parametrize("head", [True, False])
def test_identical_outputs_differ_by_nothing(head: bool) -> None:
    a = outputs(head=head)
    result = compare(a, a, Partition())
    assert result.count == 40
    assert result.vad_max == result.vad_mean == result.radius_max == 0
    assert result.angle_max_degrees == pytest.approx(0, abs=1e-6)
    assert result.flips_far == result.flips_near == 0
    assert result.regions_far == 40 and result.regions_near == 0
    assert result.logits_max == result.logits_mean == result.head_flips == (0 if head else None)
    assert result.ccc == pytest.approx({"arousal": 1, "dominance": 1, "valence": 1})
    assert result.failures(LIMITS) == []


def test_differences_are_largest_and_mean_of_any_dimension() -> None:
    a = points((0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    b = points((0.2, 0.2, 0.3), (0.8, 0.6, 0.8))
    result = compare(a, b, Partition())
    assert result.vad_max == pytest.approx(0.2, abs=1e-6)
    assert result.vad_mean == pytest.approx(0.3 / 6, abs=1e-6)
    assert result.worst == 1


def test_logits_and_changes_of_the_heads_answer() -> None:
    a = outputs(10)
    assert a.region_logits is not None
    logits = a.region_logits.copy()
    logits[3] += 0.25  # the same answer
    logits[7, logits[7].argmin()] += 20
    result = compare(a, Outputs.of(a.vad, logits), Partition())
    assert result.logits_max == pytest.approx(20, abs=1e-5)
    assert result.logits_mean == pytest.approx((8 * 0.25 + 20) / 80, abs=1e-5)
    assert result.head_flips == 1


def test_angle_and_radius() -> None:
    # a quarter turn of azimuth at equal radius, then a stretch
    a = points((0.9, 0.5, 0.5), (0.6, 0.5, 0.5))
    b = points((0.5, 0.5, 0.9), (0.8, 0.5, 0.5))
    result = compare(a, b, Partition())
    assert result.angle_max_degrees == pytest.approx(90, abs=1e-4)
    assert result.angle_mean_degrees == pytest.approx(45, abs=1e-4)
    assert result.radius_max == pytest.approx(0.4, abs=1e-6)


def test_angles_of_points_next_to_neutral_are_left_out() -> None:
    a, b = points((0.5001, 0.5, 0.5)), points((0.4999, 0.5, 0.5))
    result = compare(a, b, Partition())
    assert result.angle_max_degrees == result.angle_mean_degrees == 0


def test_a_region_that_changes_near_its_boundary_is_counted_as_near() -> None:
    a = points((0.50001, 0.9, 0.9), (0.9, 0.9, 0.9))
    b = points((0.49999, 0.9, 0.9), (0.9, 0.9, 0.9))
    result = compare(a, b, Partition())
    assert (result.regions_near, result.flips_near) == (1, 1)
    assert (result.regions_far, result.flips_far) == (1, 0)
    assert result.failures(LIMITS) == []


def test_a_wrong_answer_fails_even_if_it_crossed_boundaries() -> None:
    a, b = points((0.9, 0.9, 0.9)), points((0.1, 0.1, 0.1))
    result = compare(a, b, Partition())
    assert result.flips_far + result.flips_near == 1
    assert result.failures(LIMITS)


def test_concordance_needs_two_utterances() -> None:
    a = outputs(1)
    assert compare(a, a, Partition()).ccc is None


def test_concordance_is_per_dimension() -> None:
    a = outputs(50)
    vad = a.vad.copy()
    vad[:, 2] = 1 - vad[:, 2]
    result = compare(a, Outputs.of(vad, a.region_logits), Partition())
    assert result.ccc is not None
    assert result.ccc["arousal"] == pytest.approx(1)
    assert result.ccc["valence"] < -0.9


def test_limits_name_what_is_broken() -> None:
    same = compare(outputs(), outputs(), Partition())
    assert replace(same, vad_max=1e-4, logits_max=1e-3).failures(LIMITS) == []
    for change, word in (
        ({"vad_max": 1.1e-4}, "VAD differs by 1.10e-04, limit 1e-04"),
        ({"logits_max": 0.5}, "region logits differ by 5.00e-01, limit 1e-03"),
        ({"flips_far": 2}, "2 regions changed"),
    ):
        (line,) = replace(same, **change).failures(LIMITS)  # type: ignore[arg-type]
        assert word in line
    all_three = replace(same, vad_max=1.0, logits_max=1.0, flips_far=1)
    assert len(all_three.failures(LIMITS)) == 3


@pytest.mark.parametrize("field", ["vad_max", "logits_max"])
def test_not_a_number_is_outside_every_limit(field: str) -> None:
    same = compare(outputs(), outputs(), Partition())
    assert replace(same, **{field: float("nan")}).failures(LIMITS)  # type: ignore[arg-type]


def test_without_a_head_its_limit_does_not_count() -> None:
    a = outputs(head=False)
    assert compare(a, a, Partition()).failures(Limits(1e-4, 0)) == []


def test_comparing_nothing_is_refused() -> None:
    nothing = Outputs.of(np.zeros((0, 3), np.float32), None)
    with pytest.raises(UsageError, match="expected at least one utterance, found none"):
        compare(nothing, nothing, Partition())


def test_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"vad: expected \[4, 3\], found \[3, 3\]"):
        compare(outputs(4), outputs(3), Partition())
    a = outputs(4)
    wide = Outputs.of(a.vad, np.zeros((4, 19), np.float32))
    with pytest.raises(UsageError, match=r"region_logits: expected \[4, 8\], found \[4, 19\]"):
        compare(a, wide, Partition())


def test_a_head_on_one_side_only_is_refused() -> None:
    for a, b in ((True, False), (False, True)):
        with pytest.raises(UsageError, match="region heads in both or neither"):
            compare(outputs(head=a), outputs(head=b), Partition())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["vad", "region_logits"])
@pytest.mark.parametrize("side", [0, 1])
def test_numbers_that_are_not_finite_are_refused(bad: float, name: str, side: int) -> None:
    pair = [outputs(), outputs()]
    getattr(pair[side], name)[2, 1] = bad
    with pytest.raises(UsageError, match=f"{name}: expected finite numbers"):
        compare(*pair, Partition())


def test_concatenate_keeps_the_order() -> None:
    a, b = outputs(3, 1), outputs(2, 2)
    both = concatenate([a, b])
    assert both.vad.tolist() == a.vad.tolist() + b.vad.tolist()
    assert both.region_logits is not None and both.region_logits.shape == (5, 8)
    assert concatenate([outputs(3, head=False), outputs(1, head=False)]).region_logits is None


def test_to_dict_is_plain_json() -> None:
    result = compare(outputs(), outputs(), Partition())
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert back["count"] == 40 and back["ccc"]["valence"] == pytest.approx(1)
