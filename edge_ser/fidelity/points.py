"""How far two models' points are apart: angles, radii, regions, and how they agree as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit
from edge_ser.emotion.sphere import Partition, angular_distance, to_cartesian
from edge_ser.fidelity.metrics import ccc, pearson

# Angles of points this near to neutral are noise: one millionth of VAD turns them by degrees.
_MIN_RADIUS = 0.02

# What `compare_points` says of a model without dimensions.
NO_POINTS: dict[str, Any] = {
    **dict.fromkeys((
        "angle_max_degrees", "radius_max", "ccc", "pearson", "vad_p99", "angle_mean_degrees",
        "angle_p99_degrees", "radius_mean",
    )),
    **dict.fromkeys(("regions_far", "flips_far", "regions_near", "flips_near"), 0),
    **dict.fromkeys(("flip_rate", "flip_rate_near"), 0.0),
}  # fmt: skip


def compare_points(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    partition: Partition,
    margin: float | None,
    judged: NDArray[np.bool_],
) -> dict[str, Any]:
    """Differences of points `[n, 3]` on 0..1, as fields of `Fidelity`."""
    difference = np.abs(reference.astype(np.float64) - candidate)
    points = to_cartesian(scores_from_unit(reference))
    candidate_points = to_cartesian(scores_from_unit(candidate))
    distance = np.linalg.norm(points - candidate_points, axis=1)
    far = partition.margin(points) > (distance if margin is None else margin)
    flips = partition.index(points) != partition.index(candidate_points)
    radius, other_radius = np.linalg.norm(points, axis=1), np.linalg.norm(candidate_points, axis=1)
    radii = np.abs(radius - other_radius)
    clear = (radius > _MIN_RADIUS) & (other_radius > _MIN_RADIUS)
    angles = angular_distance(points, candidate_points)
    return {
        "angle_max_degrees": float(angles[clear].max(initial=0.0)),
        "radius_max": float(radii.max()),
        "regions_far": int(far.sum()),
        "flips_far": int((flips & far).sum()),
        "regions_near": int((~far).sum()),
        "flips_near": int((flips & ~far).sum()),
        "worst": int(difference.max(1).argmax()),
        "ccc": per_dimension(ccc, reference[judged], candidate[judged]),
        "pearson": per_dimension(pearson, reference[judged], candidate[judged]),
        "vad_p99": p99(difference.max(1)[judged]),
        "angle_mean_degrees": mean(angles[clear & judged]),
        "angle_p99_degrees": p99(angles[clear & judged]),
        "radius_mean": mean(radii[judged]),
        "flip_rate": mean(flips[far & judged]),
        "flip_rate_near": mean(flips[~far & judged]),
    }


def per_dimension(
    measure: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]], a: ArrayLike, b: ArrayLike
) -> dict[str, float] | None:
    """A measure of agreement between `[n, 3]` and `[n, 3]`, by name; None below two utterances."""
    if np.shape(a)[0] < 2:
        return None
    return dict(zip(DIMENSIONS, measure(a, b).tolist(), strict=True))


def mean(values: NDArray[Any]) -> float:
    """0 of nothing."""
    return float(values.mean()) if values.size else 0.0


def p99(values: NDArray[np.float64]) -> float:
    """99th percentile; 0 of nothing."""
    return float(np.percentile(values, 99)) if values.size else 0.0
