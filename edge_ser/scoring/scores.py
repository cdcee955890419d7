"""Scores of answers against labels: agreement, error, and regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.emotion.sphere import Partition, to_cartesian
from edge_ser.fidelity.metrics import ccc, pearson

# Of the interval of a CCC: percentiles of so many draws of as many clips, with replacement.
CONFIDENCE = 0.95
_DRAWS, _SEED = 1000, 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DimensionScores:
    """Agreement of one dimension's answers with its labels.

    Attributes:
        ccc: concordance.
        ccc_low: lower end of its 95 % bootstrap interval, clips drawn independently.
        ccc_high: upper end.
        pearson: correlation.
        mae: mean absolute error, in points of 1..7.
        rmse: root of the mean squared error, in points of 1..7.
    """

    ccc: float
    ccc_low: float
    ccc_high: float
    pearson: float
    mae: float
    rmse: float


@dataclass(frozen=True)
class RegionScores:
    """How often answers name the region of the label.

    Attributes:
        accuracy: share of clips whose region is that of the label.
        confusion: `[regions, regions]` clips: a row for each region of the label, in it a count for
            each region of the answer.
    """

    accuracy: float
    confusion: tuple[tuple[int, ...], ...]


def score_dimensions(labels: Floats, answers: Floats) -> dict[str, DimensionScores]:
    """Scores of arousal, dominance and valence.

    Args:
        labels: `[n, 3]` on 1..7.
        answers: `[n, 3]` on the same scale; not clipped to it, as in training's evaluation.
    """
    error = answers - labels
    low, high = _interval(labels, answers)
    columns = (
        ccc(answers, labels),
        low,
        high,
        pearson(answers, labels),
        np.abs(error).mean(0),
        np.sqrt((error * error).mean(0)),
    )
    rows = np.stack(columns, axis=1).tolist()
    return {name: DimensionScores(*row) for name, row in zip(DIMENSIONS, rows, strict=True)}


def _interval(labels: Floats, answers: Floats) -> tuple[Floats, Floats]:
    """Ends of the bootstrap interval of CCC, `[3]` each; the same for the same clips."""
    rng = np.random.default_rng(_SEED)
    count = len(labels)
    draws = np.empty((_DRAWS, labels.shape[1]))
    for draw in range(_DRAWS):
        drawn = rng.integers(0, count, count)
        draws[draw] = ccc(answers[drawn], labels[drawn])
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [outside, 1 - outside], axis=0)
    return low, high


def regions_of(scores: Floats, partition: Partition) -> NDArray[np.int64]:
    """Region of each of `[n, 3]` on 1..7, as an index into `partition.regions`."""
    return partition.index(to_cartesian(np.clip(scores, SCORE_MIN, SCORE_MAX)))


def score_regions(
    labels: NDArray[np.int64], answers: NDArray[np.int64], partition: Partition
) -> RegionScores:
    """Compare regions, `[n]` each as indices into `partition.regions`."""
    count = len(partition.regions)
    confusion = np.zeros((count, count), dtype=np.int64)
    np.add.at(confusion, (labels, answers), 1)
    return RegionScores(float((labels == answers).mean()), tuple(map(tuple, confusion.tolist())))
