"""The least agreement with labels that will do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import UsageError, did_you_mean
from edge_ser.scoring.categories import CategoryScores
from edge_ser.scoring.clips import LabelledClips
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


def check_applies(
    limits: Mapping[str, float], min_uar: float | None, manifest: Manifest, clips: LabelledClips
) -> None:
    """Refuse limits on what is not compared, before hours of answering.

    Raises:
        UsageError: a limit on CCC without dimensions or their labels, one on UAR without categories
            or theirs, or a UAR outside 0..1.
    """
    if min_uar is not None and not 0 <= min_uar <= 1:
        raise UsageError("--min-uar", expected="a number in 0..1", found=f"{min_uar:g}")
    points = manifest.has_dimensions and clips.labels is not None
    categories = bool(manifest.categories) and clips.categories is not None
    for option, asked, there, what in (
        ("--min-ccc", bool(limits), points, "arousal, dominance and valence"),
        ("--min-uar", min_uar is not None, categories, "categories"),
    ):
        if asked and not there:
            raise UsageError(
                option,
                expected=f"a model and labels of {what}",
                found=f"{manifest.name} and {clips.table}",
                advice=f"drop {option}",
            )


def broken_uar(limit: float | None, scores: CategoryScores | None) -> list[str]:
    """Whether the least recall is not kept, in words."""
    if limit is None or scores is None or scores.uar >= limit:
        return []
    return [f"UAR is {scores.uar:.3f}, limit {limit:g}"]
