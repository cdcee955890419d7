"""Rooms, lines and microphones: where the speech is, and what carries it."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from edge_ser.audio import Samples, resample
from edge_ser.stress.signals import Floats, convolved, like_power, shaped, within_scale

# Of a telephone line (ITU-T G.712), and of the code that it is sent in (G.711).
_LOW_HZ, _HIGH_HZ, LINE_RATE = 300.0, 3400.0, 8000
_MU = 255.0
# Between a sound and its first echo, in a room of some metres.
_FIRST_ECHO_SECONDS = 0.003
# Where a tilt turns around: in the middle of speech.
_PIVOT_HZ, _FLATTEST_HZ = 1000.0, 50.0
_FRAME_SECONDS = 0.02


def in_room(samples: Samples, rate: int, seconds: float, rng: Generator) -> Samples:
    """Speech across a room whose sound falls by 60 dB within `seconds`, as loud as before.

    The echoes are noise that dies away, and have as much power as the direct sound, as it is at the
    distance where a listener hears as much of the room as of the speaker.
    """
    size = max(2, int(seconds * rate))
    time = np.arange(size) / rate
    echoes: Floats = rng.standard_normal(size) * 10 ** (-3 * time / seconds)
    echoes[: int(_FIRST_ECHO_SECONDS * rate)] = 0
    response = echoes / np.sqrt((echoes * echoes).sum())
    response[0] = 1.0
    return like_power(convolved(samples, response), samples)


def by_telephone(samples: Samples, rate: int) -> Samples:
    """300 to 3400 Hz, sent at 8 kHz in eight bits of mu-law."""
    band = shaped(samples, rate, _line_gain).astype(np.float32)
    narrow = np.clip(resample(band, rate, LINE_RATE), -1, 1)
    return fitted(resample(_mu_law(narrow), LINE_RATE, rate), samples.size)


def fitted(samples: Samples, size: int) -> Samples:
    """The first `size` samples, with zeros behind them where there are fewer."""
    padded: Samples = np.pad(samples[:size], (0, max(0, size - samples.size)))
    return padded


def _line_gain(hz: Floats) -> Floats:
    """1 in the band; an eighth-order slope on both sides of it."""
    safe = np.maximum(hz, 1e-3)
    return 1 / np.sqrt((1 + (_LOW_HZ / safe) ** 16) * (1 + (safe / _HIGH_HZ) ** 16))


def _mu_law(samples: Samples) -> Samples:
    """To the nearest of 255 steps that are finer for quiet sound, and back."""
    code = np.sign(samples) * np.log1p(_MU * np.abs(samples)) / np.log1p(_MU)
    code = np.rint(code * 127) / 127
    stepped: Samples = np.sign(code) * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU
    return stepped.astype(np.float32, copy=False)


def louder(samples: Samples, decibels: float) -> Samples:
    """All of it louder or quieter; what goes beyond -1..1 is clipped, as a recorder would."""
    turned: Samples = samples * np.float32(10 ** (decibels / 20))
    return np.clip(turned, -1, 1)


def clipped(samples: Samples, decibels: float) -> Samples:
    """Clipped so many dB below its peak, and turned up to where the peak was."""
    peak = float(np.abs(samples).max(initial=0.0))
    ceiling = peak * 10 ** (-decibels / 20)
    return (
        np.clip(samples, -ceiling, ceiling) * np.float32(peak / ceiling) if ceiling > 0 else samples
    )


def tilted(samples: Samples, rate: int, decibels: float) -> Samples:
    """So many dB an octave brighter, or, below 0, duller; as loud as before."""
    slope = decibels / (20 * np.log10(2))
    tilt = shaped(samples, rate, lambda hz: (np.maximum(hz, _FLATTEST_HZ) / _PIVOT_HZ) ** slope)
    return like_power(tilt, samples)


def dropped(samples: Samples, rate: int, percent: float, rng: Generator) -> Samples:
    """A share of all packets of 20 ms lost, each by itself, and silence in their place."""
    frame = int(_FRAME_SECONDS * rate)
    lost = rng.random(-(-samples.size // frame)) < percent / 100
    return within_scale(np.where(np.repeat(lost, frame)[: samples.size], 0, samples))
