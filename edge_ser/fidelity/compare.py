"""How far a candidate's outputs are from a reference's, and whether that is the same answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.heads import HEADS
from edge_ser.emotion.scale import (
    DIMENSIONS,
    SCORE_MAX,
    SCORE_MIN,
    scores_from_unit,
    unit_from_scores,
)
from edge_ser.emotion.sphere import Partition, angular_distance, to_cartesian
from edge_ser.errors import UsageError
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import MIN_JUDGED, SMALL, Limits, brief, percent
from edge_ser.fidelity.metrics import ccc, pearson

# Angles of points this near to neutral are noise: one millionth of VAD turns them by degrees.
_MIN_RADIUS = 0.02


@dataclass(frozen=True)
class Fidelity:
    """Differences over a set of utterances.

    The first block is over all of them. The second, from `judged` on, says how the set agrees as a
    whole, and leaves out those that `compare` was told to; its shares and means are 0 where there
    is nothing to take them of.

    Attributes:
        count: utterances compared.
        vad_max: largest absolute difference of any dimension, on 0..1.
        vad_mean_worst: mean difference of the dimension where it is largest.
        vad_mean: mean difference of all dimensions.
        logits_max: largest absolute difference of the region logits; None without a head.
        logits_mean_worst: mean difference of the region where it is largest.
        logits_mean: mean difference of all regions.
        angle_max_degrees: largest angle between both points, seen from neutral.
        radius_max: largest difference of the radius.
        regions_far: utterances farther from a region boundary than the margin asked about ...
        flips_far: ... and how many of them changed region.
        regions_near: utterances nearer to a boundary than that ...
        flips_near: ... and how many of them changed region.
        head_flips: utterances whose head's arg-max changed; None without a head.
        worst: position of the utterance with the largest difference of VAD.
        judged: utterances of what follows.
        ccc: concordance of both, per dimension; None below two utterances.
        pearson: correlation of both, per dimension; None below two utterances.
        vad_p99: 99th percentile of the utterances' largest absolute difference, on 0..1.
        angle_mean_degrees: mean angle between both points, seen from neutral; here as in the other
            angles, points within 0.02 of neutral are left out.
        angle_p99_degrees: 99th percentile of the same.
        radius_mean: mean absolute difference of the radius.
        flip_rate: share of `judged` utterances outside the margin that changed region.
        flip_rate_near: share of those inside the margin that did.
        head_agreement: share of utterances whose head names the same region; None without a head.
    """

    count: int
    vad_max: float
    vad_mean_worst: float
    vad_mean: float
    logits_max: float | None
    logits_mean_worst: float | None
    logits_mean: float | None
    angle_max_degrees: float
    radius_max: float
    regions_far: int
    flips_far: int
    regions_near: int
    flips_near: int
    head_flips: int | None
    worst: int
    judged: int
    ccc: dict[str, float] | None
    pearson: dict[str, float] | None
    vad_p99: float
    angle_mean_degrees: float
    angle_p99_degrees: float
    radius_mean: float
    flip_rate: float
    flip_rate_near: float
    head_agreement: float | None

    def failures(self, limits: Limits) -> list[str]:
        """Which limits are broken, in words; empty if the answers are the same.

        Limits that so few utterances cannot break or keep are left alone: see `Limits.of_count`.
        """
        judged = limits.of_count(self.judged)
        broken = []
        for kind in HEADS.values():
            largest, limit = getattr(self, kind.figures[0]), kind.limit(judged)
            if largest is not None and not largest <= limit:
                broken.append(f"{kind.differs} by {_over(largest, limit)}")
        if judged.flip_rate == 0 and self.flips_far:
            broken.append(f"{self.flips_far} regions changed away from any boundary")
        return broken + self._disagreements(judged)

    def not_judged(self, limits: Limits) -> str:
        """Which limits were set, but not judged, and why; empty if all were."""
        names = [
            name
            for name, limit in (
                ("CCC", limits.ccc),
                ("Pearson", limits.pearson),
                ("99th percentile of VAD", limits.vad_p99),
                ("mean angle", limits.angle_mean_degrees),
                *((f"mean of {k.measure}", k.mean_limit(limits)) for k in HEADS.values()),
                ("share of changed regions", limits.flip_rate or None),
            )
            if limit is not None
        ]
        if self.judged >= MIN_JUDGED or not names:
            return ""
        return f"{', '.join(names)} not judged: {self.judged} utterances, {MIN_JUDGED} needed"

    def _disagreements(self, limits: Limits) -> list[str]:
        """Broken limits of the group as a whole."""
        broken = []
        for name, values, least in (
            ("CCC", self.ccc, limits.ccc),
            ("Pearson", self.pearson, limits.pearson),
        ):
            for dimension, value in (values or {}).items():
                if least is not None and not value >= least:
                    broken.append(f"{name} of {dimension} is {value:.6f}, limit {least:g}")
        if limits.vad_p99 is not None and not self.vad_p99 <= limits.vad_p99:
            difference = _over(self.vad_p99, limits.vad_p99)
            broken.append(f"99th percentile of VAD differs by {difference}")
        for kind in HEADS.values():
            mean, most = getattr(self, kind.figures[1]), kind.mean_limit(limits)
            if mean is not None and most is not None and not mean <= most:
                broken.append(f"mean of {kind.measure} differs by {_over(mean, most)}")
        most = limits.angle_mean_degrees
        if most is not None and not self.angle_mean_degrees <= most:
            broken.append(f"mean angle is {self.angle_mean_degrees:.3f}°, limit {most:g}°")
        if limits.flip_rate and not self.flip_rate <= limits.flip_rate:
            broken.append(
                f"{self.flip_rate:.2%} of the regions farther than {limits.margin:g} from a "
                f"boundary changed, limit {percent(limits.flip_rate)}"
            )
        return broken

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def compare(
    reference: Outputs,
    candidate: Outputs,
    partition: Partition,
    margin: float | None = None,
    judged: NDArray[np.bool_] | None = None,
) -> Fidelity:
    """Compare the outputs of two runs over the same utterances.

    Args:
        reference: `vad [n, 3]`, `region_logits [n, regions]` or None.
        candidate: the same shapes.
        partition: the regions.
        margin: distance from a boundary beyond which a region must not change; None: the distance
            that the utterance moved, beyond which it cannot.
        judged: `[n]`, the utterances that the agreement of the whole is about; None: all.

    Raises:
        UsageError: nothing to compare, other shapes, or numbers that are not finite.
    """
    _check(reference, candidate)
    difference = np.abs(reference.vad.astype(np.float64) - candidate.vad)
    count = difference.shape[0]
    some = np.ones(count, bool) if judged is None else judged
    if some.shape != (count,):
        raise UsageError("judged", expected=f"[{count}]", found=f"{list(some.shape)}")
    points = to_cartesian(scores_from_unit(reference.vad))
    others = to_cartesian(scores_from_unit(candidate.vad))
    distance = np.linalg.norm(points - others, axis=1)
    far = partition.margin(points) > (distance if margin is None else margin)
    flips = partition.index(points) != partition.index(others)
    radius, other_radius = np.linalg.norm(points, axis=1), np.linalg.norm(others, axis=1)
    radii = np.abs(radius - other_radius)
    clear = (radius > _MIN_RADIUS) & (other_radius > _MIN_RADIUS)
    angles = angular_distance(points, others)
    figures: dict[str, Any] = {}
    for kind in HEADS.values():
        figures |= kind.compared(reference.arrays, candidate.arrays, some)
    return Fidelity(
        **figures,
        count=count,
        angle_max_degrees=float(angles[clear].max(initial=0.0)),
        radius_max=float(radii.max()),
        regions_far=int(far.sum()),
        flips_far=int((flips & far).sum()),
        regions_near=int((~far).sum()),
        flips_near=int((flips & ~far).sum()),
        worst=int(difference.max(1).argmax()),
        judged=int(some.sum()),
        ccc=_per_dimension(ccc, reference.vad[some], candidate.vad[some]),
        pearson=_per_dimension(pearson, reference.vad[some], candidate.vad[some]),
        vad_p99=_p99(difference.max(1)[some]),
        angle_mean_degrees=_mean(angles[clear & some]),
        angle_p99_degrees=_p99(angles[clear & some]),
        radius_mean=_mean(radii[some]),
        flip_rate=_mean(flips[far & some]),
        flip_rate_near=_mean(flips[~far & some]),
    )


def label_fidelity(labels: ArrayLike, reference: Outputs, candidate: Outputs) -> LabelFidelity:
    """Compare the outputs of two runs with labels, as training's evaluation does.

    Args:
        labels: `[n, 3]` arousal, dominance, valence on 1..7.
        reference: `vad [n, 3]` of the same utterances.
        candidate: `vad [n, 3]` of the same utterances.

    Raises:
        UsageError: other shapes, fewer than two utterances, labels off the scale, or numbers that
            are not finite.
    """
    _check(reference, candidate)
    scores = np.asarray(labels, dtype=np.float64)
    if scores.shape != reference.vad.shape:
        shape = f"{list(reference.vad.shape)}"
        raise UsageError("labels", expected=shape, found=f"{list(scores.shape)}")
    if not ((scores >= SCORE_MIN) & (scores <= SCORE_MAX)).all():
        raise UsageError(
            "labels",
            expected=f"scores on {SCORE_MIN:g}..{SCORE_MAX:g}",
            found=f"{scores.min():g}..{scores.max():g}",
        )
    # concordance does not ask for the scale, as long as both sides have the same
    unit = unit_from_scores(scores)
    before = _per_dimension(ccc, unit, reference.vad)
    after = _per_dimension(ccc, unit, candidate.vad)
    if before is None or after is None:
        raise UsageError("labels", expected="at least two utterances", found=str(len(scores)))
    change = {d: after[d] - before[d] for d in DIMENSIONS}
    return LabelFidelity(len(scores), before, after, change)


def concatenate(parts: list[Outputs]) -> Outputs:
    """Outputs of several runs as one."""
    names = parts[0].arrays
    return Outputs({name: np.concatenate([p.arrays[name] for p in parts]) for name in names})


def _check(reference: Outputs, candidate: Outputs) -> None:
    if reference.vad.shape[0] == 0:
        raise UsageError("comparison", expected="at least one utterance", found="none")
    for kind in HEADS.values():
        name = kind.output
        a, b = reference.arrays.get(name), candidate.arrays.get(name)
        if a is None and b is None:
            continue
        if a is None or b is None:
            raise UsageError(
                "comparison", expected=f"{kind.title}s in both or neither", found="one"
            )
        if a.shape != b.shape:
            raise UsageError(name, expected=f"{list(a.shape)}", found=f"{list(b.shape)}")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise UsageError(name, expected="finite numbers", found="NaN or infinity")


def _per_dimension(
    measure: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]], a: ArrayLike, b: ArrayLike
) -> dict[str, float] | None:
    """A measure of agreement between `[n, 3]` and `[n, 3]`, by name; None below two utterances."""
    if np.shape(a)[0] < 2:
        return None
    return dict(zip(DIMENSIONS, measure(a, b).tolist(), strict=True))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


def _p99(values: NDArray[np.float64]) -> float:
    return float(np.percentile(values, 99)) if values.size else 0.0


def _over(value: float, limit: float) -> str:
    """A value and its limit, both as powers of ten or neither."""
    return (
        f"{value:.2e}, limit {brief(limit)}" if limit < SMALL else f"{value:.4f}, limit {limit:g}"
    )
