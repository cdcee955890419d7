"""How far a candidate's outputs are from a reference's, and whether that is the same answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.emotion.decode import CATEGORY_LOGITS, VAD, Outputs
from edge_ser.emotion.heads import HEADS
from edge_ser.emotion.scale import (
    DIMENSIONS,
    SCORE_MAX,
    SCORE_MIN,
    unit_from_scores,
)
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.choices import compare_choice, farthest
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import MIN_JUDGED, SMALL, Limits, brief, percent
from edge_ser.fidelity.metrics import ccc
from edge_ser.fidelity.points import NO_POINTS, compare_points, per_dimension


@dataclass(frozen=True)
class Fidelity:
    """Differences over a set of utterances.

    The first block is over all of them. The second, from `judged` on, says how the set agrees as a
    whole, and leaves out those that `compare` was told to; its shares and means are 0 where there
    is nothing to take them of. What is about dimensions or categories is None in a model without.

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
        probability_max: largest absolute difference of a category's probability.
        probability_mean: mean of all.
        probability_p99: 99th percentile of the utterances' largest difference.
        divergence_mean: mean divergence of the probabilities from the reference's, in nats.
        category_agreement: share of utterances whose most probable category is the same.
        categories_far: utterances whose two best categories are farther apart than the margin ...
        category_flips_far: ... and how many of them changed category.
        categories_near: the others ...
        category_flips_near: ... and how many of them did.
        category_flip_rate: share of `judged` utterances outside the margin that changed category.
    """

    count: int
    vad_max: float | None
    vad_mean_worst: float | None
    vad_mean: float | None
    logits_max: float | None
    logits_mean_worst: float | None
    logits_mean: float | None
    angle_max_degrees: float | None
    radius_max: float | None
    regions_far: int
    flips_far: int
    regions_near: int
    flips_near: int
    head_flips: int | None
    worst: int
    judged: int
    ccc: dict[str, float] | None
    pearson: dict[str, float] | None
    vad_p99: float | None
    angle_mean_degrees: float | None
    angle_p99_degrees: float | None
    radius_mean: float | None
    flip_rate: float
    flip_rate_near: float
    head_agreement: float | None
    probability_max: float | None = None
    probability_mean: float | None = None
    probability_p99: float | None = None
    divergence_mean: float | None = None
    category_agreement: float | None = None
    categories_far: int | None = None
    category_flips_far: int | None = None
    categories_near: int | None = None
    category_flips_near: int | None = None
    category_flip_rate: float | None = None

    @property
    def largest(self) -> float:
        """Largest difference of what is on 0..1: dimensions and probabilities."""
        return max(v for v in (self.vad_max, self.probability_max) if v is not None)

    @property
    def p99(self) -> float:
        """99th percentile of the same; where a model has both, of the worse."""
        return max(v for v in (self.vad_p99, self.probability_p99) if v is not None)

    @property
    def mean(self) -> float:
        """Mean of the same; where a model has both, of the worse."""
        return max(v for v in (self.vad_mean, self.probability_mean) if v is not None)

    @property
    def measure(self) -> str:
        """What `largest` is of, for people."""
        names = ("VAD", self.vad_max), ("probabilities", self.probability_max)
        return " and ".join(name for name, value in names if value is not None)

    def classes_of(self, count: int) -> str:
        """What `changed` counts, for people, in the number that goes with a count."""
        words = [
            one if count == 1 else many
            for largest, one, many in (
                (self.vad_max, "region", "regions"),
                (self.probability_max, "category", "categories"),
            )
            if largest is not None
        ]
        return " or ".join(words)

    @property
    def changed(self) -> int:
        """Utterances that changed region, and those that changed category."""
        near, far = self.category_flips_near or 0, self.category_flips_far or 0
        return self.flips_far + self.flips_near + near + far

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
        if judged.flip_rate == 0 and self.category_flips_far:
            broken.append(f"{self.category_flips_far} categories changed away from any tie")
        return broken + self._disagreements(judged)

    def not_judged(self, limits: Limits) -> str:
        """Which limits were set, but not judged, and why; empty if all were."""
        points = self.vad_max is not None
        names = [
            name
            for name, limit in (
                ("CCC", limits.ccc if points else None),
                ("Pearson", limits.pearson if points else None),
                (f"99th percentile of {self.measure}", limits.vad_p99),
                ("mean angle", limits.angle_mean_degrees if points else None),
                *(
                    (f"mean of {k.measure}", k.mean_limit(limits))
                    for k in HEADS.values()
                    if k.mean_limit(limits.of_each) is None
                ),
                (f"share of changed {self.classes_of(2)}", limits.flip_rate or None),
            )
            if limit is not None
        ]
        if self.judged >= MIN_JUDGED or not names:
            return ""
        return f"{', '.join(names)} not judged: {self.judged} utterances, {MIN_JUDGED} needed"

    def _disagreements(self, limits: Limits) -> list[str]:
        """Broken limits of the group as a whole."""
        broken = []
        for name, values, limit in (
            ("CCC", self.ccc, limits.ccc),
            ("Pearson", self.pearson, limits.pearson),
        ):
            for dimension, value in (values or {}).items():
                if limit is not None and not value >= limit:
                    broken.append(f"{name} of {dimension} is {value:.6f}, limit {limit:g}")
        for what, p99 in (("VAD", self.vad_p99), ("probabilities", self.probability_p99)):
            if limits.vad_p99 is not None and p99 is not None and not p99 <= limits.vad_p99:
                difference = _over(p99, limits.vad_p99)
                broken.append(f"99th percentile of {what} differs by {difference}")
        for kind in HEADS.values():
            mean, most = getattr(self, kind.figures[1]), kind.mean_limit(limits)
            if mean is not None and most is not None and not mean <= most:
                broken.append(f"mean of {kind.measure} differs by {_over(mean, most)}")
        most, angle = limits.angle_mean_degrees, self.angle_mean_degrees
        if most is not None and angle is not None and not angle <= most:
            broken.append(f"mean angle is {angle:.3f}°, limit {most:g}°")
        if limits.flip_rate and not self.flip_rate <= limits.flip_rate:
            broken.append(
                f"{self.flip_rate:.2%} of the regions farther than {limits.margin:g} from a "
                f"boundary changed, limit {percent(limits.flip_rate)}"
            )
        rate = self.category_flip_rate
        if limits.flip_rate and rate is not None and not rate <= limits.flip_rate:
            broken.append(
                f"{rate:.2%} of the categories farther than {limits.margin:g} from a tie changed, "
                f"limit {percent(limits.flip_rate)}"
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
        reference: `[n, width]` of each head.
        candidate: the same shapes.
        partition: the regions.
        margin: distance from a boundary beyond which a region must not change, and of the two most
            probable categories beyond which the first must not; None: what the utterance moved,
            beyond which they cannot.
        judged: `[n]`, the utterances that the agreement of the whole is about; None: all.

    Raises:
        UsageError: nothing to compare, other shapes, or numbers that are not finite.
    """
    _check(reference, candidate)
    count = reference.count
    some = np.ones(count, bool) if judged is None else judged
    if some.shape != (count,):
        raise UsageError("judged", expected=f"[{count}]", found=f"{list(some.shape)}")
    figures: dict[str, Any] = {}
    for kind in HEADS.values():
        figures |= kind.compared(reference.arrays, candidate.arrays, some)
    if CATEGORY_LOGITS in reference.arrays:
        sides = (reference.arrays[CATEGORY_LOGITS], candidate.arrays[CATEGORY_LOGITS])
        figures |= compare_choice(*sides, margin, some)
    if VAD in reference.arrays:
        figures |= compare_points(reference.vad, candidate.vad, partition, margin, some)
    else:
        figures |= NO_POINTS | {"worst": farthest(reference, candidate)}
    return Fidelity(**figures, count=count, judged=int(some.sum()))


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
    before = per_dimension(ccc, unit, reference.vad)
    after = per_dimension(ccc, unit, candidate.vad)
    if before is None or after is None:
        raise UsageError("labels", expected="at least two utterances", found=str(len(scores)))
    change = {d: after[d] - before[d] for d in DIMENSIONS}
    return LabelFidelity(len(scores), before, after, change)


def concatenate(parts: list[Outputs]) -> Outputs:
    """Outputs of several runs as one."""
    names = parts[0].arrays
    return Outputs({name: np.concatenate([p.arrays[name] for p in parts]) for name in names})


def _check(reference: Outputs, candidate: Outputs) -> None:
    if not reference.count:
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


def _over(value: float, limit: float) -> str:
    """A value and its limit, both as powers of ten or neither."""
    return (
        f"{value:.2e}, limit {brief(limit)}" if limit < SMALL else f"{value:.4f}, limit {limit:g}"
    )
