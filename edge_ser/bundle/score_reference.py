"""What a bundle's scores mean beside labelled speech: intervals, and ranks among its answers.

It is a file of the bundle, made of the answers of that bundle itself: so it holds for its INT8 as
well as for any float32, and no longer once another graph or engine computes them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.files import SCORES
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.errors import BundleError, DataError
from edge_ser.typed_json import OpenEnded, Reader

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.bundle.manifest import Manifest
    from edge_ser.emotion.decode import Emotion

Scores = NDArray[np.float64]
# Of each dimension: a percent from one to the next.
_QUANTILES = 101
_READER = Reader(BundleError, advice="evaluate it again with --calibrate")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ScoreReference(OpenEnded):
    """Of the answers to labelled clips.

    Attributes:
        source: name of the table, and of its split.
        count: clips.
        coverage: share of further clips like these whose label lies in the interval, at least.
        half_widths: of the interval of each dimension, in points of 1..7.
        quantiles: 101 of each dimension's answers, from the least to the largest.
        computed_by: SHA-256 of the files that gave the answers, by path.
    """

    source: str
    count: int
    coverage: float
    half_widths: dict[str, float]
    quantiles: dict[str, tuple[float, ...]]
    computed_by: dict[str, str]

    @classmethod
    def of(
        cls, answers: Scores, labels: Scores, coverage: float, source: str, manifest: Manifest
    ) -> ScoreReference:
        """Of a bundle's answers.

        Args:
            answers: `[n, 3]` on 1..7, cut there or not.
            labels: `[n, 3]` on 1..7.
            coverage: see the class; in (0, 1).
            source: see the class.
            manifest: of the bundle.

        Raises:
            DataError: too few clips for the coverage.
        """
        cut = answers.clip(SCORE_MIN, SCORE_MAX)
        widths = half_widths(np.abs(cut - labels), coverage)
        quantiles = np.quantile(cut, np.linspace(0, 1, _QUANTILES), axis=0)
        return cls(
            source,
            len(answers),
            coverage,
            {name: round(float(w), 4) for name, w in zip(DIMENSIONS, widths, strict=True)},
            {
                n: tuple(np.round(q, 4).tolist())
                for n, q in zip(DIMENSIONS, quantiles.T, strict=True)
            },
            computing_files(manifest),
        )

    def read(self, emotion: Emotion) -> Emotion:
        """An answer with its intervals and percentiles."""
        scores = {name: getattr(emotion, name) for name in DIMENSIONS}
        return dataclasses.replace(
            emotion,
            intervals={
                name: (
                    max(SCORE_MIN, score - self.half_widths[name]),
                    min(SCORE_MAX, score + self.half_widths[name]),
                )
                for name, score in scores.items()
            },
            percentiles={
                name: percentile(score, self.quantiles[name]) for name, score in scores.items()
            },
        )


def half_widths(residuals: Scores, coverage: float) -> Scores:
    """Split conformal: of n residuals the ceil((n + 1) coverage)-th smallest, per column.

    Args:
        residuals: `[n, k]`, distances of answers and labels.
        coverage: in (0, 1).

    Returns:
        `[k]`, rounded up to the fourth decimal.

    Raises:
        DataError: there is no such one, as n is too small.
    """
    count = len(residuals)
    rank = math.ceil((count + 1) * coverage - _ROUNDING)
    if rank > count:
        least = math.ceil(coverage / (1 - coverage) - _ROUNDING)
        raise DataError(
            "intervals",
            expected=f"at least {least} labelled clips for a coverage of {coverage:g}",
            found=str(count),
            advice="give more clips, or a smaller --coverage",
        )
    widths = np.sort(residuals, axis=0)[rank - 1]
    return np.asarray(np.ceil(widths * 1e4 - _ROUNDING) / 1e4)


def percentile(score: float, quantiles: tuple[float, ...]) -> float:
    """Share of the reference's answers below a score, 0..100; of equal ones half."""
    values = np.asarray(quantiles)
    low, high = np.searchsorted(values, score, "left"), np.searchsorted(values, score, "right")
    if high > low:
        return float(low + high - 1) / 2
    return float(np.interp(score, values, np.arange(values.size)))


def computing_files(manifest: Manifest) -> dict[str, str]:
    """The files of a bundle that its answers depend on, by path: graphs, weights, engine."""
    suffixes = (".onnx", ".data", ".engine")
    return {f.path: f.sha256 for f in manifest.files if f.path.endswith(suffixes)}


def read_score_reference(bundle: Bundle) -> ScoreReference | None:
    """What a bundle holds; None where it is not there, or of other files than compute now.

    Raises:
        BundleError: it is damaged.
    """
    manifest = bundle.manifest
    if not manifest.has_dimensions or all(entry.path != SCORES for entry in manifest.files):
        return None
    place = str(bundle.root / SCORES)
    reference = _READER.read(ScoreReference, _READER.parse(bundle.read(SCORES), place), place)
    _check(reference, place)
    return reference if reference.computed_by == computing_files(manifest) else None


def _check(reference: ScoreReference, place: str) -> None:
    tables: tuple[Mapping[str, object], ...] = (reference.half_widths, reference.quantiles)
    if any(set(table) != set(DIMENSIONS) for table in tables):
        raise BundleError(place, expected=f"numbers of {', '.join(DIMENSIONS)}", found="others")
    widths = reference.half_widths.values()
    rising = all(
        len(q) == _QUANTILES and all(a <= b for a, b in itertools.pairwise(q))
        for q in reference.quantiles.values()
    )
    if not rising or min(widths) < 0 or not 0 < reference.coverage < 1:
        raise BundleError(
            place, expected="quantiles that rise, widths from 0 on, a share", found="others"
        )
