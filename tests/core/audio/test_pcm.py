"""Samples on a pipe, raw or with WAV's header, as they come."""

import io
import os
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise

from edge_ser.audio.pcm import Pcm, PcmPipe
from edge_ser.errors import AudioError, DamagedAudioWarning, UsageError

RATE = 16_000
SAID = Pcm(RATE)


def piped(data: bytes, sizes: tuple[int, ...] = (1 << 20,)) -> Any:
    """The reading end of a pipe, into which a thread writes data in pieces."""
    reading, writing = os.pipe()

    def write() -> None:
        start, number = 0, 0
        with os.fdopen(writing, "wb", buffering=0) as end:
            while start < len(data):
                size = sizes[number % len(sizes)]
                end.write(data[start : start + size])
                start, number = start + size, number + 1

    threading.Thread(target=write).start()
    return os.fdopen(reading, "rb")


def read(data: bytes, said: Pcm | None, sizes: tuple[int, ...] = (1 << 20,)) -> np.ndarray:
    with piped(data, sizes) as pipe:
        return np.concatenate(list(PcmPipe(pipe, said, "<stdin>")))


def wav(samples: np.ndarray, subtype: str, format: str = "WAV") -> bytes:
    made = io.BytesIO()
    soundfile.write(made, samples, RATE, format=format, subtype=subtype)
    return made.getvalue()


@pytest.mark.parametrize("name", ["s16le", "s32le", "f32le", "f64le"])
@pytest.mark.parametrize("sizes", [(1 << 20,), (1, 3, 5000), (4001,)])
def test_raw_samples(name: str, sizes: tuple[int, ...]) -> None:
    floats = make_noise(0.5, RATE, 2)
    width = {"s16le": np.int16, "s32le": np.int32, "f32le": np.float32, "f64le": np.float64}[name]
    scale = 1 if name[0] == "f" else np.iinfo(width).max
    samples = (floats * scale).astype(width)
    got = read(samples.tobytes(), Pcm(RATE, name, 2), sizes)
    np.testing.assert_array_equal(got, samples)


@pytest.mark.parametrize(
    ("subtype", "name"), [("PCM_16", "s16le"), ("PCM_32", "s32le"), ("FLOAT", "f32le")]
)
@pytest.mark.parametrize("format", ["WAV", "WAVEX"])
def test_a_header_says_what_they_are(subtype: str, name: str, format: str) -> None:
    data = wav(make_noise(0.5, RATE, 2), subtype, format)
    with piped(data, (7, 100)) as pipe:
        source = PcmPipe(pipe, None, "<stdin>")
        assert source.pcm == Pcm(RATE, name, 2)
        got = np.concatenate(list(source))
    dtype = {"s16le": "int16", "s32le": "int32", "f32le": "float32"}[name]
    np.testing.assert_array_equal(got, soundfile.read(io.BytesIO(data), dtype=dtype)[0])


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_written_to_a_pipe_knows_no_length(size: int) -> None:
    data = bytearray(wav(make_noise(0.5, RATE), "PCM_16"))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", size)
    assert read(bytes(data), None).shape == (RATE // 2, 1)


def test_what_follows_the_samples_is_no_sound() -> None:
    data = wav(make_noise(0.5, RATE), "PCM_16")
    assert read(data + b"LIST" + bytes(400), None).shape == (RATE // 2, 1)


def test_samples_are_given_as_they_come() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as end:
        end.write(np.arange(100, dtype=np.int16).tobytes())
        blocks: Iterator[Any] = iter(PcmPipe(pipe, SAID, "<stdin>"))
        given = next(blocks)
        while given.size < 100:
            given = np.concatenate([given, next(blocks)])
        np.testing.assert_array_equal(given[:, 0], np.arange(100))


def test_a_stretch_of_a_frame_at_the_end_is_told() -> None:
    with pytest.warns(DamagedAudioWarning, match="left out 3 bytes at the end of <stdin>"):
        assert read(bytes(403), Pcm(RATE, "f32le", 1)).shape == (100, 1)


@pytest.mark.parametrize(
    ("data", "said", "kind", "words"),
    [
        (b"", SAID, AudioError, "expected samples, found a pipe that ended before the first"),
        (bytes(100), None, UsageError, "expected a WAV file, or --rate, --format and --channels"),
        (b"RIFF\0\0\0\0WAVEfmt ", None, AudioError, "found half a header"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", None, AudioError, "found one that says no format"),
        (b"RIFF\0\0\0\0WAVEjunk\0\0\0\x7f", None, AudioError, "found a header of 2130706432 bytes"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\1\0", None, AudioError, "found half a format"),
        (wav(make_noise(1, RATE), "PCM_24"), None, AudioError, "found format 1 of 24 bits; conv"),
        (wav(make_noise(1, RATE), "ULAW"), None, AudioError, "found format 7 of 8 bits; convert"),
        (
            wav(make_noise(1, RATE), "PCM_16"),
            Pcm(44_100),
            AudioError,
            "expected 44100 Hz, s16le, 1 channel, found a WAV of 16000 Hz, s16le, 1 channel",
        ),
    ],
)
def test_what_is_no_audio_is_refused(
    data: bytes, said: Pcm | None, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read(data, said)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0, "s16le", 1), "sample rate: expected a sample rate of 1000 to"),
        ((RATE, "u8", 1), "format: expected one of s16le, s32le, f32le, f64le, found u8"),
        ((RATE, "s16le", 0), "channels: expected at least 1, found 0"),
        ((RATE, "s16le", 65), "channels: expected at most 64 channels, found 65"),
    ],
)
def test_what_no_recording_has_is_refused(values: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pcm(*values)
