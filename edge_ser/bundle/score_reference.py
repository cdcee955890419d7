"""What a bundle's scores mean: ranks among its answers and, beside labels, intervals.

It is a file of the bundle, made of the answers of that bundle itself: so it holds for its INT8 as
well as for any float32, and no longer once another graph or engine computes them.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.files import SCORES
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.errors import BundleError, DataError
from edge_ser.typed_json import OpenEnded, Reader

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.bundle.manifest import FileEntry
    from edge_ser.emotion.decode import Emotion

Scores = NDArray[np.float64]
# Of each dimension: a percent from one to the next.
_QUANTILES = 101
_READER = Reader(BundleError, advice="evaluate it again with --calibrate")
_ROUNDING = 1e-9
# Graphs, their weights, engines.
COMPUTING_SUFFIXES = (".onnx", ".data", ".engine")


@dataclass(frozen=True)
class ScoreReference(OpenEnded):
    """Of the answers to clips, which may have labels.

    Attributes:
        source: of the clips: name of a folder or table, of its splits, and whether they are known
            to be synthetic.
        count: clips.
        quantiles: 101 of each dimension's answers, from the least to the largest.
        computed_by: SHA-256 of the files that gave the answers, by path.
        coverage: share of further clips like these whose label lies in the interval, at least;
            None: there are no labels, and no intervals.
        half_widths: of the interval of each dimension, in points of 1..7; None: see `coverage`.
    """

    source: str
    count: int
    quantiles: dict[str, tuple[float, ...]]
    computed_by: dict[str, str]
    coverage: float | None = None
    half_widths: dict[str, float] | None = None

    @classmethod
    def of(cls, answers: Scores, source: str, files: Iterable[FileEntry]) -> ScoreReference:
        """Of a bundle's answers, without labels.

        Args:
            answers: `[n, 3]` on 1..7, cut there or not; at least one.
            source: see the class.
            files: of the bundle.
        """
        cut = answers.clip(SCORE_MIN, SCORE_MAX)
        quantiles = np.quantile(cut, np.linspace(0, 1, _QUANTILES), axis=0)
        return cls(
            source,
            len(answers),
            {
                n: tuple(np.round(q, 4).tolist())
                for n, q in zip(DIMENSIONS, quantiles.T, strict=True)
            },
            computing_files(files),
        )

    @classmethod
    def of_labelled(
        cls,
        answers: Scores,
        labels: Scores,
        coverage: float,
        source: str,
        files: Iterable[FileEntry],
    ) -> ScoreReference:
        """Of a bundle's answers, with intervals.

        Args:
            answers: as for `of`.
            labels: `[n, 3]` on 1..7.
            coverage: see the class; in (0, 1).
            source: see the class.
            files: of the bundle.

        Raises:
            DataError: too few clips for the coverage.
        """
        widths = half_widths(np.abs(answers.clip(SCORE_MIN, SCORE_MAX) - labels), coverage)
        return dataclasses.replace(
            cls.of(answers, source, files),
            coverage=coverage,
            half_widths={n: round(float(w), 4) for n, w in zip(DIMENSIONS, widths, strict=True)},
        )

    @property
    def words(self) -> str:
        """What it holds, in one line."""
        words = f"percentiles among {self.count} answers to {self.source}"
        if self.half_widths is None or self.coverage is None:
            return f"{words}; no intervals, as no labels were given"
        widths = ", ".join(f"{name} {width:.2f}" for name, width in self.half_widths.items())
        return f"{words}; {self.coverage:g} of their labels within {widths} of the answer"

    def counts_for(self, files: Iterable[FileEntry]) -> bool:
        """Whether the files of a bundle that compute are those that gave the answers."""
        return self.computed_by == computing_files(files)

    def words_of(self, files: Iterable[FileEntry]) -> str:
        """What it holds for a bundle of these files, in one line."""
        if self.counts_for(files):
            return self.words
        return f"none: {self.words} are of another graph or engine"

    def write(self, folder: Path) -> None:
        """Write it into the folder of a bundle."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        (folder / SCORES).write_text(text + "\n", encoding="utf-8")

    def read(self, emotion: Emotion) -> Emotion:
        """An answer with its percentiles, and its intervals where there are some."""
        scores = {name: getattr(emotion, name) for name in DIMENSIONS}
        return dataclasses.replace(
            emotion,
            intervals=self._intervals(scores),
            percentiles={
                name: percentile(score, self.quantiles[name]) for name, score in scores.items()
            },
        )

    def _intervals(self, scores: Mapping[str, float]) -> dict[str, tuple[float, float]] | None:
        widths = self.half_widths
        if widths is None:
            return None
        return {
            name: (max(SCORE_MIN, score - widths[name]), min(SCORE_MAX, score + widths[name]))
            for name, score in scores.items()
        }


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
    widths = np.sort(residuals, axis=0)[rank_of(coverage, len(residuals)) - 1]
    return np.asarray(np.ceil(widths * 1e4 - _ROUNDING) / 1e4)


