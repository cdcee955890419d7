"""Arousal, valence and dominance: their draw, simulated raters, names of the octants.

References:
    Russell & Mehrabian 1977, "Evidence for a three-factor theory of emotions", J. Res. Pers. 11.
    Mehrabian 1996, "Pleasure-arousal-dominance: a general framework ...", Current Psychology 14.
    Lotfian & Busso 2019, "Building naturalistic emotionally balanced speech corpus ...",
        IEEE Trans. Affective Computing 10 (MSP-Podcast: scales of 1..7, at least five raters).
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.random import Generator

SCALE_CENTRE = 4.0  # MSP-Podcast's neutral, on its scale of 1..7
SCALE_HALF_WIDTH = 3.0

RATERS = 5  # MSP-Podcast's minimum per clip
# On [-1, 1]. It bounds what a model can reach: the raters' mean agrees with what was expressed to
# a concordance correlation of 0.955.
RATER_SD = 0.3

LATENT_SD = 0.5  # on [-1, 1]: most clips are mild, as in natural corpora, and all octants occur
# Order: arousal, valence, dominance. Excited speech tends to be rated dominant, and pleasant
# speech a little so; the two correlations keep a model from taking the axes for independent.
LATENT_CORRELATION = np.array([[1.0, 0.0, 0.35], [0.0, 1.0, 0.15], [0.35, 0.15, 1.0]])
_MIXING = LATENT_SD * np.linalg.cholesky(LATENT_CORRELATION)


@dataclass(frozen=True)
class Emotion:
    """A point in the emotion space, each coordinate in [-1, 1] with 0 as neutral."""

    arousal: float
    valence: float
    dominance: float

    def __post_init__(self) -> None:
        """Checks the range."""
        for name, value in vars(self).items():
            if not -1.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie in [-1, 1], found {value}")

    def on_msp_scale(self) -> tuple[float, float, float]:
        """Arousal, valence, dominance on MSP-Podcast's scale of 1..7."""
        arousal, valence, dominance = (SCALE_CENTRE + SCALE_HALF_WIDTH * x for x in astuple(self))
        return arousal, valence, dominance


@dataclass(frozen=True)
class Octant:
    """One of the eight sign combinations, with Mehrabian's (1996) name of the temperament."""

    numeral: str
    name: str
    signs: tuple[int, int, int]  # arousal, valence, dominance

    def corner(self, size: float) -> Emotion:
        """The point `size` away from neutral along each axis, in this octant."""
        arousal, valence, dominance = (sign * size for sign in self.signs)
        return Emotion(arousal, valence, dominance)


OCTANTS = (
    Octant("i", "exuberant", (+1, +1, +1)),
    Octant("ii", "relaxed", (-1, +1, +1)),
    Octant("iii", "disdainful", (-1, -1, +1)),
    Octant("iv", "hostile", (+1, -1, +1)),
    Octant("v", "dependent", (+1, +1, -1)),
    Octant("vi", "docile", (-1, +1, -1)),
    Octant("vii", "bored", (-1, -1, -1)),
    Octant("viii", "anxious", (+1, -1, -1)),
)


def draw_emotion(rng: Generator) -> Emotion:
    """Draws what a speaker expresses: a correlated normal, cut to the cube [-1, 1]³."""
    while True:
        point = _MIXING @ rng.normal(0.0, 1.0, 3)
        if (np.abs(point) <= 1.0).all():
            return Emotion(*map(float, point))


def rate_emotion(expressed: Emotion, rng: Generator) -> Emotion:
    """The mean of `RATERS` simulated raters, each with an error of `RATER_SD`, cut to the scale."""
    opinions = np.array(astuple(expressed)) + rng.normal(0.0, RATER_SD, (RATERS, 3))
    return Emotion(*map(float, np.clip(opinions, -1.0, 1.0).mean(axis=0)))
