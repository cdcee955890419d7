"""Voice quality and recording channel, applied to samples.

Signals are float arrays of shape (n,), 16 kHz. Each effect keeps the length. The random generator
is consumed in a fixed order, so that equal generators give equal samples.

References for the voice qualities: see `voices`.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal as dsp

from .voices import Quality

SAMPLE_RATE = 16_000  # Hz

Samples = NDArray[np.float64]

JITTER_BANDWIDTH_HZ = 60.0
TREMOR_HZ = (5.0, 7.5)
ROUGHNESS_HZ = (35.0, 90.0)  # within the 30..150 Hz of Arnal et al. 2015, below speech's F0
SMILE_HZ, SMILE_WIDTH_HZ = 2900.0, 700.0  # around F3
TILT_PIVOT_HZ = 700.0
ENVELOPE_POLE = 0.99  # about 6 ms at 16 kHz

TELEPHONE_HZ = (300.0, 3400.0)  # ITU-T G.712
MU = 255.0  # ITU-T G.711


def apply_quality(samples: Samples, quality: Quality, rng: Generator) -> Samples:
    """Gives a neutral voice the `quality`: jitter, tremor, roughness, breath, tilt, smile."""
    n = len(samples)
    time_s = np.arange(n) / SAMPLE_RATE
    voice = _warp_time(samples, quality, time_s, rng)
    envelope = np.sqrt(dsp.lfilter([1.0 - ENVELOPE_POLE], [1.0, -ENVELOPE_POLE], voice**2) + 1e-12)

    beat = 2 * np.pi * rng.uniform(*ROUGHNESS_HZ) * time_s + _slow_noise(n, 4.0, rng)
    voice *= 1.0 - quality.roughness * 0.5 * (1.0 + np.sin(beat))
    voice *= 1.0 + 0.5 * quality.tremor * np.sin(2 * np.pi * 6.0 * time_s)

    # Aspiration noise lies high in the spectrum and follows the voice's envelope.
    aspiration = dsp.lfilter([1.0, -0.9], [1.0], rng.normal(0.0, 1.0, n)) * envelope
    voice = (1.0 - 0.4 * min(quality.breath, 1.0)) * voice + 0.8 * quality.breath * aspiration

    def gain_db(hz: Samples) -> Samples:
        octaves = np.log2(np.clip(hz, 150.0, 6500.0) / TILT_PIVOT_HZ)
        smile = np.exp(-0.5 * ((hz - SMILE_HZ) / SMILE_WIDTH_HZ) ** 2)
        return quality.tilt_db * octaves + quality.smile_db * smile

    return _equalise(voice, gain_db)


def apply_channel(samples: Samples, rng: Generator) -> Samples:
    """Records the signal: equalisation and noise always, at times reverberation or a telephone.

    The ranges (SNR 14..42 dB, reverberation 0.12..0.5 s in 35 %, telephone in 20 %) are those of
    close to mid-distance speech; they keep a model from reading emotion off absolute spectra.
    """
    samples = _colour(samples, rng)
    if rng.random() < 0.35:
        samples = _reverberate(samples, rng)
    samples = _add_noise(samples, rng)
    if rng.random() < 0.2:
        samples = _telephone(samples)
    return samples


def _warp_time(samples: Samples, quality: Quality, time_s: Samples, rng: Generator) -> Samples:
    """Moves each sample in time by jitter and tremor, which modulates F0."""
    n = len(samples)
    jitter = quality.jitter * _slow_noise(n, JITTER_BANDWIDTH_HZ, rng) * SAMPLE_RATE / 120.0
    swing = np.sin(2 * np.pi * rng.uniform(*TREMOR_HZ) * time_s + rng.uniform(0.0, 6.0))
    tremor = quality.tremor * 0.0022 * SAMPLE_RATE / 6.0 * swing  # at most some 2 % of F0
    index = np.arange(n)
    return np.interp(np.clip(index + jitter + tremor, 0, n - 1), index, samples)


def _slow_noise(n: int, bandwidth_hz: float, rng: Generator) -> Samples:
    """Noise of unit variance at its nodes, interpolated between them; shape (n,)."""
    nodes = int(n * bandwidth_hz * 2 / SAMPLE_RATE) + 4
    return np.interp(np.arange(n), np.linspace(0, n, nodes), rng.normal(0.0, 1.0, nodes))


def _equalise(samples: Samples, gain_db: Callable[[Samples], Samples]) -> Samples:
    """Filters with zero phase in one FFT, whose size is a power of two for speed."""
    n = len(samples)
    size = 1 << (n - 1).bit_length()
    hz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE).astype(np.float64)
    spectrum = np.fft.rfft(samples, size) * 10.0 ** (gain_db(hz) / 20.0)
    filtered: Samples = np.fft.irfft(spectrum, size)[:n]
    return filtered


def _colour(samples: Samples, rng: Generator) -> Samples:
    """A random tilt and ripple, as of microphone and distance."""
    tilt_db = rng.normal(0.0, 0.7)
    ripple_db = rng.normal(0.0, 1.2, 8)
    ripple_octave = np.linspace(5.6, 13.0, 8)  # log2 of 48 Hz .. 8 kHz

    def gain_db(hz: Samples) -> Samples:
        tilt = tilt_db * np.log2(np.clip(hz, 100.0, 7000.0) / 800.0)
        return tilt + np.interp(np.log2(np.clip(hz, 50.0, 8000.0)), ripple_octave, ripple_db)

    return _equalise(samples, gain_db)


def _reverberate(samples: Samples, rng: Generator) -> Samples:
    """Convolves with exponentially decaying noise, 60 dB down at its end."""
    length = int(rng.uniform(0.12, 0.5) * SAMPLE_RATE)
    tail = rng.normal(0.0, 1.0, length) * np.exp(-6.9 * np.arange(length) / length)
    response = tail / np.sqrt((tail**2).sum()) * rng.uniform(0.1, 0.6)
    response[0] += 1.0
    reverberant: Samples = dsp.fftconvolve(samples, response)[: len(samples)]
    return reverberant


def _add_noise(samples: Samples, rng: Generator) -> Samples:
    """Adds steady noise, white or (60 %) low-passed as of rooms and traffic."""
    snr_db = rng.uniform(14.0, 42.0)
    noise: Samples = rng.normal(0.0, 1.0, len(samples))
    if rng.random() < 0.6:
        noise = dsp.lfilter([0.05], [1.0, -0.95], noise)
    noisy: Samples = samples + noise * (_rms(samples) / _rms(noise)) * 10.0 ** (-snr_db / 20.0)
    return noisy


def _telephone(samples: Samples) -> Samples:
    """Band-passes as a telephone does and codes in 8 bits with the mu law."""
    band = dsp.butter(4, TELEPHONE_HZ, "band", fs=SAMPLE_RATE, output="sos")
    narrow = dsp.sosfilt(band, samples)
    peak = np.abs(narrow).max() + 1e-9
    scaled = narrow / peak
    code = np.round(127.0 * np.sign(scaled) * np.log1p(MU * np.abs(scaled)) / np.log1p(MU)) / 127.0
    decoded: Samples = np.sign(code) * ((1.0 + MU) ** np.abs(code) - 1.0) / MU * peak
    return decoded


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2))) + 1e-9
