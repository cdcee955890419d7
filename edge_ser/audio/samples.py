"""From samples of any kind to those a model takes. No torch, no librosa. Files: `audio.files`.

The steps are those of the model's authors: mean of the channels, resampling with soxr at quality
"HQ" (what `librosa.load` uses), cut to the first `max_seconds`, normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.channels import Channel, choose_channel
from edge_ser.errors import AudioError, UsageError
from edge_ser.libraries import import_library

# Read past the cut, so that the resampler's filter sees what follows it, as it would in the
# whole file; soxr HQ's impulse response is far shorter than this.
LOOKAHEAD_SECONDS = 0.5
# Float samples are nominally in [-1, 1]. A little more is loud; thousands are int16 in disguise.
_MAX_FLOAT_PEAK = 16.0
_MAX_CHANNELS = 64
# Attention takes 2 GB over five minutes, and four times that over ten; no utterance is so long.
_MAX_SECONDS = 300
# Nor has any model's frame a tenth of this; what is shorter is padded to it.
_MAX_MIN_SECONDS = 10
# What recordings have; beyond it a resampler would make gigabytes out of a typing error.
_MIN_RATE_HZ, _MAX_RATE_HZ = 1_000, 1_000_000

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """How samples are prepared; part of every bundle's manifest.

    Attributes:
        sample_rate: Hz, of the model's input.
        max_seconds: audio after this is not used.
        min_samples: fewest samples, at `sample_rate`, that give one frame.
        short: what to do with fewer: "refuse" them, or "pad" with zeros after normalisation.
        normalization: "corpus": (x - mean) / (std + eps) with the constants below;
            "utterance": (x - mean(x)) / sqrt(var(x) + eps).
        mean: of the training corpus, on samples in [-1, 1].
        std: of the training corpus.
        eps: see `normalization`.

    Raises:
        UsageError: a value is not finite, out of its range, or of no known kind.
    """

    sample_rate: int = 16_000
    max_seconds: float = 12.0
    min_samples: int = 400
    short: Literal["refuse", "pad"] = "refuse"
    normalization: Literal["corpus", "utterance"] = "corpus"
    mean: float = 0.0
    std: float = 1.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        numbers = (self.max_seconds, self.mean, self.std, self.eps)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise UsageError("pre-processing", expected="finite numbers", found=f"{numbers}")
        rate, seconds, shortest = self.sample_rate, self.max_seconds, self.min_samples
        rates = f"sample_rate in {_MIN_RATE_HZ}..{_MAX_RATE_HZ} Hz"
        kinds = ("corpus", "utterance")
        # in this order: the product of rate and seconds is taken of sensible ones only
        for rule, value, holds in (
            (rates, rate, _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ),
            (f"max_seconds in 0..{_MAX_SECONDS}", seconds, 0 < seconds <= _MAX_SECONDS),
            ("min_samples > 0", shortest, shortest > 0),
            (
                f"min_samples of at most {_MAX_MIN_SECONDS} s",
                shortest,
                shortest <= _MAX_MIN_SECONDS * rate,
            ),
            ("std > 0", self.std, self.std > 0),
            ("eps >= 0", self.eps, self.eps >= 0),
            ("short refuse or pad", self.short, self.short in ("refuse", "pad")),
            ("normalization corpus or utterance", self.normalization, self.normalization in kinds),
        ):
            if not holds:
                raise UsageError("pre-processing", expected=rule, found=f"{value!r:.40}")
        if self.max_samples < shortest:
            raise UsageError(
                "pre-processing",
                expected=f"max_seconds that hold min_samples, {shortest}",
                found=f"{seconds:g} s, {self.max_samples} samples",
            )

    @property
    def max_samples(self) -> int:
        """Most samples, at `sample_rate`, that a model is given."""
        return int(self.max_seconds * self.sample_rate)

    def apply(self, samples: Samples, subject: object = "audio") -> Samples:
        """Check, cut and normalise mono samples at `sample_rate`.

        Args:
            samples: `[n]` float32 in [-1, 1].
            subject: named in error messages.

        Returns:
            `[min(n, max_samples)]` float32.

        Raises:
            AudioError: too short, not finite, or all zero.
        """
        x = samples[: self.max_samples]
        if x.size < self.min_samples and self.short == "refuse":
            raise AudioError(
                subject,
                expected=f"at least {self.min_samples} samples "
                f"({1000 * self.min_samples / self.sample_rate:.0f} ms) at {self.sample_rate} Hz",
                found=f"{x.size}",
                advice="give a longer recording",
            )
        # a sum is finite unless a part of it is not, or it is too large
        if not math.isfinite(float(np.add.reduce(x))) and not np.isfinite(x).all():
            bad = int(np.count_nonzero(~np.isfinite(x)))
            raise AudioError(
                subject,
                expected="finite samples",
                found=f"{bad} NaN or infinite of {x.size}",
                advice="repair the recording",
            )
        if not x.any():
            raise AudioError(
                subject,
                expected="a signal",
                found=f"{x.size} samples, all zero",
                advice="check the microphone or the channel that was recorded",
            )
        y = self.normalize(x)
        if y.size < self.min_samples:
            y = np.pad(y, (0, self.min_samples - y.size))
        return y

    def normalize(self, samples: Samples) -> Samples:
        """The normalisation alone, in float32: `[n]` -> `[n]`."""
        if self.normalization == "corpus":
            scaled: Samples = (samples - np.float32(self.mean)) / np.float32(self.std + self.eps)
            return scaled
        wide = samples.astype(np.float64)
        wide = (wide - wide.mean()) / np.sqrt(wide.var() + self.eps)
        narrow: Samples = wide.astype(np.float32)
        return narrow


def decode_array(
    array: NDArray[np.generic],
    rate: float,
    sample_rate: float,
    max_seconds: float | None = None,
    subject: str = "samples",
    channel: Channel = "mean",
) -> Samples:
    """The same for samples in memory.

    Args:
        array: `[n]` or `[n, channels]`; floats in [-1, 1], or signed integers of full scale.
        rate: Hz of the array.
        sample_rate: Hz of the result.
        max_seconds: keep the first seconds only.
        subject: named in errors.
        channel: see `choose_channel`.

    Returns:
        `[n]` float32.

    Raises:
        AudioError: another shape or type, no samples, or floats of integer scale.
    """
    x = np.asarray(array)
    check_shape(x, subject)
    check_rate(rate, subject)
    if x.size == 0:
        raise AudioError(subject, expected="samples", found="an empty array")
    if max_seconds is not None:
        x = x[: int(np.ceil((max_seconds + LOOKAHEAD_SECONDS) * rate))]
    if x.dtype == np.int32:
        refuse_narrow(max(abs(int(x.min())), abs(int(x.max()))), subject)
    return finish(as_frames(x, subject), rate, sample_rate, max_seconds, subject, channel)


def check_shape(array: NDArray[np.generic], subject: object) -> None:
    """Refuse what is neither `[n]` nor `[n, channels]`.

    Raises:
        AudioError: of another shape.
    """
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= _MAX_CHANNELS):
        raise AudioError(
            subject,
            expected=f"an array [n] or [n, channels] (at most {_MAX_CHANNELS} channels)",
            found=f"shape {list(array.shape)}",
            advice="transpose it" if array.ndim == 2 else "",
        )


def as_frames(array: NDArray[np.generic], subject: object) -> Samples:
    """Samples of any type as float32 of full scale 1: `[n]` or `[n, channels]` -> `[n, channels]`.

    Raises:
        AudioError: of another type.
    """
    if array.dtype.kind == "i" and array.dtype.itemsize in (2, 4):
        full_scale = 2.0 ** (8 * array.dtype.itemsize - 1)
        frames: Samples = (array.astype(np.float64) / full_scale).astype(np.float32)
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            frames = array.astype(np.float32)
    else:
        raise AudioError(
            subject,
            expected="float32, float64, int16 or int32 samples",
            found=f"dtype {array.dtype}",
            advice="convert the array",
        )
    return frames if frames.ndim == 2 else frames[:, None]


def refuse_narrow(peak: int, subject: object) -> None:
    """Refuse 32-bit integers that hold 16-bit samples: they would be heard as silence.

    Args:
        peak: of the integers.
        subject: named in errors.

    Raises:
        AudioError: it is that of 16 bits.
    """
    if 0 < peak <= -np.iinfo(np.int16).min:
        raise AudioError(
            subject,
            expected="int32 samples of full scale, 2147483647",
            found=f"a peak of {peak}, as int16 has",
            advice="give samples.astype(numpy.int16)",
        )


def finish(
    audio: Samples,
    rate: float,
    sample_rate: float,
    max_seconds: float | None,
    subject: object,
    channel: Channel = "mean",
) -> Samples:
    """Mix, resample and cut; what is not finite is refused before a filter smears it."""
    with np.errstate(invalid="ignore"):
        mono = choose_channel(audio, channel, subject)
    used = mono.size if max_seconds is None else int(np.ceil(max_seconds * rate))
    _refuse_not_finite(mono[:used], subject)
    rest = mono[used:]  # after the cut: heard by the filter only
    if not np.isfinite(rest).all():
        mono = np.concatenate([mono[:used], np.where(np.isfinite(rest), rest, np.float32(0))])
    _refuse_loud(mono, subject)
    y = resample(mono, rate, sample_rate)
    return y if max_seconds is None else y[: int(max_seconds * sample_rate)]


def check_values(mono: Samples, subject: object) -> None:
    """Refuse samples that are not finite, or of another scale than [-1, 1]: `[n]`.

    Raises:
        AudioError: some are.
    """
    _refuse_not_finite(mono, subject)
    _refuse_loud(mono, subject)


def _refuse_not_finite(mono: Samples, subject: object) -> None:
    count = int(np.count_nonzero(~np.isfinite(mono)))
    if count:
        raise AudioError(
            subject,
            expected="finite samples",
            found=f"{count} NaN or infinite of {mono.size}",
            advice="repair the recording",
        )


def _refuse_loud(mono: Samples, subject: object) -> None:
    peak = float(np.abs(mono).max(initial=0.0))
    if peak > _MAX_FLOAT_PEAK:
        raise AudioError(
            subject,
            expected="float samples in [-1, 1]",
            found=f"a peak of {peak:.6g}",
            advice="divide by the full scale, or give int16",
        )


def check_rate(rate: float, subject: object) -> None:
    """Refuse what is no sample rate.

    Raises:
        AudioError: no number, or one that no recording has.
    """
    if not isinstance(rate, int | float | np.number) or not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ:
        raise AudioError(
            subject,
            expected=f"a sample rate of {_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz",
            found=f"{rate!r:.40}",
        )


def check_channels(count: int, subject: object) -> None:
    """Refuse a file of so many channels that a second of it takes hundreds of megabytes.

    Raises:
        AudioError: more than recordings have.
    """
    if count > _MAX_CHANNELS:
        raise AudioError(
            subject,
            expected=f"at most {_MAX_CHANNELS} channels",
            found=str(count),
            advice="choose those that are speech",
        )


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Samples in [-1, 1] as 16-bit integers, rounded and clipped."""
    whole = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767)
    return np.asarray(whole, dtype=np.int16)


def from_int16(samples: NDArray[np.int16]) -> Samples:
    """The reverse of `to_int16`."""
    scaled: Samples = samples.astype(np.float32) / np.float32(32768)
    return scaled


def resample(samples: Samples, rate: float, sample_rate: float) -> Samples:
    """Resample `[n]` from `rate` to `sample_rate` Hz with soxr's "HQ" filter.

    Raises:
        LibraryError: soxr does not load.
    """
    if rate == sample_rate:
        return samples
    soxr = import_library("soxr", "audio of another rate")
    resampled: Samples = soxr.resample(samples, rate, sample_rate, quality="HQ")
    return resampled.astype(np.float32, copy=False)
