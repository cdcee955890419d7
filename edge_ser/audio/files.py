"""From audio files and streams to the samples a model takes: what libsndfile reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edge_ser.audio.channels import Channel
from edge_ser.audio.samples import Samples, finish
from edge_ser.audio.sound_file import (
    Decoded,
    decode,
    decode_beginning,
    position,
    rewind,
    unreadable,
)
from edge_ser.audio.streams import Beginning, check_stream, empty_stream, is_seekable
from edge_ser.errors import AudioError, MissingPathError


class Recording(NamedTuple):
    """Decoded audio, and how much of it there is.

    Attributes:
        samples: `[n]` float32, mono, cut to the seconds that were asked for.
        total_seconds: of the whole source; None where it is longer than what was read of it, and
            does not say how long.
        damage: why what follows cannot be read; "" where nothing is lost.
    """

    samples: Samples
    total_seconds: float | None
    damage: str = ""


def decode_file(
    source: str | Path | BinaryIO,
    sample_rate: int,
    max_seconds: float | None = None,
    name: str | None = None,
) -> Samples:
    """Read any file libsndfile knows (WAV, FLAC, OGG, MP3, ...) as mono at `sample_rate`.

    Files of other kinds (M4A, AAC, WebM, AMR, ...) are decoded by the program ffmpeg.

    Only the part that is needed is read, so the length of the file costs nothing.

    Args:
        source: a path or a binary stream. What cannot be rewound - a pipe, a socket, a server's
            response - is read as far as `max_seconds` need, and not to its end.
        sample_rate: Hz of the result.
        max_seconds: keep the first seconds only.
        name: how to call the source in errors.

    Returns:
        `[n]` float32.

    Raises:
        MissingPathError: no such file.
        AudioError: empty, not audio, or without samples.
        UsageError: a stream of text, or a closed one.
        LibraryError: soundfile or soxr does not load.
    """
    return read_file(source, sample_rate, max_seconds, name).samples


def read_file(
    source: str | Path | BinaryIO,
    sample_rate: int,
    max_seconds: float | None = None,
    name: str | None = None,
    channel: Channel = "mean",
) -> Recording:
    """As `decode_file`, of the channel of `choose_channel`, and how long the whole file is."""
    subject = name or str(source)
    if not isinstance(source, str | Path):
        check_stream(source, subject)
        return _read_stream(source, sample_rate, max_seconds, subject, channel)
    path = Path(source)
    problem = missing_reason(path)
    if problem:
        raise MissingPathError(path, expected="an audio file", found=problem)
    try:
        with path.open("rb") as file:
            if not file.seekable():  # a named pipe, or a device
                return _read_stream(file, sample_rate, max_seconds, subject, channel)
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size == 0:
                raise AudioError(subject, expected="an audio file", found="an empty file")
            # by descriptor: soundfile neither takes names that are no Unicode, nor reads a WAV file
            # that is called .raw
            try:
                decoded = _decode_or_begin(file.fileno(), max_seconds, subject)
            except AudioError:
                # what starts programs is slow to import, and seldom needed
                from edge_ser.audio.ffmpeg import decode_by_ffmpeg
                from edge_ser.audio.kinds import is_for_ffmpeg

                if not is_for_ffmpeg(path):
                    raise
                decoded = decode_by_ffmpeg(path, max_seconds, subject)
    except OSError as error:
        raise unreadable(subject, error) from error
    return _recording(decoded, sample_rate, max_seconds, subject, channel)


def _read_stream(
    stream: BinaryIO,
    sample_rate: int,
    max_seconds: float | None,
    subject: str,
    channel: Channel,
) -> Recording:
    """As `read_file`, of a stream; one that cannot be rewound is read as far as it is heard."""
    if is_seekable(stream):
        decoded = _decode_from_here(stream, max_seconds, subject)
        return _recording(decoded, sample_rate, max_seconds, subject, channel)
    beginning = Beginning(stream, subject)
    if max_seconds is None:
        beginning.read_all()
    frames = 0
    while True:
        beginning.grow()
        try:
            decoded = decode(beginning.open(), max_seconds, subject)
        except AudioError:
            # half a file may be none; half a frame, that the decoder lost its way
            if beginning.may_grow if frames else beginning.may_hold_header:
                continue
            decoded = _decode_or_begin(beginning.open(), max_seconds, subject)
        ended = 0 < decoded.audio.shape[0] == frames  # the audio, if not the stream
        if decoded.is_enough or ended or not beginning.may_grow:
            if not beginning.is_whole:  # what its end is like, nobody knows
                total = None if decoded.is_enough else decoded.total
                decoded = decoded._replace(total=total, damage="")
            return _recording(decoded, sample_rate, max_seconds, subject, channel)
        frames = decoded.audio.shape[0]


def _decode_from_here(stream: BinaryIO, max_seconds: float | None, subject: str) -> Decoded:
    """As `_decode_or_begin`; what was read or written before says so if it is no audio."""
    start = stream.tell()
    try:
        return _decode_or_begin(stream, max_seconds, subject)
    except AudioError as error:
        if start == 0:
            if stream.seek(0, os.SEEK_END) == 0:
                raise empty_stream(subject) from error
            raise
        raise AudioError(
            subject,
            expected=error.expected,
            found=f"none from byte {start} on, where the stream was",
            advice="call its seek(0) first",
        ) from error


def _decode_or_begin(opened: int | BinaryIO, max_seconds: float | None, subject: str) -> Decoded:
    """All that is asked for; of a damaged file, what can be read before the damage.

    Raises:
        AudioError: not audio, or nothing of it can be read.
    """
    start = position(opened)
    try:
        return decode(opened, max_seconds, subject)
    except AudioError:
        rewind(opened, start)
        beginning = decode_beginning(opened, max_seconds, subject)
        if beginning is None:
            raise
        return beginning


def _recording(
    decoded: Decoded,
    sample_rate: int,
    max_seconds: float | None,
    subject: str,
    channel: Channel,
) -> Recording:
    audio, rate, total, _, damage = decoded
    if audio.shape[0] == 0:
        raise AudioError(subject, expected="samples", found="an audio file with none")
    samples = finish(audio, rate, sample_rate, max_seconds, subject, channel)
    if damage and max_seconds is not None and audio.shape[0] >= max_seconds * rate:
        total, damage = None, ""  # nobody hears it
    return Recording(samples, None if total is None else total / rate, damage)


def missing_reason(path: Path) -> str:
    """What is at `path` instead of something to read; empty if it is that."""
    try:
        if path.is_file():
            return ""
        if path.is_dir():
            return "a directory"
        if path.is_socket():
            return "a socket"
        return "" if path.exists() else "no such file"
    except OSError as error:  # such as a name that is too long
        return str(error.strerror).lower()
