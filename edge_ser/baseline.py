"""Answers of one speaker or microphone, against what the model says of its neutral speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_ser.emotion.decode import VAD, Outputs
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.errors import UsageError

# Of the model's scale, 0..1: the score 4.
_NEUTRAL = 0.5


class Baseline(NamedTuple):
    """What a model says of neutral utterances, on the mean.

    Attributes:
        vad: arousal, dominance, valence on 0..1, of the mean over the utterances.
        utterances: that it is the mean of.
    """

    vad: tuple[float, float, float]
    utterances: int

    @classmethod
    def of(cls, outputs: Sequence[Outputs]) -> Baseline:
        """The mean over utterances.

        Args:
            outputs: of runs of the model, at least one.

        Raises:
            UsageError: of a model without dimensions.
        """
        if VAD not in outputs[0].arrays:
            raise UsageError(
                "baseline",
                expected="a model of arousal, dominance and valence",
                found="one that tells categories apart",
            )
        vad = np.concatenate([one.vad for one in outputs])
        arousal, dominance, valence = vad.mean(axis=0, dtype=np.float64).tolist()
        return cls((arousal, dominance, valence), len(vad))

    def shift(self, outputs: Outputs) -> Outputs:
        """Outputs with `vad + (0.5 - baseline)`: what equals the baseline is neutral, 4 of 1..7.

        Nothing else is changed: a classifier's numbers have no neutral point.
        """
        offset = (_NEUTRAL - np.asarray(self.vad)).astype(np.float32)
        return Outputs({**outputs.arrays, VAD: outputs.vad + offset})

    def __str__(self) -> str:
        scores = (SCORE_MIN + (SCORE_MAX - SCORE_MIN) * unit for unit in self.vad)
        named = zip(DIMENSIONS, scores, strict=True)
        return ", ".join(f"{name} {score:.2f}" for name, score in named)


def check_utterances(audio: Sequence[object]) -> None:
    """Refuse a baseline of nothing.

    Raises:
        UsageError: no utterance, or one in place of a list.
    """
    if isinstance(audio, str | bytes) or not isinstance(audio, Sequence):
        raise UsageError("baseline", expected="a list of neutral utterances", found="one thing")
    if not audio:
        raise UsageError("baseline", expected="at least one neutral utterance", found="none")
