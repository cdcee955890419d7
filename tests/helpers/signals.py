"""Samples that tests of audio are made with."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Floats = NDArray[np.float32]


def make_syllables(seconds: float, rate: float, seed: int = 0) -> Floats:
    """Noise of -20 dBFS that comes and goes four times a second, as speech does."""
    noise = make_noise(seconds, rate, seed=seed)
    is_loud = (4 * np.arange(noise.size) / rate) % 1 < 0.75
    syllables = noise * np.where(is_loud, 1, 0.05)
    return (syllables * 0.1 / np.sqrt(np.mean(syllables**2))).astype(np.float32)


def make_noise(seconds: float, rate: float, channels: int = 1, seed: int = 0) -> Floats:
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)
