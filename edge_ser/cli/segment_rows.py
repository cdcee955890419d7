"""Rows of `edge-ser predict --segments`, with the columns of a model's heads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from edge_ser.bundle.manifest import Manifest
from edge_ser.cli.score_columns import ScoreColumns
from edge_ser.emotion.decode import Emotion
from edge_ser.printable import csv_cells, printable
from edge_ser.segments.segment import Overall, Segment
from edge_ser.segments.turns import rttm_word

_PLACE = ("source", "start", "end", "speaker")
_POINT = (
    "arousal", "dominance", "valence", "radius", "polar", "azimuth", "region", "temperament",
    "boundary_margin",
)  # fmt: skip
_HEARD = ("level_dbfs", "speech_share", "quality", "reason")
_LONGEST = 20  # characters of a category in a table


class SegmentPrinter(Protocol):
    """Writes rows in a format, as they come."""

    def segment(self, segment: Segment) -> None:
        """Take a piece."""

    def overall(self, overall: Overall) -> None:
        """Take all pieces of a recording together, or of a speaker."""


class _Table:
    """Rows of a fixed width, so that each can be printed as it comes."""

    def __init__(self, stream: TextIO, manifest: Manifest, _: ScoreColumns) -> None:
        self._stream = stream
        self._source: str | None = None
        self._categories = manifest.categories
        self._width = min(max(map(len, (*self._categories, "category"))), _LONGEST)
        columns = [f"{'start':>9}  {'end':>9}"]
        if manifest.has_dimensions:
            columns.append(f"arousal  dominance  valence  {'region':14}  margin")
        if manifest.categories:
            columns.append(f"{'category':{self._width}}  probability  entropy")
        self._head = "  ".join([*columns, "speech"])

    def segment(self, segment: Segment) -> None:
        if segment.source != self._source:
            if self._source is not None:
                self._print("")
            self._source = segment.source
            self._print(segment.source)
            self._print(self._head)
        said = self._cells(segment.emotion, segment.speech_share, segment.reason)
        self._print(f"{segment.start:9.2f}  {segment.end:9.2f}  {said}  {segment.speaker}")

    def overall(self, overall: Overall) -> None:
        said = self._cells(overall.emotion, overall.speech_share, "nothing to answer")
        self._print(f"{'overall':>9}  {overall.seconds:9.2f}  {said}  {overall.speaker}")

    def _print(self, line: str) -> None:
        print(printable(line.rstrip()), file=self._stream)

    def _cells(self, emotion: Emotion | None, speech: float, reason: str) -> str:
        if emotion is None:
            return f"- {reason}"
        cells = []
        if emotion.region is not None:
            cells.append(
                f"{emotion.arousal:7.2f}  {emotion.dominance:9.2f}  {emotion.valence:7.2f}  "
                f"{emotion.region!s:14}  {emotion.boundary_margin:6.2f}"
            )
        if emotion.category is not None and emotion.categories is not None:
            name = f"{emotion.category:.{self._width}}"
            share = emotion.categories[emotion.category]
            cells.append(f"{name:{self._width}}  {share:11.0%}  {emotion.entropy:7.2f}")
        return "  ".join([*cells, f"{speech:6.0%}"])


class _JsonLines:
    def __init__(self, stream: TextIO, _: Manifest, __: ScoreColumns) -> None:
        self._stream = stream

    def segment(self, segment: Segment) -> None:
        print(json.dumps(segment.to_dict()), file=self._stream, flush=True)

    def overall(self, overall: Overall) -> None:
        print(json.dumps({"overall": overall.to_dict()}), file=self._stream, flush=True)


class _Csv:
    """Pieces alone: the mean is a line of the reader's own."""

    def __init__(self, stream: TextIO, manifest: Manifest, scores: ScoreColumns) -> None:
        self._scores = scores
        self._writer = csv.writer(stream, lineterminator="\n")
        columns = list(_POINT) if manifest.has_dimensions else []
        if manifest.categories:
            columns += ["category", "entropy", *(f"p({name})" for name in manifest.categories)]
        self._width = len(columns)
        self._writer.writerow(csv_cells([*_PLACE, *columns, *_HEARD, *scores.names]))

    def segment(self, segment: Segment) -> None:
        e = segment.emotion
        said: list[object] = [""] * self._width
        heard: list[object] = [""] * 3
        if e is not None:
            said = [*_point(e), *_choice(e)]
            if e.sound is not None:
                level, *_, speech, words = e.sound
                heard = [level, speech, "; ".join(words)]
        place = (segment.source, segment.start, segment.end, segment.speaker)
        cells = [*place, *said, *heard, segment.reason, *self._scores.cells(e)]
        self._writer.writerow(csv_cells(cells))

    def overall(self, overall: Overall) -> None:
        """No row of it."""


def _point(e: Emotion) -> list[object]:
    if e.sphere is None or e.region is None:
        return []
    return [
        e.arousal, e.dominance, e.valence, *e.sphere.to_dict().values(),
        e.region.name, e.region.temperament, e.boundary_margin,
    ]  # fmt: skip


def _choice(e: Emotion) -> list[object]:
    return [] if e.categories is None else [e.category, e.entropy, *e.categories.values()]


class _Rttm:
    """As programs that draw or score speakers read it.

    The file is a name without folder and suffix, and a speaker's name stands alone, so that the
    lines are those of the turns; without speakers the region (of a model without, the category) is
    what is shown in its place. It stands in the field of subtypes, too, where RTTM has none for
    speakers.
    """

    def __init__(self, stream: TextIO, _: Manifest, __: ScoreColumns) -> None:
        self._stream = stream

    def segment(self, segment: Segment) -> None:
        if segment.emotion is None:
            return
        name = rttm_word(printable(Path(segment.source).stem)) or "audio"
        said = segment.emotion.region or segment.emotion.category
        region = rttm_word(printable(str(said)))
        label = rttm_word(printable(segment.speaker)) or region
        print(
            f"SPEAKER {name} 1 {segment.start:.3f} {segment.end - segment.start:.3f} "
            f"<NA> {region} {label} <NA> <NA>",
            file=self._stream,
        )

    def overall(self, overall: Overall) -> None:
        """No line of it."""


SEGMENT_PRINTERS: dict[str, Callable[[TextIO, Manifest, ScoreColumns], SegmentPrinter]] = {
    "table": _Table,
    "json": _JsonLines,
    "csv": _Csv,
    "rttm": _Rttm,
}
