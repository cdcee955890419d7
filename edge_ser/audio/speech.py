"""How much of a recording may be speech, by its energy alone: no model and no file.

Speech is loud and silent in turn, many times a second; noise, hum and tones are as loud all along.
What is told from it by this is measured in benchmarks/results/speech-gate.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Shorter recordings may be one vowel, which is as loud all along as a tone.
SHORTEST_JUDGED = 1.0
_FRAMES_A_SECOND = 100
# A frame is speech this far above the quietest tenth of all, and above what a microphone has.
_ABOVE_FLOOR_DB, _FLOOR_PERCENTILE, _LEAST_DBFS = 9.0, 10, -80.0


def speech_share(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Share of the time that may be speech, 0..1.

    Levels are those of the difference of neighbouring samples, where hum and rumble are faint.

    Args:
        samples: `[n]` in [-1, 1], at least one, finite.
        sample_rate: Hz.
    """
    difference = np.diff(samples, prepend=samples[:1])
    length = max(1, min(difference.size, sample_rate // _FRAMES_A_SECOND))
    frames = difference[: difference.size - difference.size % length].reshape(-1, length)
    power = np.einsum("ij,ij->i", frames, frames) / length
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    floor = float(np.percentile(levels, _FLOOR_PERCENTILE))
    return float(np.mean(levels > max(_LEAST_DBFS, floor + _ABOVE_FLOOR_DB)))
