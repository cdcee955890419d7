"""The rows of an archive's answers: the same columns whatever the model and the engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import Emotion

TEXT, NUMBER = "text", "number"
# Column -> what it holds. Numbers are NaN, and texts None, where there is nothing to say.
COLUMNS = {
    "path": TEXT, "start": NUMBER, "end": NUMBER, "seconds": NUMBER,
    "arousal": NUMBER, "dominance": NUMBER, "valence": NUMBER,
    "radius": NUMBER, "polar": NUMBER, "azimuth": NUMBER,
    "region": TEXT, "boundary_margin": NUMBER, "region_head": TEXT,
    "category": TEXT, "category_probability": NUMBER, "entropy": NUMBER,
    "speech_share": NUMBER, "quality": TEXT, "error": TEXT,
}  # fmt: skip
# The same for Spark's `mapInPandas`.
SPARK_SCHEMA = ", ".join(
    f"`{name}` {'string' if kind == TEXT else 'double'}" for name, kind in COLUMNS.items()
)

Row = dict[str, Any]
Batch = dict[str, NDArray[Any]]


def answer_row(path: str, emotion: Emotion, start: float = 0.0, end: float | None = None) -> Row:
    """The row of an answer.

    Args:
        path: what the recording is called.
        emotion: of it, or of a piece.
        start: seconds from the start of the recording.
        end: seconds; None: of what was heard.
    """
    row: Row = {"path": path, "start": start, "seconds": emotion.seconds}
    row["end"] = start + emotion.seconds if end is None else end
    for name in ("arousal", "dominance", "valence", "boundary_margin", "category", "entropy"):
        row[name] = getattr(emotion, name)
    if emotion.sphere is not None:
        row |= emotion.sphere.to_dict()
    row["region"] = None if emotion.region is None else emotion.region.name
    row["region_head"] = None if emotion.region_head is None else emotion.region_head.name
    if emotion.categories is not None and emotion.category is not None:
        row["category_probability"] = emotion.categories[emotion.category]
    if emotion.sound is not None:
        row["speech_share"] = emotion.sound.speech_share
        row["quality"] = "; ".join(emotion.sound.quality) or None
    return row


def error_row(path: str, error: str, start: float | None = None, end: float | None = None) -> Row:
    """The row of what could not be answered, and why."""
    return {"path": path, "error": error, "start": start, "end": end}


def as_batch(rows: Iterable[Row]) -> Batch:
    """Rows as columns, `[n]` each: float64, or objects of text."""
    some = list(rows)
    return {
        name: _texts([row.get(name) for row in some])
        if kind == TEXT
        else np.array([row.get(name) for row in some], dtype=np.float64)
        for name, kind in COLUMNS.items()
    }


def _texts(values: list[str | None]) -> NDArray[Any]:
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts
