"""Rows of `edge-ser predict`: a table, JSON lines or CSV, with the columns of a model's heads."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from edge_ser.bundle.manifest import Manifest
from edge_ser.cli.score_columns import ScoreColumns
from edge_ser.emotion.decode import Emotion
from edge_ser.printable import csv_cells, printable

_DIMENSIONS = (
    "arousal", "dominance", "valence", "radius", "polar", "azimuth", "region", "temperament",
    "boundary_margin", "region_head", "region_head_probability", "regions_agree",
)  # fmt: skip
_SOUND = ("level_dbfs", "clipped_share", "silent_share", "offset", "speech_share", "quality")


class RowPrinter(Protocol):
    """Writes rows in a format."""

    def row(self, e: Emotion) -> None:
        """Take an answer."""

    def close(self) -> None:
        """Write what waited for the last one."""


class _Table:
    """Rows aligned for people; widths are known only when all rows are."""

    def __init__(self, stream: TextIO, manifest: Manifest, _: ScoreColumns) -> None:
        self.stream = stream
        self.head = ["file"]
        if manifest.has_dimensions:
            self.head += ["arousal", "dominance", "valence", "region", "margin", "head"]
        if manifest.categories:
            self.head += ["category", "probability", "entropy"]
        self.rows: list[Sequence[str]] = []

    def row(self, e: Emotion) -> None:
        self.rows.append((_short(e.source), *_point_cells(e), *_category_cells(e)))

    def close(self) -> None:
        if not self.rows:
            return
        rows = [self.head, *self.rows]
        widths = [max(len(r[i]) for r in rows) for i in range(len(self.head))]
        left = {"file", "region", "head", "category"}
        for row in rows:
            cells = [
                c.ljust(w) if name in left else c.rjust(w)
                for name, c, w in zip(self.head, row, widths, strict=True)
            ]
            print(printable("  ".join(cells).rstrip()), file=self.stream)


def _point_cells(e: Emotion) -> tuple[str, ...]:
    """Cells about dimensions; none of a model without."""
    if e.region is None:
        return ()
    head = "-"
    if e.region_head is not None and e.region_probabilities is not None:
        sure = e.region_probabilities[e.region_head.name]
        head = f"{e.region_head} {100 * sure:.0f} %"
    return (
        f"{e.arousal:.2f}",
        f"{e.dominance:.2f}",
        f"{e.valence:.2f}",
        str(e.region),
        f"{e.boundary_margin:.2f}",
        head,
    )


def _category_cells(e: Emotion) -> tuple[str, ...]:
    """Cells about categories; none of a model without."""
    if e.category is None or e.categories is None:
        return ()
    return e.category, f"{100 * e.categories[e.category]:.0f} %", f"{e.entropy:.2f}"


def _short(name: str, width: int = 48) -> str:
    """The end of a long path, cut at a separator where that is possible."""
    if len(name) <= width:
        return name
    tail = name[-(width - 3) :]
    cut = min((i for s in {os.sep, "/"} if (i := tail.find(s)) >= 0), default=-1)
    return "..." + (tail[cut:] if 0 <= cut < width // 2 else tail)


class _JsonLines:
    def __init__(self, stream: TextIO, _: Manifest, __: ScoreColumns) -> None:
        self.stream = stream

    def row(self, e: Emotion) -> None:
        print(json.dumps(e.to_dict()), file=self.stream, flush=True)

    def close(self) -> None:
        """Every line is complete already."""


class _Csv:
    def __init__(self, stream: TextIO, manifest: Manifest, scores: ScoreColumns) -> None:
        self.scores = scores
        self.writer = csv.writer(stream, lineterminator="\n")
        columns = ["source", "seconds"]
        if manifest.has_dimensions:
            columns += _DIMENSIONS
        if manifest.categories:
            columns += ["category", "entropy", *(f"p({name})" for name in manifest.categories)]
        self.writer.writerow(csv_cells([*columns, *_SOUND, *scores.names]))

    def row(self, e: Emotion) -> None:
        sound = e.sound
        heard = (*sound[:-1], "; ".join(sound.quality)) if sound else [""] * len(_SOUND)
        said = (*_point(e), *_choice(e))
        cells = [e.source, e.seconds, *said, *heard, *self.scores.cells(e)]
        self.writer.writerow(csv_cells(cells))

    def close(self) -> None:
        """Every row is written already."""


def _point(e: Emotion) -> list[object]:
    if e.sphere is None or e.region is None:
        return []
    head = e.region_head
    sure = e.region_probabilities[head.name] if head and e.region_probabilities else ""
    return [
        e.arousal, e.dominance, e.valence, e.sphere.radius, e.sphere.polar, e.sphere.azimuth,
        e.region.name, e.region.temperament, e.boundary_margin, head.name if head else "", sure,
        "" if e.regions_agree is None else e.regions_agree,
    ]  # fmt: skip


def _choice(e: Emotion) -> list[object]:
    return [] if e.categories is None else [e.category, e.entropy, *e.categories.values()]


ROW_PRINTERS: dict[str, Callable[[TextIO, Manifest, ScoreColumns], RowPrinter]] = {
    "table": _Table,
    "json": _JsonLines,
    "csv": _Csv,
}
