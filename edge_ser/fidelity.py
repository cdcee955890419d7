"""How far a candidate's outputs are from a reference's, and whether that is the same answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.decode import Outputs
from edge_ser.errors import UsageError
from edge_ser.labels import DIMENSIONS, scores_from_unit
from edge_ser.manifest import Limits
from edge_ser.metrics import ccc
from edge_ser.sphere import Partition, angular_distance, to_cartesian

# Angles of points this near to neutral are noise: one millionth of VAD turns them by degrees.
_MIN_RADIUS = 0.02


@dataclass(frozen=True)
class Fidelity:
    """Differences over a set of utterances.

    Attributes:
        count: utterances compared.
        vad_max: largest absolute difference of any dimension, on 0..1.
        vad_mean: mean of the same.
        ccc: concordance of both, per dimension; None below two utterances.
        logits_max: largest absolute difference of the region logits; None without a head.
        logits_mean: mean of the same.
        angle_max_degrees: largest angle between both points, seen from neutral.
        angle_mean_degrees: mean of the same; points within 0.02 of neutral are left out.
        radius_max: largest difference of the radius.
        regions_far: utterances farther from a region boundary than the margin asked about ...
        flips_far: ... and how many of them changed region: must be 0.
        regions_near: utterances nearer to a boundary than that ...
        flips_near: ... and how many of them changed region.
        head_flips: utterances whose head's arg-max changed; None without a head.
        worst: position of the utterance with the largest difference of VAD.
    """

    count: int
    vad_max: float
    vad_mean: float
    ccc: dict[str, float] | None
    logits_max: float | None
    logits_mean: float | None
    angle_max_degrees: float
    angle_mean_degrees: float
    radius_max: float
    regions_far: int
    flips_far: int
    regions_near: int
    flips_near: int
    head_flips: int | None
    worst: int

    def failures(self, limits: Limits) -> list[str]:
        """Which limits are broken, in words; empty if the answers are the same."""
        broken = []
        if not self.vad_max <= limits.vad:
            broken.append(f"VAD differs by {self.vad_max:.2e}, limit {limits.vad:.0e}")
        if self.logits_max is not None and not self.logits_max <= limits.region_logits:
            broken.append(
                f"region logits differ by {self.logits_max:.2e}, limit {limits.region_logits:.0e}"
            )
        if self.flips_far:
            broken.append(f"{self.flips_far} regions changed away from any boundary")
        return broken

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def compare(
    reference: Outputs, candidate: Outputs, partition: Partition, margin: float | None = None
) -> Fidelity:
    """Compare the outputs of two runs over the same utterances.

    Args:
        reference: `vad [n, 3]`, `region_logits [n, regions]` or None.
        candidate: the same shapes.
        partition: the regions.
        margin: distance from a boundary beyond which a region must not change; None: the distance
            that the utterance moved, beyond which it cannot.

    Raises:
        UsageError: nothing to compare, other shapes, or numbers that are not finite.
    """
    _check(reference, candidate)
    difference = np.abs(reference.vad.astype(np.float64) - candidate.vad)
    points = to_cartesian(scores_from_unit(reference.vad))
    others = to_cartesian(scores_from_unit(candidate.vad))
    distance = np.linalg.norm(points - others, axis=1)
    far = partition.margin(points) > (distance if margin is None else margin)
    flips = partition.index(points) != partition.index(others)
    radius, other_radius = np.linalg.norm(points, axis=1), np.linalg.norm(others, axis=1)
    clear = (radius > _MIN_RADIUS) & (other_radius > _MIN_RADIUS)
    angles = angular_distance(points, others)[clear]
    logits = None
    head_flips = None
    if reference.region_logits is not None and candidate.region_logits is not None:
        logits = np.abs(reference.region_logits.astype(np.float64) - candidate.region_logits)
        head_flips = int(
            (reference.region_logits.argmax(1) != candidate.region_logits.argmax(1)).sum()
        )
    agreement = None
    if difference.shape[0] > 1:
        values = ccc(reference.vad, candidate.vad).tolist()
        agreement = dict(zip(DIMENSIONS, values, strict=True))
    return Fidelity(
        count=difference.shape[0],
        vad_max=float(difference.max()),
        vad_mean=float(difference.mean()),
        ccc=agreement,
        logits_max=None if logits is None else float(logits.max()),
        logits_mean=None if logits is None else float(logits.mean()),
        angle_max_degrees=float(angles.max(initial=0.0)),
        angle_mean_degrees=float(angles.mean()) if angles.size else 0.0,
        radius_max=float(np.abs(radius - other_radius).max()),
        regions_far=int(far.sum()),
        flips_far=int((flips & far).sum()),
        regions_near=int((~far).sum()),
        flips_near=int((flips & ~far).sum()),
        head_flips=head_flips,
        worst=int(difference.max(1).argmax()),
    )


def concatenate(parts: list[Outputs]) -> Outputs:
    """Outputs of several runs as one."""
    logits: list[NDArray[np.float32]] = [
        p.region_logits for p in parts if p.region_logits is not None
    ]
    vad = np.concatenate([p.vad for p in parts])
    return Outputs(vad, np.concatenate(logits) if logits else None)


def _check(reference: Outputs, candidate: Outputs) -> None:
    if reference.vad.shape[0] == 0:
        raise UsageError("comparison", expected="at least one utterance", found="none")
    heads = (reference.region_logits is None, candidate.region_logits is None)
    if heads[0] != heads[1]:
        raise UsageError("comparison", expected="region heads in both or neither", found="one")
    pairs = [("vad", reference.vad, candidate.vad)]
    if reference.region_logits is not None and candidate.region_logits is not None:
        pairs.append(("region_logits", reference.region_logits, candidate.region_logits))
    for name, a, b in pairs:
        if a.shape != b.shape:
            raise UsageError(name, expected=f"{list(a.shape)}", found=f"{list(b.shape)}")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise UsageError(name, expected="finite numbers", found="NaN or infinity")
