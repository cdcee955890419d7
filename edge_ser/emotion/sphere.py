"""Spherical emotion space: a VAD point as radius and two angles, and the region it lies in.

Axes (EmoSphere-SER, arXiv:2505.19693): X = arousal, Y = valence, Z = dominance, each scaled to
[-1, 1] with the neutral point of the 1..7 scale, (4, 4, 4), at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.emotion.scale import OCTANTS, SCORE_MAX, SCORE_MIN, TEMPERAMENTS
from edge_ser.errors import UsageError

Floats = NDArray[np.float64]


def to_cartesian(scores: ArrayLike) -> Floats:
    """Scores `[..., 3]` (arousal, dominance, valence on 1..7) to points X, Y, Z in [-1, 1].

    u = 2 (x - 1) / 6 - 1 for each dimension; X = arousal, Y = valence, Z = dominance.
    """
    x = np.asarray(scores, dtype=np.float64)
    u = 2.0 * (x - SCORE_MIN) / (SCORE_MAX - SCORE_MIN) - 1.0
    return np.asarray(u[..., [0, 2, 1]])


def to_spherical(points: ArrayLike) -> Floats:
    """Points `[..., 3]` to radius, polar angle and azimuth `[..., 3]`, angles in radians.

    r = sqrt(X^2 + Y^2 + Z^2), polar = arccos(Z / r) in [0, pi], azimuth = atan2(Y, X) in
    [-pi, pi]; it is -pi only below the plane Y = 0, by less than an angle has digits for. At r = 0
    both angles are undefined and given as 0.
    """
    # + 0.0 turns -0.0 into 0.0, for which atan2 would answer -pi
    x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64) + 0.0, -1, 0)
    radius = np.sqrt(x * x + y * y + z * z)
    # atan2(rho, Z) is arccos(Z / r) without its loss of digits near the poles
    polar = np.where(radius > 0, np.arctan2(np.hypot(x, y), z), 0.0)
    azimuth = np.where(radius > 0, np.arctan2(y, x), 0.0)
    return np.stack([radius, polar, azimuth], axis=-1)


def angular_distance(a: ArrayLike, b: ArrayLike) -> Floats:
    """Angle in degrees, seen from the origin, between points `[..., 3]`; 0 if either is 0.

    atan2(|a x b|, a . b): exact for small angles, where arccos of the cosine is not.
    """
    p, q = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    sine = np.linalg.norm(np.cross(p, q), axis=-1)
    return np.asarray(np.degrees(np.arctan2(sine, (p * q).sum(-1))))


@dataclass(frozen=True)
class Sphere:
    """Spherical coordinates of an emotion; angles in radians, undefined (0) at radius 0."""

    radius: float
    polar: float
    azimuth: float

    def to_dict(self) -> dict[str, float]:
        """As JSON-ready data."""
        return {"radius": self.radius, "polar": self.polar, "azimuth": self.azimuth}


@dataclass(frozen=True)
class Region:
    """One region of the sphere.

    Attributes:
        name: octant `I` to `VIII`; on finer grids the lower edges in degrees, such as `az120 po60`.
        temperament: Mehrabian's name of the octant; empty on finer grids.
        index: position in the region head's output.
    """

    name: str
    temperament: str
    index: int

    def __str__(self) -> str:
        return f"{self.name} {self.temperament}".strip()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"name": self.name, "temperament": self.temperament, "index": self.index}


@dataclass(frozen=True)
class Partition:
    """A grid of azimuth x polar angle, with an optional neutral ball around the origin.

    The octants are the grid of 90 x 90 degrees. Zero counts as non-negative, so a point on a
    coordinate plane belongs to the region on the plane's positive side.

    Args:
        azimuth_step: degrees; must divide 360.
        polar_step: degrees; must divide 180.
        neutral_radius: radius of the neutral region, which is then the last index; None: no such.

    Raises:
        UsageError: a step does not divide its circle, or the radius is not in (0, 1).
    """

    azimuth_step: int = 90
    polar_step: int = 90
    neutral_radius: float | None = None

    def __post_init__(self) -> None:
        for what, step, full in (
            ("azimuth step", self.azimuth_step, 360),
            ("polar step", self.polar_step, 180),
        ):
            if not (0 < step <= full and full % step == 0):
                raise UsageError(what, expected=f"a divisor of {full} degrees", found=str(step))
        if self.neutral_radius is not None and not 0 < self.neutral_radius < 1:
            raise UsageError(
                "neutral radius", expected="a number in (0, 1)", found=str(self.neutral_radius)
            )

    @property
    def grid_size(self) -> int:
        """Regions of the grid, without the neutral one."""
        return (360 // self.azimuth_step) * (180 // self.polar_step)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """All regions, in the order of the region head's outputs."""
        around = 360 // self.azimuth_step
        if (self.azimuth_step, self.polar_step) == (90, 90):
            grid = [
                Region(n, t, i) for i, (n, t) in enumerate(zip(OCTANTS, TEMPERAMENTS, strict=True))
            ]
        else:
            grid = [
                Region(
                    f"az{i % around * self.azimuth_step} po{i // around * self.polar_step}", "", i
                )
                for i in range(self.grid_size)
            ]
        if self.neutral_radius is not None:
            grid.append(Region("neutral", "", self.grid_size))
        return tuple(grid)

    def index(self, points: ArrayLike) -> NDArray[np.int64]:
        """Region of each point `[..., 3]` (X, Y, Z) as an index into `regions`."""
        spherical = to_spherical(points)
        radius = spherical[..., 0]
        polar, azimuth = np.degrees(spherical[..., 1]), np.degrees(spherical[..., 2])
        around = 360 // self.azimuth_step
        # Azimuths of [0, 180] have X's and Y's zeros on the far edge of their bin, those of
        # (-180, 0) on the near one; polar angles have Z's zero on the far edge.
        upper = np.maximum(np.ceil(azimuth / self.azimuth_step) - 1, 0)
        lower = np.minimum(np.floor((azimuth + 360) / self.azimuth_step), around - 1)
        column = np.where(azimuth >= 0, upper, lower).astype(np.int64)
        row = np.maximum(np.ceil(polar / self.polar_step) - 1, 0).astype(np.int64)
        index = row * around + column
        if self.neutral_radius is not None:
            index = np.where(radius < self.neutral_radius, self.grid_size, index)
        return np.asarray(index)

    def margin(self, points: ArrayLike) -> Floats:
        """Distance of each point `[..., 3]` to the nearest region boundary, in units of X, Y, Z.

        Euclidean distance to the half planes of equal azimuth, the cones of equal polar angle and
        the neutral sphere. For octants it is min(|X|, |Y|, |Z|).
        """
        p = np.asarray(points, dtype=np.float64)
        radius, polar, azimuth = np.moveaxis(to_spherical(p), -1, 0)
        around = np.hypot(p[..., 0], p[..., 1])
        margin = np.full(radius.shape, np.inf)
        if self.azimuth_step < 360:
            step = np.radians(self.azimuth_step)
            gap = np.abs(azimuth / step - np.rint(azimuth / step)) * step
            margin = np.minimum(margin, around * np.sin(np.minimum(gap, np.pi / 2)))
        for edge in np.radians(np.arange(self.polar_step, 180, self.polar_step)):
            gap = np.minimum(np.abs(polar - edge), np.pi / 2)
            margin = np.minimum(margin, radius * np.sin(gap))
        if self.neutral_radius is not None:
            shell = np.abs(radius - self.neutral_radius)
            margin = np.where(radius < self.neutral_radius, shell, np.minimum(margin, shell))
        return np.asarray(margin)
