"""How much of a recording may be speech, by its energy alone: no model and no file.

Speech is loud and silent in turn, many times a second; noise, hum and tones are as loud all along.
What is told from it by this is measured in benchmarks/results/speech-gate.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Shorter recordings may be one vowel, which is as loud all along as a tone.
SHORTEST_JUDGED = 1.0
FRAMES_A_SECOND = 100
# A frame is speech this far above the quietest tenth of all, and above what a microphone has.
_ABOVE_FLOOR_DB, _FLOOR_PERCENTILE, _LEAST_DBFS = 9.0, 10, -80.0


def frame_levels(samples: NDArray[np.float32], length: int, before: float) -> NDArray[np.float32]:
    """Levels of frames, in dBFS.

    They are those of the difference of neighbouring samples, where hum and rumble are faint.

    Args:
        samples: `[n]` in [-1, 1], finite.
        length: of a frame, in samples; what is left after the last whole one counts for nothing.
        before: the sample before the first.

    Returns:
        `[n // length]`, at least -120.
    """
    difference = np.diff(samples, prepend=np.float32(before))
    frames = difference[: difference.size - difference.size % length].reshape(-1, length)
    power = np.einsum("ij,ij->i", frames, frames) / length
    levels: NDArray[np.float32] = 10 * np.log10(np.maximum(power, 1e-12))
    return levels


def speech_level(levels: NDArray[np.float32]) -> float:
    """The level above which a frame may be speech, in dBFS, by all frames around it: `[frames]`."""
    floor = float(np.percentile(levels, _FLOOR_PERCENTILE))
    return max(_LEAST_DBFS, floor + _ABOVE_FLOOR_DB)


def speech_share(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Share of the time that may be speech, 0..1.

    Args:
        samples: `[n]` in [-1, 1], at least one, finite.
        sample_rate: Hz.
    """
    length = max(1, min(samples.size, sample_rate // FRAMES_A_SECOND))
    levels = frame_levels(samples, length, float(samples[0]))
    return float(np.mean(levels > speech_level(levels)))
