"""Frames of an audio file of any length, block by block, at constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from edge_ser.audio.lost_end import lost_end
from edge_ser.audio.samples import Samples, check_channels, check_rate
from edge_ser.audio.sound_file import (
    UNKNOWN_FRAMES,
    agreeing,
    as_stream,
    finalised,
    import_soundfile,
    position,
    reason_of,
    rewind,
    unreadable,
)
from edge_ser.errors import AudioError

# Of damaged files the block with the damage is lost: a quarter of a second at 16 kHz.
_BLOCK = 1 << 12


class SoundBlocks:
    """What libsndfile gives of an open file.

    Args:
        opened: a descriptor, or a stream that can be rewound, where the file begins; it stays
            open, and is the caller's to close.
        subject: named in errors.

    Attributes:
        rate: Hz.
        total_seconds: of the file, as far as it says so; else None.
        damage: why the rest cannot be read, once that is known; "" where nothing is lost.

    Raises:
        AudioError: not audio.
    """

    def __init__(self, opened: int | BinaryIO, subject: str) -> None:
        soundfile = import_soundfile()
        self._subject, self.damage = subject, ""
        self._opened, self._start = opened, position(opened)
        self._errors = (soundfile.LibsndfileError, RuntimeError, OSError)
        try:
            file = soundfile.SoundFile(agreeing(opened), closefd=False)
            if file.frames == 0:
                file.close()
                rewind(opened, self._start)
                whole = finalised(opened)
                if whole is None:
                    rewind(opened, self._start)
                file = soundfile.SoundFile(opened if whole is None else whole, closefd=False)
        except self._errors as error:
            raise unreadable(subject, error) from error
        self._file = file
        self.rate: int = file.samplerate
        check_rate(self.rate, subject)
        check_channels(file.channels, subject)
        self.total_seconds = file.frames / self.rate if file.frames < UNKNOWN_FRAMES else None
        # soundfile would ask how many frames are left, and some files say a number that is wrong
        file.seekable = lambda: False

    def __iter__(self) -> Iterator[Samples]:
        """`[n, channels]` float32, until the end or the damage.

        Raises:
            AudioError: damage before the first frame, or no frame at all.
        """
        is_empty = True
        while True:
            try:
                block: Samples = self._file.read(_BLOCK, dtype="float32", always_2d=True)
            except self._errors as error:
                if is_empty:
                    raise unreadable(self._subject, error) from error
                self.damage = reason_of(error)
                return
            if block.shape[0]:
                is_empty = False
                yield block
            if block.shape[0] < _BLOCK:
                break
        if is_empty:
            raise AudioError(self._subject, expected="samples", found="an audio file with none")
        self.damage = lost_end(as_stream(self._opened), self._start)

    def close(self) -> None:
        """Let go of libsndfile's part of it."""
        self._file.close()
