"""What of a comparison decides, and that nothing else does."""

from dataclasses import replace

import pytest
from helpers.answers import outputs

from edge_ser.emotion.sphere import Partition
from edge_ser.fidelity.compare import Fidelity, compare
from edge_ser.fidelity.limits import FP32_LIMITS, INT8_LIMITS, MIN_JUDGED, Limits
from edge_ser.fidelity.verdict import Verdict


def turned(count: int = 40) -> Fidelity:
    """Agreement as a whole that is lost, of utterances that all are as they should be."""
    same = compare(outputs(count), outputs(count), Partition())
    return replace(same, ccc=dict.fromkeys(same.ccc or (), 0.5), angle_mean_degrees=9.0)


def test_a_group_is_judged_by_its_own_limits() -> None:
    groups = {"single": turned(), "speech": turned()}
    verdict = Verdict(groups, {"single": INT8_LIMITS.of_each, "speech": INT8_LIMITS})
    assert verdict.judged == {"single": INT8_LIMITS.of_each, "speech": INT8_LIMITS}
    assert not verdict.passed
    assert {failure.split(":")[0] for failure in verdict.failures} == {"speech"}
    assert any("mean angle is 9.000°, limit 2°" in failure for failure in verdict.failures)


def test_a_group_without_limits_is_only_shown() -> None:
    broken = replace(turned(), vad_max=1.0)
    verdict = Verdict({"single": turned(), "shown": broken}, {"single": INT8_LIMITS.of_each})
    assert verdict.passed and verdict.failures == verdict.not_judged == []
    assert list(verdict.judged) == ["single"]


def test_what_is_too_few_to_judge_has_no_limit_and_is_named() -> None:
    few = turned(MIN_JUDGED - 1)
    verdict = Verdict({"files": few}, {"files": INT8_LIMITS})
    judged = verdict.judged["files"]
    assert (judged.ccc, judged.angle_mean_degrees, judged.flip_rate) == (None, None, None)
    assert (judged.vad, judged.margin) == (INT8_LIMITS.vad, INT8_LIMITS.margin)
    assert verdict.passed
    (note,) = verdict.not_judged
    assert note.startswith("files: CCC, Pearson") and note.endswith("7 utterances, 8 needed")
    assert not Verdict({"files": turned(MIN_JUDGED)}, {"files": INT8_LIMITS}).passed


@pytest.mark.parametrize("limits", [FP32_LIMITS, INT8_LIMITS, INT8_LIMITS.of_count(1)])
def test_limits_that_were_recorded_judge_as_they_did(limits: Limits) -> None:
    assert Limits(**limits.to_dict()) == limits  # type: ignore[arg-type]
    assert limits.of_count(1).of_count(40) == limits.of_count(1)


def test_no_region_may_change_in_float32_in_a_group_of_any_size() -> None:
    one = replace(compare(outputs(1), outputs(1), Partition()), flips_far=1)
    assert Verdict({"single": one}, {"single": FP32_LIMITS}).failures == [
        "single: 1 regions changed away from any boundary"
    ]
