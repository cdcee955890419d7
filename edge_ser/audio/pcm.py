"""Samples on a pipe: raw PCM, or a WAV file whose header says what they are, as they come."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.long_audio import warn_caller
from edge_ser.audio.samples import check_channels, check_rate
from edge_ser.errors import AudioError, DamagedAudioWarning, UsageError

PCM_FORMATS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
# What is read at a time, at most, and how long what stands before the samples may be.
_BLOCK, _LONGEST_HEADER = 1 << 16, 1 << 20
# WAV's codes of formats, by bits.
_WAV_FORMATS = {
    (1, 16): "s16le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le",
}  # fmt: skip
_EXTENSIBLE = 0xFFFE


@dataclass(frozen=True)
class Pcm:
    """What samples on a pipe are.

    Attributes:
        rate: Hz.
        format: a key of `PCM_FORMATS`.
        channels: interleaved.

    Raises:
        UsageError: a format that is none of these.
        AudioError: a rate or a number of channels that no recording has.
    """

    rate: float
    format: str = "s16le"
    channels: int = 1

    def __post_init__(self) -> None:
        if self.format not in PCM_FORMATS:
            known = ", ".join(PCM_FORMATS)
            raise UsageError("format", expected=f"one of {known}", found=f"{self.format:.40}")
        check_rate(self.rate, "sample rate")
        if self.channels < 1:
            raise AudioError("channels", expected="at least 1", found=str(self.channels))
        check_channels(self.channels, "channels")


class PcmPipe:
    """A pipe of samples.

    Args:
        pipe: binary, of which whatever is there is read: it waits for one byte, not for a block.
        declared: what the samples are, where no header says it; None: a header must.
        name: for errors.

    Attributes:
        pcm: what the samples are.

    Raises:
        AudioError: no samples, a WAV file of another kind, or another than was said.
        UsageError: no header, and nobody said.
    """

    def __init__(self, pipe: BinaryIO, declared: Pcm | None, name: str) -> None:
        self._pipe, self._name, self._left = pipe, name, -1  # bytes; -1: until the pipe ends
        self._begun = self._exactly(12, may_end=True)
        if self._begun[:4] in (b"RIFF", b"RF64") and self._begun[8:] == b"WAVE":
            self.pcm = self._read_header()
            self._begun = b""
            if declared is not None and declared != self.pcm:
                raise AudioError(
                    name, expected=_words(declared), found=f"a WAV of {_words(self.pcm)}"
                )
        elif not self._begun:
            raise AudioError(name, expected="samples", found="a pipe that ended before the first")
        elif declared is None:
            raise UsageError(
                name,
                expected="a WAV file, or --rate, --format and --channels",
                found="neither",
                advice="say what the samples are: --rate 16000 --format s16le --channels 1",
            )
        else:
            self.pcm = declared

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """`[n, channels]` each, as they come, until the pipe ends.

        Warns:
            errors.DamagedAudioWarning: the pipe ends within a frame, which is left out.
        """
        dtype = np.dtype(PCM_FORMATS[self.pcm.format])
        frame = dtype.itemsize * self.pcm.channels
        waiting = self._begun
        while True:
            whole = len(waiting) // frame * frame
            if whole:
                yield np.frombuffer(waiting[:whole], dtype).reshape(-1, self.pcm.channels)
            waiting = waiting[whole:]
            block = self._block()
            if not block:
                break
            waiting += block
        if waiting:
            warn_caller(
                f"left out {len(waiting)} bytes at the end of {self._name}, less than a frame of "
                f"{frame}: {_words(self.pcm)}",
                DamagedAudioWarning,
            )

    def _block(self) -> bytes:
        size = _BLOCK if self._left < 0 else min(_BLOCK, self._left)
        block = self._some(size) if size else b""
        if self._left > 0:
            self._left -= len(block)
        return block

    def _some(self, size: int) -> bytes:
        if isinstance(self._pipe, io.BufferedReader):
            return self._pipe.read1(size)
        return self._pipe.read(size)

    def _exactly(self, size: int, may_end: bool = False) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._some(size - len(parts))
            if not part:
                if may_end:
                    break
                raise AudioError(self._name, expected="a WAV file", found="half a header")
            parts += part
        return parts

    def _read_header(self) -> Pcm:
        pcm: Pcm | None = None
        while True:
            kind, size = struct.unpack("<4sI", self._exactly(8))
            if kind == b"data":
                if pcm is None:
                    raise AudioError(
                        self._name, expected="a WAV file", found="one that says no format"
                    )
                # what writes to a pipe cannot know, and says 0 or the largest number
                self._left = size if 0 < size < 0x7FFF0000 else -1
                return pcm
            if size > _LONGEST_HEADER:
                raise AudioError(
                    self._name, expected="a WAV file", found=f"a header of {size} bytes"
                )
            chunk = self._exactly(size + size % 2)
            if kind == b"fmt ":
                pcm = self._format(chunk)

    def _format(self, chunk: bytes) -> Pcm:
        if len(chunk) < 16:
            raise AudioError(self._name, expected="a WAV file", found="half a format")
        code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
        if code == _EXTENSIBLE and len(chunk) >= 26:
            (code,) = struct.unpack("<H", chunk[24:26])
        known = _WAV_FORMATS.get((code, bits))
        if known is None:
            raise AudioError(
                self._name,
                expected="a WAV of 16 or 32 bits, or of floats",
                found=f"format {code} of {bits} bits",
                advice="convert it: ffmpeg -i - -f s16le -",
            )
        return Pcm(rate, known, channels)


def _words(pcm: Pcm) -> str:
    plural = "" if pcm.channels == 1 else "s"
    return f"{pcm.rate:g} Hz, {pcm.format}, {pcm.channels} channel{plural}"
