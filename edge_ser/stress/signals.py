"""What several perturbations share: powers, spectra, and keeping to the full scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Samples

Floats = NDArray[np.float64]


def power(samples: NDArray[np.floating]) -> float:
    """Mean square of `[n]` samples."""
    wide = samples.astype(np.float64)
    return float(np.dot(wide, wide)) / max(1, wide.size)


def within_scale(samples: NDArray[np.floating]) -> Samples:
    """Samples turned down, if need be, until none is beyond -1..1: nothing is clipped."""
    peak = float(np.abs(samples).max(initial=0.0))
    return (samples / max(1.0, peak)).astype(np.float32)


def like_power(samples: NDArray[np.floating], model: Samples) -> Samples:
    """Samples as loud as others, and within the full scale."""
    own = power(samples)
    return within_scale(samples * np.sqrt(power(model) / own) if own > 0 else samples)


def shaped(samples: NDArray[np.floating], rate: int, gain: Callable[[Floats], Floats]) -> Floats:
    """Samples `[n]` with a gain for each frequency, without a change of phase.

    Args:
        samples: to be filtered.
        rate: Hz.
        gain: factors `[m]` of frequencies `[m]` in Hz, the first of which is 0.
    """
    # room behind the end, so that what rings there does not come back at the beginning
    size = _fast_size(samples.size + rate // 4)
    hz: Floats = np.fft.rfftfreq(size, 1 / rate).astype(np.float64)
    spectrum = np.fft.rfft(samples, size) * gain(hz)
    return np.asarray(np.fft.irfft(spectrum, size)[: samples.size])


def convolved(samples: Samples, response: Floats) -> Floats:
    """The first `n` samples of `[n]` convolved with a response `[m]`."""
    size = _fast_size(samples.size + response.size)
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: samples.size])


def _fast_size(length: int) -> int:
    """A power of two, which transforms fast."""
    return 1 << (length - 1).bit_length()
