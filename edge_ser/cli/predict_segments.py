"""`edge-ser predict --segments` and `--long mean`: the pieces of recordings, and their mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_ser.audio.inputs import Source
from edge_ser.cli.console import print_error
from edge_ser.cli.segment_rows import SegmentPrinter
from edge_ser.emotion.decode import Emotion
from edge_ser.errors import EdgeSerError
from edge_ser.recognizer import Recognizer
from edge_ser.segments.mean import mean_of, refuse_unanswered
from edge_ser.segments.stream import Segments
from edge_ser.segments.track import Track
from edge_ser.segments.turns import Turn


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
            yield position, mean_of(index)
        except EdgeSerError as error:
            yield position, error
