"""Audio of any kind as mono blocks at the model's rate, however long it is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge_ser.audio import Channel, Samples, check_rate, decode_array, finish
from edge_ser.audio.ffmpeg import decode_by_ffmpeg
from edge_ser.audio.files import missing_reason
from edge_ser.audio.inputs import is_file, open_file, samples_of
from edge_ser.audio.kinds import is_for_ffmpeg
from edge_ser.audio.long_audio import warn_caller
from edge_ser.audio.resampling import resample_blocks
from edge_ser.audio.sound_blocks import SoundBlocks
from edge_ser.audio.sound_file import unreadable
from edge_ser.audio.streams import check_stream, is_seekable
from edge_ser.errors import AudioError, DamagedAudioWarning, MissingPathError

_BLOCK = 1 << 14
# On disk, of what cannot be rewound: six hours of stereo at 48 kHz in 16 bits, and no endless one.
_MAX_COPY_BYTES = 4 << 30
_COPIED_BYTES = 1 << 20  # at a time


class AudioSource:
    """One recording, opened.

    Args:
        audio: as `edge_ser.Recognizer` takes it.
        sample_rate: Hz, of samples; None for files, which say their own.
        name: of samples, in errors.
        target_rate: Hz of the blocks.
        channel: see `edge_ser.audio.choose_channel`.

    Attributes:
        name: for errors.
        source: name of a file, for answers; "" for samples in memory.
        total_seconds: None where nobody knows yet.

    Raises:
        MissingPathError: no such file.
        AudioError: audio that cannot be read, or more than 4 GiB of what cannot be rewound.
        UsageError: samples without their rate, a file with one, or no audio at all.
    """

    def __init__(
        self,
        audio: object,
        sample_rate: float | None,
        name: str,
        target_rate: int,
        channel: Channel,
    ) -> None:
        self._open = contextlib.ExitStack()
        self._rate, self._channel = target_rate, channel
        self.source = ""
        self.total_seconds: float | None
        try:
            if not is_file(audio):
                self.name = name
                self._from_samples(audio, sample_rate)
                return
            file, self.source = open_file(audio, sample_rate, name)
            self.name = self.source
            self._from_file(file)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Samples]:
        """`[n]` float32 each.

        Raises:
            AudioError: not finite, of another scale, or channels that cancel one another.

        Warns:
            errors.DamagedAudioWarning: a file is damaged; what lies before that was given.
        """
        return resample_blocks(self._mono, self._own_rate, self._rate)

    def close(self) -> None:
        """Close what was opened for it; what the caller opened stays open."""
        self._open.close()

    def _from_samples(self, audio: object, sample_rate: float | None) -> None:
        array, rate = samples_of(audio, sample_rate, self.name)
        check_rate(rate, self.name)
        # to mono alone; it is resampled as a stream
        mono = decode_array(array, rate, rate, None, self.name, self._channel)
        self._mono: Iterator[Samples] = (
            mono[start : start + _BLOCK] for start in range(0, mono.size, _BLOCK)
        )
        self._own_rate, self.total_seconds = rate, mono.size / rate

    def _from_file(self, file: str | Path | BinaryIO) -> None:
        if isinstance(file, str | Path):
            path = Path(file)
            problem = missing_reason(path)
            if problem:
                raise MissingPathError(path, expected="an audio file", found=problem)
            try:
                opened: BinaryIO = self._open.enter_context(path.open("rb"))
            except OSError as error:
                raise unreadable(self.name, error) from error
        else:
            path, opened = None, file
            check_stream(file, self.name)
        if not is_seekable(opened):
            opened = self._copied(opened)
            path = None
        try:
            # by descriptor: soundfile takes no names that are no Unicode
            sound = SoundBlocks(opened if path is None else opened.fileno(), self.name)
        except AudioError:
            if path is None or not is_for_ffmpeg(path):
                raise
            decoded = decode_by_ffmpeg(path, None, self.name)
            mono = finish(decoded.audio, decoded.rate, decoded.rate, None, self.name, self._channel)
            self._own_rate, self.total_seconds = decoded.rate, mono.size / decoded.rate
            self._mono = self._whole(mono, decoded.damage)
            return
        self._open.callback(sound.close)
        self._mono = self._mixed(sound)
        self._own_rate, self.total_seconds = sound.rate, sound.total_seconds

    def _copied(self, stream: BinaryIO) -> BinaryIO:
        """What cannot be rewound, on disk: libsndfile wants to seek, and memory has an end."""
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest
        self._open.enter_context(copy)
        size = 0
        try:
            while block := stream.read(_COPIED_BYTES):
                size += len(block)
                if size > _MAX_COPY_BYTES:
                    raise AudioError(
                        self.name,
                        expected=f"a stream that ends within {_MAX_COPY_BYTES} bytes",
                        found="more of it",
                        advice="write it to a file, and give that",
                    )
                copy.write(block)
        except OSError as error:
            raise unreadable(self.name, error) from error
        copy.seek(0)
        return copy

    def _mixed(self, sound: SoundBlocks) -> Iterator[Samples]:
        frames = 0
        for block in sound:
            subject = f"{self.name} at {frames / sound.rate:.1f} s"
            yield finish(block, sound.rate, sound.rate, None, subject, self._channel)
            frames += block.shape[0]
        self._tell_damage(frames / sound.rate, sound.damage)

    def _whole(self, mono: Samples, damage: str) -> Iterator[Samples]:
        yield mono
        self._tell_damage(mono.size / self._own_rate, damage)

    def _tell_damage(self, seconds: float, damage: str) -> None:
        if damage:
            warn_caller(
                f"used the first {seconds:.2f} s of {self.name}, where it is damaged: {damage}",
                DamagedAudioWarning,
            )
