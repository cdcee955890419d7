"""Frames out of libsndfile, also of files that do not say how many they hold, or end too soon."""

from __future__ import annotations

import io
import os
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from edge_ser.audio.lost_end import lost_end
from edge_ser.audio.mp3 import told_length
from edge_ser.audio.samples import LOOKAHEAD_SECONDS, Samples, check_channels, check_rate
from edge_ser.errors import AudioError
from edge_ser.libraries import import_library

# libsndfile's word for "the source does not say how long it is" is the largest count there is.
UNKNOWN_FRAMES = 1 << 60
# Of a file of unknown length; and of a damaged one, of which the last block is lost.
_BLOCK, _SMALL_BLOCK = 1 << 16, 512
# A header's chunks lie before the samples; pictures of music files, behind them.
_HEADER_BYTES = 1 << 16


class Decoded(NamedTuple):
    """What a file holds of the seconds asked for.

    Attributes:
        audio: `[n, channels]`.
        rate: Hz.
        total: frames of the whole file; None: more than were read, and nobody knows how many.
        is_enough: whether more of the file would not be used.
        damage: why the rest of it cannot be read; "" where nothing is lost.
    """

    audio: Samples
    rate: int
    total: int | None
    is_enough: bool
    damage: str = ""


def import_soundfile() -> Any:
    """The Python module over libsndfile.

    Raises:
        MissingExtraError, LibraryError, KeyboardInterrupt: see `import_library`.
    """
    return import_library("soundfile", "audio files")


def decode(opened: int | BinaryIO, max_seconds: float | None, subject: str) -> Decoded:
    """The frames that are needed of an open file, or of a stream that can be rewound.

    Args:
        opened: a descriptor, or a stream, where the file begins.
        max_seconds: of audio that are needed; None: all.
        subject: named in errors.

    Raises:
        AudioError: not audio, or damaged.
    """
    soundfile = import_soundfile()

    start = position(opened)
    try:
        decoded = _read(agreeing(opened), max_seconds, subject, None)
        if decoded.audio.shape[0] == 0:
            rewind(opened, start)
            whole = finalised(opened)
            if whole is not None:
                decoded = _read(whole, max_seconds, subject, None)
        if decoded.is_enough:
            return decoded
        return decoded._replace(damage=lost_end(as_stream(opened), start))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise unreadable(subject, error) from error


def decode_beginning(
    opened: int | BinaryIO, max_seconds: float | None, subject: str
) -> Decoded | None:
    """What can be read of a damaged file before the damage; None: nothing.

    Args:
        opened: as `decode` takes it.
        max_seconds: of audio that are needed; None: all.
        subject: named in errors.
    """
    soundfile = import_soundfile()

    try:
        decoded = _read(agreeing(opened), max_seconds, subject, _SMALL_BLOCK)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return None
    return decoded if decoded.audio.shape[0] else None


def _read(
    opened: int | BinaryIO, max_seconds: float | None, subject: str, block: int | None
) -> Decoded:
    """Read at once, or in blocks: as many as there are before an error."""
    soundfile = import_soundfile()

    with soundfile.SoundFile(opened, closefd=False) as file:
        rate = file.samplerate
        check_rate(rate, subject)
        check_channels(file.channels, subject)
        is_known = file.frames < UNKNOWN_FRAMES
        frames = -1
        if max_seconds is not None:
            frames = int(np.ceil((max_seconds + LOOKAHEAD_SECONDS) * rate))
        damage = ""
        if not is_known or block is not None:
            # soundfile would ask how many frames are left
            file.seekable = lambda: False
            audio, damage = _read_blocks(file, frames, block or _BLOCK, block is not None)
        else:
            # NaN passes through unclipped, so that it is found and named later
            audio = file.read(frames, dtype="float32", always_2d=True)
        total: int | None = audio.shape[0]
        is_enough = total == frames
        if is_enough:  # there may be more of it
            total = file.frames if is_known else None
    return Decoded(audio, rate, total, is_enough, damage)


