"""Who speaks when: RTTM and CSV files, and the windows of each turn."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_ser.audio import Samples
from edge_ser.errors import AudioError, DataError, MissingPathError
from edge_ser.segments.windows import Window, WindowRule, cut_windows

# Files give milliseconds, rounded: two turns that touch may seem to overlap by as much.
_ROUNDING = 0.0021
_COLUMNS = ("speaker", "start", "end")
# Of RTTM, besides turns: words, sounds and what is not scored.
_OTHER_LINES = frozenset({
    "SPKR-INFO", "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH",
    "FILLER", "EDIT", "IP", "CB", "SU", "A/P",
})  # fmt: skip
_NOT_SAID = "<NA>"


class Turn(NamedTuple):
    """A speaker's turn in a recording.

    Attributes:
        start: seconds.
        end: seconds.
        speaker: name, not empty.
        file: name of the recording; "" where the table does not say it.
        line: of the table, from 1 on; 0: of none.
    """

    start: float
    end: float
    speaker: str
    file: str = ""
    line: int = 0


def read_turns(path: Path) -> list[Turn]:
    """Read a table of turns.

    Args:
        path: RTTM (`SPEAKER file channel start duration <NA> <NA> speaker <NA> <NA>`), or a CSV
            table, whose name ends in .csv, with the columns speaker, start, end, and file, if it
            is about several recordings.

    Raises:
        MissingPathError: no such file.
        DataError: a line that is none of these; turns of nobody, reversed, not in order, or that
            overlap.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(path, expected="text in UTF-8", found="other bytes") from error
    except OSError as error:
        raise MissingPathError(
            path, expected="an RTTM or CSV file", found=str(error.strerror).lower()
        ) from error
    is_csv = path.suffix.lower() == ".csv"
    turns = _read_csv(path, lines) if is_csv else _read_rttm(path, lines)
    if not turns:
        raise DataError(path, expected="turns of speakers", found="none")
    check_turns(turns, path)
    return turns


def check_turns(turns: Sequence[Turn], subject: object) -> None:
    """Refuse turns that are no order of what is said.

    Raises:
        DataError: one without a speaker, that is reversed, or that begins before the one above it
            begins or ends.
    """
    last: dict[str, Turn] = {}
    for number, turn in enumerate(turns, 1):
        where = f"{subject}: line {turn.line}" if turn.line else f"{subject}: turn {number}"
        if not turn.speaker:
            raise DataError(
                where, expected="a speaker", found="an empty name", advice="name whose turn it is"
            )
        span = f"{turn.start:g} to {turn.end:g} s"
        if not (math.isfinite(turn.start) and math.isfinite(turn.end) and turn.start >= 0):
            raise DataError(where, expected="times from 0 on, in seconds", found=span)
        if turn.end <= turn.start:
            raise DataError(where, expected="an end after the start", found=span)
        before = last.get(turn.file)
        if before is not None and turn.start < before.start:
            raise DataError(
                where,
                expected=f"turns in the order of their starts, from {before.start:g} s on",
                found=span,
                advice="sort them",
            )
        if before is not None and turn.start < before.end - _ROUNDING:
            raise DataError(
                where,
                expected=f"a start after the end of the turn before, {before.end:g} s",
                found=f"{span}, which overlaps",
                advice="leave one of the two out: the model hears one speaker",
            )
        last[turn.file] = turn


def turns_of(turns: Sequence[Turn], source: str, subject: object) -> list[Turn]:
    """The turns of one recording: those that name it, with or without suffix, or nothing.

    Raises:
        DataError: all are about others.
    """
    name = Path(source)
    names = {"", source, name.name, name.stem, rttm_word(name.name), rttm_word(name.stem)}
    turns_of_file = [turn for turn in turns if turn.file in names]
    if not turns_of_file:
        other_files = sorted({turn.file for turn in turns})
        raise DataError(
            subject,
            expected=f"turns of {name.stem}",
            found=f"those of {', '.join(other_files[:3])}{', ...' if other_files[3:] else ''}",
        )
    return turns_of_file


