"""Noise beside the speech, at a ratio of their powers over the whole clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge_ser.audio import Samples
from edge_ser.stress.signals import Floats, power, shaped, within_scale

# Talkers of a babble: of fewer, single words are heard; more sound alike.
TALKERS = 6
FEWEST_TALKERS = 3
# Pink noise has no more power below it than at it: it would be rumble alone.
_LOWEST_HZ = 50.0


def add_white(samples: Samples, rate: int, ratio: float, rng: Generator) -> Samples:
    """Add noise of equal power at all frequencies, `ratio` dB below the speech."""
    return mixed(samples, rng.standard_normal(samples.size), ratio)


def add_pink(samples: Samples, rate: int, ratio: float, rng: Generator) -> Samples:
    """Add noise that falls by 3 dB an octave, as fans and traffic do, `ratio` dB below."""
    white = rng.standard_normal(samples.size)
    pink = shaped(white, rate, lambda hz: 1 / np.sqrt(np.maximum(hz, _LOWEST_HZ)))
    return mixed(samples, pink, ratio)


def add_babble(
    samples: Samples, ratio: float, rng: Generator, others: Sequence[Samples]
) -> Samples:
    """Add other people's speech, `ratio` dB below.

    Args:
        samples: `[n]` of one clip.
        ratio: dB.
        rng: chooses who talks, and from where on.
        others: `[m]` each; at least `FEWEST_TALKERS`, none of them the clip itself.
    """
    babble: Floats = np.zeros(samples.size)
    for index in rng.permutation(len(others))[:TALKERS]:
        voice = others[index].astype(np.float64)
        begun = np.roll(voice, int(rng.integers(voice.size)))
        # as loud as each other, whoever recorded them
        babble += np.resize(begun, samples.size) / np.sqrt(power(voice) + 1e-12)
    return mixed(samples, babble, ratio)


def mixed(samples: Samples, noise: NDArray[np.floating], ratio: float) -> Samples:
    """Speech with a noise so many dB below it, turned down if their sum is beyond -1..1."""
    own = power(noise)
    factor = np.sqrt(power(samples) / own / 10 ** (ratio / 10)) if own > 0 else 0.0
    return within_scale(samples + factor * noise)
