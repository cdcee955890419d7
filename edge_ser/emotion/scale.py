"""The task: which numbers a model gives, in which order and on which scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Order of the outputs of every model that this package exports.
DIMENSIONS = ("arousal", "dominance", "valence")

# MSP-Podcast's annotation scale (self-assessment manikins, 1..7); models are trained on 0..1.
SCORE_MIN, SCORE_MAX = 1.0, 7.0

# Temperaments of the pleasure-arousal-dominance octants (Mehrabian 1996, Current Psychology
# 14:261-292), in the order of the regions I..VIII of EmoSphere-SER.
TEMPERAMENTS = (
    "exuberant",
    "relaxed",
    "disdainful",
    "hostile",
    "dependent",
    "docile",
    "bored",
    "anxious",
)
OCTANTS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")


def scores_from_unit(vad: ArrayLike) -> NDArray[np.float64]:
    """Model output on 0..1 to reported scores on 1..7: clip(6 y + 1, 1, 7)."""
    y = np.asarray(vad, dtype=np.float64)
    return np.clip(y * (SCORE_MAX - SCORE_MIN) + SCORE_MIN, SCORE_MIN, SCORE_MAX)


def unit_from_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores on 1..7 to the model's scale: (x - 1) / 6."""
    return (np.asarray(scores, dtype=np.float64) - SCORE_MIN) / (SCORE_MAX - SCORE_MIN)
