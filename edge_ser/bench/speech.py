"""The speech that is measured with: the package's samples, or a recording, at any length."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from edge_ser.audio import Samples, to_int16
from edge_ser.audio.files import decode_file
from edge_ser.data import sample_utterances
from edge_ser.errors import MissingPathError

# What sound cards record at. Files for measuring are written so, because devices must resample.
FILE_RATE_HZ = 48_000
# Of an hour-long recording, no more is read than its beginning.
_MOST_PAUSE_SECONDS = 30
# Of the loudest sample; less is a pause.
_QUIET = 0.05


def speech(seconds: float, rate: int, source: Path | None = None) -> Samples:
    """Speech of a length, one utterance after the other, repeated where they are too short.

    It begins with a word.

    Args:
        seconds: wanted.
        rate: Hz of the result.
        source: a recording; None: the samples of this package.

    Returns:
        `[seconds * rate]` float32.

    Raises:
        MissingPathError: no such recording.
        AudioError: one that cannot be read.
    """
    files = sample_utterances() if source is None else [source]
    if not files:
        raise MissingPathError("samples", expected="the package's samples", found="none")
    count = int(seconds * rate)
    voice = np.concatenate([decode_file(f, rate, seconds + _MOST_PAUSE_SECONDS) for f in files])
    loud = np.abs(voice) > _QUIET * np.abs(voice).max()
    voice = voice[int(loud.argmax()) :]  # not from the pause before it: that alone may be silence
    repeated: Samples = np.tile(voice, -(-count // voice.size))[:count]
    return repeated


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write mono samples `[n]` in [-1, 1] as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(samples).astype("<i2").tobytes())
