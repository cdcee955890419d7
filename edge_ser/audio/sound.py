"""What is to be known of a recording before its answer is believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.speech import SHORTEST_JUDGED, speech_share
from edge_ser.errors import UsageError

# What nothing but an offset has; JSON has no infinity.
_FLOOR_DBFS = -120.0
# Samples from here on count as clipped: converters and codecs stop a little below full scale.
_FULL_SCALE = 0.99
# Frames of 10 ms whose every sample is below a quarter of 16 bits' least step are no sound.
_FRAMES_A_SECOND, _SILENT_PEAK = 100, 2.0**-17


@dataclass(frozen=True)
class SoundLimits:
    """From where on a recording moves the answers of a model too far; part of a manifest, if set.

    Measured on the default model, see benchmarks/results/poor-audio.md: beyond each of them scores
    move by half a point of six in the middle, or one clip in five changes its region. Speech: see
    benchmarks/results/speech-gate.md.

    Attributes:
        quiet_dbfs: least level.
        clipped_share: most samples at full scale.
        silent_share: most of the time without any sound.
        offset: most of a constant part, of full scale.
        min_speech: least share of the time that may be speech, from a second on.

    Raises:
        UsageError: `min_speech` is no share.
    """

    quiet_dbfs: float = -40.0
    clipped_share: float = 0.1
    silent_share: float = 0.1
    offset: float = 0.1
    min_speech: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.min_speech <= 1:
            raise UsageError("min_speech", expected="a share, 0 to 1", found=f"{self.min_speech:g}")


class Sound(NamedTuple):
    """What a recording is like, of the part that the model hears.

    Attributes:
        level_dbfs: of the mean power, without the offset; 0 is a full-scale square wave, at least
            -120.
        clipped_share: of samples at full scale.
        silent_share: of the time in which every sample is zero.
        offset: constant part, of full scale.
        speech_share: of the time that may be speech, by its energy; see `edge_ser.audio.speech`.
        quality: what is poor about it, in words; empty where nothing is.
    """

    level_dbfs: float
    clipped_share: float
    silent_share: float
    offset: float
    speech_share: float
    quality: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return self._asdict() | {"quality": list(self.quality)}


def listen(samples: NDArray[np.float32], sample_rate: int, limits: SoundLimits) -> Sound:
    """Measure mono samples.

    Args:
        samples: `[n]` in [-1, 1], at least one, finite.
        sample_rate: Hz.
        limits: of the model.
    """
    size = samples.size
    offset = float(np.add.reduce(samples)) / size
    power = float(np.dot(samples, samples)) / size - offset * offset
    if power < 1e-3 * offset * offset:  # the difference of like numbers holds few digits
        rest = samples - np.float32(offset)
        power = float(np.dot(rest, rest)) / size
    level = 10 * math.log10(power) if power > 1e-12 else _FLOOR_DBFS
    clipped = 0.0
    if samples.max() >= _FULL_SCALE or samples.min() <= -_FULL_SCALE:
        clipped = np.count_nonzero(np.abs(samples) >= _FULL_SCALE) / size
    length = max(1, min(size, sample_rate // _FRAMES_A_SECOND))
    frames = samples[: size - size % length].reshape(-1, length)
    doubtful = frames[np.abs(frames[:, 0]) < _SILENT_PEAK]  # few, but for silence
    silent = int(np.count_nonzero(np.abs(doubtful).max(axis=1) < _SILENT_PEAK)) / len(frames)
    speech = round(speech_share(samples, sample_rate), 4)
    sound = Sound(round(level, 2), round(clipped, 4), round(silent, 4), round(offset, 4), speech)
    words = _words(sound, limits)
    if speech < limits.min_speech and size >= SHORTEST_JUDGED * sample_rate:
        words += (
            f"hardly any speech: {speech:.0%} of the time, of at least {limits.min_speech:.0%}",
        )
    return sound._replace(quality=words)


def _words(sound: Sound, limits: SoundLimits) -> tuple[str, ...]:
    words = []
    if sound.level_dbfs < limits.quiet_dbfs:
        words.append(f"too quiet: {sound.level_dbfs:.0f} dBFS of at least {limits.quiet_dbfs:g}")
    if sound.clipped_share > limits.clipped_share:
        words.append(
            f"clipped: {sound.clipped_share:.0%} at full scale, of at most "
            f"{limits.clipped_share:.0%}"
        )
    if sound.silent_share > limits.silent_share:
        words.append(
            f"interrupted: {sound.silent_share:.0%} digital silence, of at most "
            f"{limits.silent_share:.0%}"
        )
    if abs(sound.offset) > limits.offset:
        words.append(f"offset: {sound.offset:+.2f} of full scale, of at most {limits.offset:g}")
    return tuple(words)
