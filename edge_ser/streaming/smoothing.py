"""Answers of windows that overlap, made steady: a running mean, and a region that does not flicker.

The mean is taken of arousal, dominance and valence, not of radius and angles: angles on either
side of -180 degrees lie next to each other, and their mean opposite to both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ser.emotion.decode import Emotion
from edge_ser.emotion.sphere import (
    Floats,
    Partition,
    Region,
    Sphere,
    to_cartesian,
    to_spherical,
)
from edge_ser.errors import UsageError

# A region that the mean has been out of for so long is given up, however near its boundary is.
_LONGEST_HELD = 2.0


@dataclass(frozen=True)
class Smoothed:
    """The running mean of a stream's answers.

    Attributes:
        arousal: calm 1 .. active 7.
        dominance: weak 1 .. strong 7.
        valence: negative 1 .. positive 7.
        sphere: the same point as radius and angles around neutral.
        region: the region held: that of the point, or the one before, as long as the point is
            no further than the hysteresis into another.
        boundary_margin: distance of the point to the nearest region boundary, where each dimension
            spans [-1, 1].
    """

    arousal: float
    dominance: float
    valence: float
    sphere: Sphere
    region: Region
    boundary_margin: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "arousal": self.arousal,
            "dominance": self.dominance,
            "valence": self.valence,
            "sphere": self.sphere.to_dict(),
            "region": self.region.to_dict(),
            "boundary_margin": self.boundary_margin,
        }


class Smoother:
    """The running mean itself.

    Args:
        seconds: after which an answer still counts for 1/e; 0: the last one alone.
        hysteresis: how far into another region the mean must be, where each dimension spans
            [-1, 1], before that one is named; after two seconds outside, any depth is enough.
        partition: the regions.

    Raises:
        UsageError: a number that is negative or not finite, or a hysteresis of 1 or more.
    """

    def __init__(self, seconds: float, hysteresis: float, partition: Partition) -> None:
        if not 0 <= seconds < math.inf:
            raise UsageError("smoothing", expected="seconds, from 0 on", found=f"{seconds:g}")
        if not 0 <= hysteresis < 1:
            raise UsageError(
                "hysteresis", expected="a distance, 0 to less than 1", found=f"{hysteresis:g}"
            )
        self._seconds, self._hysteresis, self._partition = seconds, hysteresis, partition
        self._scores: Floats | None = None
        self._region: int | None = None
        self._outside_since: float | None = None
        self._end = 0.0

    def push(self, emotion: Emotion, end: float) -> Smoothed | None:
        """Take an answer.

        Args:
            emotion: of a window.
            end: of the window, in seconds, not before the one taken last.

        Returns:
            the mean after it; None of a model without dimensions.
        """
        if emotion.arousal is None:
            return None
        scores = np.array([emotion.arousal, emotion.dominance, emotion.valence], np.float64)
        if self._scores is None or self._seconds == 0:
            self._scores = scores
        else:
            decay = math.exp((self._end - end) / self._seconds)
            self._scores = scores + decay * (self._scores - scores)
        self._end = end
        point = to_cartesian(self._scores)
        margin = float(self._partition.margin(point))
        region = self._held(int(self._partition.index(point)), margin, end)
        arousal, dominance, valence = (float(x) for x in self._scores)
        sphere = Sphere(*(float(x) for x in to_spherical(point)))
        return Smoothed(arousal, dominance, valence, sphere, region, margin)

    def _held(self, there: int, margin: float, end: float) -> Region:
        """The region to name, of a mean that lies in the region `there`."""
        held, since = self._region, self._outside_since
        if held is None or there == held or margin >= self._hysteresis:
            held, since = there, None
        elif since is None:
            since = end
        elif end - since >= _LONGEST_HELD:
            held, since = there, None
        self._region, self._outside_since = held, since
        return self._partition.regions[held]
