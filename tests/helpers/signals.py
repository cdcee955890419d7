"""Samples that tests of audio are made with."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Floats = NDArray[np.float32]


def make_noise(seconds: float, rate: float, channels: int = 1, seed: int = 0) -> Floats:
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)
