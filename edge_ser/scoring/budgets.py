"""The least agreement with labels that will do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import UsageError, did_you_mean
from edge_ser.scoring.scores import DimensionScores


def parse_least(given: Iterable[str]) -> dict[str, float]:
    """Limits such as "valence=0.5", or "0.5" for every dimension, by dimension.

    Raises:
        UsageError: no such dimension, no number in -1..1, or two limits of one dimension.
    """
    limits: dict[str, float] = {}
    for text in given:
        name, separator, number = text.rpartition("=")
        names = (name,) if separator else DIMENSIONS
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not -1 <= limit <= 1 or not set(names) <= set(DIMENSIONS):
            raise UsageError(
                "--min-ccc",
                expected=f"a number in -1..1, or NAME=NUMBER with NAME {', '.join(DIMENSIONS)}",
                found=text,
                advice=did_you_mean(name, DIMENSIONS) if name not in DIMENSIONS else "",
            )
        twice = [n for n in names if n in limits]
        if twice:
            raise UsageError("--min-ccc", expected=f"one limit of {twice[0]}", found="two")
        limits |= dict.fromkeys(names, limit)
    return limits


def broken(limits: Mapping[str, float], scores: Mapping[str, DimensionScores]) -> list[str]:
    """Which limits are not kept, in words."""
    return [
        f"CCC of {name} is {scores[name].ccc:.3f}, limit {limit:g}"
        for name, limit in limits.items()
        if not scores[name].ccc >= limit
    ]