def _read_blocks(file: Any, frames: int, block: int, bears_damage: bool) -> tuple[Samples, str]:
    """Frames until there are enough, or no more; with damage, those before it, and its name."""
    soundfile = import_soundfile()

    parts: list[Samples] = []
    left, damage = frames, ""
    while left:
        size = block if left < 0 else min(block, left)
        try:
            part = file.read(size, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            if not bears_damage:
                raise
            damage = reason_of(error)
            break
        parts.append(part)
        left -= part.shape[0] if left > 0 else 0
        if part.shape[0] < size:
            break
    if not parts:
        return np.zeros((0, file.channels), np.float32), damage
    return np.concatenate(parts), damage


def unreadable(subject: str, error: Exception) -> AudioError:
    """The error that says so."""
    return AudioError(
        subject,
        expected="audio that libsndfile reads (WAV, FLAC, OGG, MP3, ...)",
        found=reason_of(error),
        advice="convert it to WAV or FLAC",
    )


def reason_of(error: Exception) -> str:
    """A library's words for what went wrong."""
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None)
    return str(reason or error).removeprefix("Error : ").rstrip(".")


# --- files that say what is not so of their length


class _Patched(io.RawIOBase):
    """A stream, some bytes of which read otherwise."""

    def __init__(self, stream: BinaryIO, place: int, data: bytes) -> None:
        self._stream, self._place, self._patch = stream, place, data

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As the stream's."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """As the stream's."""
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        """As the stream's, patched."""
        start = self._stream.tell()
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        first = max(start, self._place)
        last = min(start + len(data), self._place + len(self._patch))
        if first < last:
            some = self._patch[first - self._place : last - self._place]
            buffer[first - start : last - start] = some
        return len(data)


def as_stream(opened: int | BinaryIO) -> BinaryIO:
    """An open file as a stream, which closes nothing."""
    return os.fdopen(opened, "rb", closefd=False) if isinstance(opened, int) else opened


def agreeing(opened: int | BinaryIO) -> Any:
    """A file as libsndfile takes it without libmpg123 writing to stderr.

    It does so where the frames of an MP3 file are fewer or more than it says; what that means for
    the answer, `lost_end` tells.
    """
    stream = as_stream(opened)
    start = stream.tell()
    declared = told_length(stream, start)
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    if declared is None or declared.size == size - declared.begin:
        return opened
    there = min(size - declared.begin, (1 << 32) - 1)
    return _Patched(stream, start + declared.place, struct.pack(">I", there))


def finalised(opened: int | BinaryIO) -> Any:
    """A WAV file that says it holds no samples, and holds some, as one that holds all; or None."""
    stream = as_stream(opened)
    start = stream.tell()
    head = stream.read(_HEADER_BYTES)
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    place = _empty_data(head, size)
    return None if place is None else _Patched(stream, start + place, b"\xff" * 4)


def _empty_data(head: bytes, size: int) -> int | None:
    """Where a WAV file's header gives no length for samples that follow it; None: nowhere.

    Args:
        head: first bytes of the file.
        size: of the file.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    place = 12
    while place + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, place)
        if name == b"data":
            rest = size - place - 8
            following = struct.unpack_from("<I", head, place + 12) if rest >= 8 else (rest,)
            # another chunk, after a file that is empty indeed
            is_chunk = following[0] == rest - 8
            return place + 4 if length == 0 and rest > 0 and not is_chunk else None
        place += 8 + length + length % 2
    return None


def position(opened: int | BinaryIO) -> int:
    """Where a descriptor or a stream stands."""
    return os.lseek(opened, 0, os.SEEK_CUR) if isinstance(opened, int) else opened.tell()


def rewind(opened: int | BinaryIO, place: int) -> None:
    """Let it stand there again."""
    if isinstance(opened, int):
        os.lseek(opened, place, os.SEEK_SET)
    else:
        opened.seek(place)
