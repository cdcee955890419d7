"""How far answers moved, for all clips or for those of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit, unit_from_scores
from edge_ser.emotion.sphere import Partition, to_cartesian
from edge_ser.fidelity.points import compare_points

# `[n, 3]` arousal, dominance, valence on 0..1; a row of NaN where a clip was not answered.
Vad = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """The difference of two sets of answers to the same clips.

    Attributes:
        count: clips that both answered.
        vad: mean absolute difference of arousal, dominance and valence, on 0..1.
        angle: mean angle between both points seen from neutral, in degrees.
        flips: share of the clips whose region differs, 0..1.
        ccc: concordance of both, per dimension; None below two clips.
        bias: mean of second minus first, per dimension, on 0..1.
    """

    count: int
    vad: float
    angle: float
    flips: float
    ccc: dict[str, float] | None
    bias: dict[str, float]

    @property
    def worst_ccc(self) -> float | None:
        """Of the dimension that agrees least."""
        return None if self.ccc is None else min(self.ccc.values())

    @property
    def worst_bias(self) -> float:
        """The largest, without its sign."""
        return max(abs(b) for b in self.bias.values())


@dataclass(frozen=True)
class Scores:
    """What became of a set of clips under one condition.

    Attributes:
        change: from the answers to the clean clips; None of the clean ones themselves.
        against: from the other bundle's answers under the same condition; None without one.
        labels: from what people heard; None without labels.
    """

    change: Change | None
    against: Change | None
    labels: Change | None


def change_between(before: Vad, after: Vad, partition: Partition) -> Change | None:
    """Compare answers, clip by clip; None where no clip has both.

    Args:
        before: `[n, 3]`.
        after: `[n, 3]`.
        partition: the regions.
    """
    both = np.isfinite(before).all(1) & np.isfinite(after).all(1)
    if not both.any():
        return None
    first, second = before[both], after[both]
    count = len(first)
    moved = second.astype(np.float64) - first
    points = compare_points(first, second, partition, None, np.ones(count, bool))
    return Change(
        count=count,
        vad=float(np.abs(moved).mean()),
        angle=points["angle_mean_degrees"],
        flips=(points["flips_far"] + points["flips_near"]) / count,
        ccc=points["ccc"],
        bias=dict(zip(DIMENSIONS, moved.mean(0).tolist(), strict=True)),
    )


def unit_labels(labels: Mapping[int, NDArray[np.float64]], count: int) -> Vad:
    """Labels on 1..7 by the position of their clip, as `[count, 3]` on 0..1; NaN without one."""
    rows = np.full((count, len(DIMENSIONS)), np.nan, np.float32)
    for index, scores in labels.items():
        rows[index] = unit_from_scores(scores)
    return rows


def scores_of(
    clean: Vad | None,
    answers: Vad,
    other: Vad | None,
    labels: Vad | None,
    partition: Partition,
) -> Scores:
    """All comparisons of one set of answers; each `[n, 3]` of the same clips, or None."""
    return Scores(
        *(
            None if before is None else change_between(before, answers, partition)
            for before in (clean, other, labels)
        )
    )


def moved_farthest(clean: Vad, answers: Vad) -> NDArray[np.int64]:
    """Positions of the clips that both answered, the one whose point moved most first."""
    both = np.flatnonzero(np.isfinite(clean).all(1) & np.isfinite(answers).all(1))
    points = [to_cartesian(scores_from_unit(vad[both])) for vad in (clean, answers)]
    return both[np.argsort(-np.linalg.norm(points[0] - points[1], axis=1), kind="stable")]


def by_group(groups: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which clips each group has, `[n]`, by its name in the order of the alphabet.

    Args:
        groups: of each clip; "": of none.
    """
    names = np.array(groups)
    return {name: names == name for name in sorted(set(groups) - {""})}
