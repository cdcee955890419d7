"""`edge-ser predict --segments`: rows of pieces of recordings, and of each recording."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from edge_ser.audio.inputs import Source
from edge_ser.cli.console import print_error
from edge_ser.emotion.decode import Emotion
from edge_ser.errors import AudioError, EdgeSerError
from edge_ser.printable import csv_cells, printable
from edge_ser.recognizer import Recognizer
from edge_ser.segments.segment import Overall, Segment
from edge_ser.segments.stream import Segments
from edge_ser.segments.track import Track
from edge_ser.segments.turns import Turn, rttm_word

_COLUMNS = (
    "source", "start", "end", "speaker", "arousal", "dominance", "valence", "radius", "polar",
    "azimuth", "region", "temperament", "boundary_margin", "level_dbfs", "speech_share",
    "quality", "reason",
)  # fmt: skip


class SegmentPrinter(Protocol):
    """Writes rows in a format, as they come."""

    def segment(self, segment: Segment) -> None:
        """Take a piece."""

    def overall(self, overall: Overall) -> None:
        """Take all pieces of a recording together, or of a speaker."""


def print_segments(
    recognizer: Recognizer,
    sources: Sequence[Source],
    printer: SegmentPrinter,
    window: float,
    hop: float | None,
    batch_size: int,
    turns: Sequence[Turn] | None,
    track: Track | None = None,
) -> int:
    """Print the pieces of every recording; returns how many recordings could not be answered.

    Args:
        recognizer: that answers.
        sources: recordings.
        printer: of rows.
        window: see `Recognizer.segments`.
        hop: see there.
        batch_size: see there.
        turns: see there.
        track: takes the pieces, too, of one recording, for a picture.
    """
    failed = 0
    for source in sources:
        try:
            index = recognizer.segments(
                source, window=window, hop=hop, turns=turns, batch_size=batch_size
            )
            _print_one(index, printer, track)
        except EdgeSerError as error:
            failed += 1
            print_error(error)
    return failed


def _print_one(index: Segments, printer: SegmentPrinter, track: Track | None) -> None:
    reason = ""
    for segment in index:
        if track is not None:
            track.add(segment)
        printer.segment(segment)
        reason = reason or segment.reason
    for pieces in (*index.speakers.values(), index.overall):
        printer.overall(pieces)
    refuse_unanswered(index.overall, reason)


def mean_answers(
    recognizer: Recognizer,
    sources: Sequence[Source],
    window: float,
    hop: float | None,
    batch_size: int,
) -> Iterator[tuple[int, Emotion | EdgeSerError]]:
    """The mean over the pieces of every recording, as `Recognizer.each` gives answers."""
    for position, source in enumerate(sources):
        try:
            index = recognizer.segments(source, window=window, hop=hop, batch_size=batch_size)
            reason = ""
            for segment in index:
                reason = reason or segment.reason
            refuse_unanswered(index.overall, reason)
            assert index.overall.emotion is not None
            yield position, index.overall.emotion
        except EdgeSerError as error:
            yield position, error


def refuse_unanswered(overall: Overall, reason: str) -> None:
    """Say that nothing of a recording was answered.

    Args:
        overall: of it.
        reason: of its first piece.

    Raises:
        AudioError: nothing was.
    """
    if not overall.answered:
        raise AudioError(
            overall.source,
            expected="a piece that can be answered",
            found=f"none of {overall.segments}: {reason}",
            advice="check the microphone or the channel that was recorded",
        )


class _Table:
    """Rows of a fixed width, so that each can be printed as it comes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._source: str | None = None

    def segment(self, segment: Segment) -> None:
        if segment.source != self._source:
            if self._source is not None:
                self._print("")
            self._source = segment.source
            self._print(segment.source)
            self._print(
                f"{'start':>9}  {'end':>9}  arousal  dominance  valence  {'region':14}  margin"
                "  speech"
            )
        said = _table_cells(segment.emotion, segment.speech_share, segment.reason)
        self._print(f"{segment.start:9.2f}  {segment.end:9.2f}  {said}  {segment.speaker}")

    def overall(self, overall: Overall) -> None:
        said = _table_cells(overall.emotion, overall.speech_share, "nothing to answer")
        self._print(f"{'overall':>9}  {overall.seconds:9.2f}  {said}  {overall.speaker}")

    def _print(self, line: str) -> None:
        print(printable(line.rstrip()), file=self._stream)


def _table_cells(emotion: Emotion | None, speech: float, reason: str) -> str:
    if emotion is None:
        return f"- {reason}"
    return (
        f"{emotion.arousal:7.2f}  {emotion.dominance:9.2f}  {emotion.valence:7.2f}  "
        f"{emotion.region!s:14}  {emotion.boundary_margin:6.2f}  {speech:6.0%}"
    )


class _JsonLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def segment(self, segment: Segment) -> None:
        print(json.dumps(segment.to_dict()), file=self._stream, flush=True)

    def overall(self, overall: Overall) -> None:
        print(json.dumps({"overall": overall.to_dict()}), file=self._stream, flush=True)


class _Csv:
    """Pieces alone: the mean is a line of the reader's own."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(_COLUMNS)

    def segment(self, segment: Segment) -> None:
        e = segment.emotion
        said: list[object] = [""] * 12
        if e is not None and e.sphere is not None and e.region is not None:
            said[:9] = [
                e.arousal, e.dominance, e.valence, *e.sphere.to_dict().values(),
                e.region.name, e.region.temperament, e.boundary_margin,
            ]  # fmt: skip
            if e.sound is not None:
                level, *_, speech, words = e.sound
                said[-3:] = level, speech, "; ".join(words)
        place = (segment.source, segment.start, segment.end, segment.speaker)
        self._writer.writerow(csv_cells([*place, *said, segment.reason]))

    def overall(self, overall: Overall) -> None:
        """No row of it."""


class _Rttm:
    """As programs that draw or score speakers read it.

    The file is a name without folder and suffix, and a speaker's name stands alone, so that the
    lines are those of the turns; without speakers the region is what is shown in its place. The
    region stands in the field of subtypes, too, where RTTM has none for speakers.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def segment(self, segment: Segment) -> None:
        if segment.emotion is None:
            return
        name = rttm_word(printable(Path(segment.source).stem)) or "audio"
        region = rttm_word(str(segment.emotion.region))
        label = rttm_word(printable(segment.speaker)) or region
        print(
            f"SPEAKER {name} 1 {segment.start:.3f} {segment.end - segment.start:.3f} "
            f"<NA> {region} {label} <NA> <NA>",
            file=self._stream,
        )

    def overall(self, overall: Overall) -> None:
        """No line of it."""


SEGMENT_PRINTERS: dict[str, Callable[[TextIO], SegmentPrinter]] = {
    "table": _Table,
    "json": _JsonLines,
    "csv": _Csv,
    "rttm": _Rttm,
}