def rank_of(coverage: float, count: int) -> int:
    """Which of so many residuals, from the smallest on, is half the width of the interval.

    Args:
        coverage: in (0, 1).
        count: of residuals.

    Raises:
        DataError: there is no such one, as `count` is too small.
    """
    rank = math.ceil((count + 1) * coverage - _ROUNDING)
    if rank > count:
        least = math.ceil(coverage / (1 - coverage) - _ROUNDING)
        raise DataError(
            "intervals",
            expected=f"at least {least} labelled clips for a coverage of {coverage:g}",
            found=str(count),
            advice="give more clips, or a smaller --coverage",
        )
    return rank


def percentile(score: float, quantiles: tuple[float, ...]) -> float:
    """Share of the reference's answers below a score, 0..100; of equal ones half."""
    values = np.asarray(quantiles)
    low, high = np.searchsorted(values, score, "left"), np.searchsorted(values, score, "right")
    if high > low:
        return float(low + high - 1) / 2
    return float(np.interp(score, values, np.arange(values.size)))


def computing_files(files: Iterable[FileEntry]) -> dict[str, str]:
    """SHA-256 of those of a bundle's files that its answers depend on, by path."""
    return {f.path: f.sha256 for f in files if f.path.endswith(COMPUTING_SUFFIXES)}


def recorded_reference(bundle: Bundle) -> ScoreReference | None:
    """What a bundle holds, whether it counts or not; None where there is none.

    Raises:
        BundleError: it is damaged.
    """
    manifest = bundle.manifest
    if not manifest.has_dimensions or all(entry.path != SCORES for entry in manifest.files):
        return None
    place = str(bundle.root / SCORES)
    reference = _READER.read(ScoreReference, _READER.parse(bundle.read(SCORES), place), place)
    _check(reference, place)
    return reference


def read_score_reference(bundle: Bundle) -> ScoreReference | None:
    """What a bundle holds; None where it is not there, or of other files than compute now.

    Raises:
        BundleError: it is damaged.
    """
    reference = recorded_reference(bundle)
    counts = reference is not None and reference.counts_for(bundle.manifest.files)
    return reference if counts else None


def _check(reference: ScoreReference, place: str) -> None:
    widths = reference.half_widths
    tables: list[Mapping[str, object]] = [reference.quantiles]
    if widths is not None:
        tables.append(widths)
    if any(set(table) != set(DIMENSIONS) for table in tables):
        raise BundleError(place, expected=f"numbers of {', '.join(DIMENSIONS)}", found="others")
    rising = all(
        len(q) == _QUANTILES and all(a <= b for a, b in itertools.pairwise(q))
        for q in reference.quantiles.values()
    )
    covered = (reference.coverage is None) == (widths is None)
    if reference.coverage is not None and widths is not None:
        covered = min(widths.values()) >= 0 and 0 < reference.coverage < 1
    if not rising or not covered:
        raise BundleError(
            place, expected="quantiles that rise, widths from 0 on, a share", found="others"
        )
