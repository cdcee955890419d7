"""Columns of CSV that only some bundles have: percentiles and intervals of scores."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.emotion.decode import Emotion
from edge_ser.emotion.scale import DIMENSIONS


@dataclass(frozen=True)
class ScoreColumns:
    """Of the answers of a recogniser.

    Attributes:
        reference: that its answers are read by; None: there are no such columns.
    """

    reference: ScoreReference | None

    @property
    def names(self) -> list[str]:
        """Such as `arousal_percentile`; with intervals `arousal_low` and `arousal_high`, too."""
        if self.reference is None:
            return []
        names = [f"{dimension}_percentile" for dimension in DIMENSIONS]
        if self.reference.coverage is not None:
            names += [f"{dimension}_{end}" for dimension in DIMENSIONS for end in ("low", "high")]
        return names

    def cells(self, emotion: Emotion | None) -> list[object]:
        """Of an answer; empty ones where it has no such numbers, as the mean of a recording."""
        percentiles = {} if emotion is None else emotion.percentiles or {}
        intervals = {} if emotion is None else emotion.intervals or {}
        cells = {f"{name}_percentile": value for name, value in percentiles.items()}
        for name, (low, high) in intervals.items():
            cells |= {f"{name}_low": low, f"{name}_high": high}
        return [cells.get(name, "") for name in self.names]