def rttm_word(text: str) -> str:
    """A field of RTTM, none of which holds a space; "" of nothing else."""
    return "_".join(text.split())


def _read_rttm(path: Path, lines: Sequence[str]) -> list[Turn]:
    turns = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or line.startswith(";") or fields[0] in _OTHER_LINES:
            continue
        where = f"{path}: line {number}"
        if fields[0] != "SPEAKER" or not 8 <= len(fields) <= 10:
            raise DataError(
                where,
                expected="SPEAKER file channel start duration <NA> <NA> speaker",
                found=f"{line:.60}",
            )
        start = _seconds(fields[3], where, "a start")
        end = start + _seconds(fields[4], where, "a duration")
        speaker = "" if fields[7] == _NOT_SAID else fields[7]
        turns.append(Turn(start, end, speaker, fields[1], number))
    return turns


def _read_csv(path: Path, lines: Sequence[str]) -> list[Turn]:
    reader = csv.reader(lines)
    header = [name.strip().lower() for name in next(reader, [])]
    if not set(_COLUMNS) <= set(header):
        raise DataError(
            f"{path}: line 1",
            expected=f"the columns {', '.join(_COLUMNS)}",
            found=", ".join(header) or "nothing",
        )
    turns = []
    for fields in reader:
        if not fields:
            continue
        where = f"{path}: line {reader.line_num}"
        if len(fields) != len(header):
            raise DataError(where, expected=f"{len(header)} fields", found=str(len(fields)))
        row = dict(zip(header, (field.strip() for field in fields), strict=True))
        start, end = _seconds(row["start"], where, "a start"), _seconds(row["end"], where, "an end")
        turns.append(Turn(start, end, row["speaker"], row.get("file", ""), reader.line_num))
    return turns


def _seconds(text: str, where: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(where, expected=f"{what} in seconds", found=f"{text:.40}") from error


def cut_turns(
    blocks: Iterable[Samples],
    turns: Sequence[Turn],
    rule: WindowRule,
    longest: int,
    sample_rate: int,
    subject: str,
) -> Iterator[Window]:
    """Cut the turns out of a stream of samples.

    Args:
        blocks: `[n]` each.
        turns: of this recording, in order.
        rule: how turns are cut that the model does not take whole.
        longest: samples that it takes.
        sample_rate: Hz.
        subject: name of the recording, for errors.

    Yields:
        a window for each turn, or several; one without samples for a turn that is shorter than
        one.

    Raises:
        AudioError: the recording ends before a turn does.
    """
    feed = _Feed(blocks)
    for turn in turns:
        start, end = round(turn.start * sample_rate), round(turn.end * sample_rate)
        earliest_end = end - _ROUNDING * sample_rate
        for _ in feed.until(start):
            pass
        start = max(start, feed.position)
        samples = feed.until(end)
        if end - start <= longest:
            audio = np.concatenate([np.zeros(0, np.float32), *samples])
            windows = iter([Window(0, audio, audio.size)])
        else:
            windows = cut_windows(samples, rule)
        for window in windows:
            # what rounds to nothing is a piece, too; what lies after the end is none
            if window.samples.size or feed.position >= earliest_end:
                yield window._replace(start=start + window.start, speaker=turn.speaker)
        if feed.position < earliest_end:
            where = f"the turn of line {turn.line}" if turn.line else "a turn"
            raise AudioError(
                subject,
                expected=f"audio until {turn.end:g} s, where {where} ends",
                found=f"{feed.position / sample_rate:.2f} s",
                advice="give the recording that the turns were made of",
            )


class _Feed:
    """A stream that is read up to given positions.

    Attributes:
        position: of the next sample.
    """

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = iter(blocks)
        self._rest = np.zeros(0, np.float32)
        self.position = 0

    def until(self, end: int) -> Iterator[Samples]:
        """The samples before a position, or before the end of the stream."""
        while self.position < end:
            if not self._rest.size:
                block = next(self._blocks, None)
                if block is None:
                    return
                self._rest = block
            part = self._rest[: end - self.position]
            self._rest = self._rest[part.size :]
            self.position += part.size
            yield part
