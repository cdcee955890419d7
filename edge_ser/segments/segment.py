"""The answer of a piece of a recording, and of all pieces together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.sphere import Partition


@dataclass(frozen=True)
class Segment:
    """A piece of a recording.

    Attributes:
        start: seconds from the start of the recording.
        end: seconds.
        emotion: of the piece; None where it is not answered.
        reason: why it is not answered, in words; "" where it is.
        source: name of the recording; "" for samples in memory.
    """

    start: float
    end: float
    emotion: Emotion | None
    reason: str = ""
    source: str = ""

    @property
    def speech_share(self) -> float:
        """Of the time that may be speech; 0 where it is not answered."""
        sound = None if self.emotion is None else self.emotion.sound
        return 0.0 if sound is None else sound.speech_share

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "source": self.source,
            "start": self.start,
            "end": self.end,
            "speech_share": self.speech_share,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Overall:
    """All pieces of a recording together.

    Attributes:
        emotion: of the mean of the model's numbers, each piece weighted by its seconds of
            speech; None where no piece is answered.
        segments: pieces, answered or not.
        answered: of them.
        seconds: end of the last piece.
        speech_share: of all pieces, answered or not.
        source: name of the recording; "" for samples in memory.
    """

    emotion: Emotion | None
    segments: int
    answered: int
    seconds: float
    speech_share: float
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "source": self.source,
            "segments": self.segments,
            "answered": self.answered,
            "seconds": self.seconds,
            "speech_share": self.speech_share,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
        }


class WeightedMean:
    """Mean of a model's numbers over pieces, at constant memory.

    The mean is taken of the vector, not of radius and angles, which have none: the angles of two
    points on either side of -180 degrees lie next to each other, and their mean opposite to both.
    """

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._weight = 0.0

    def add(self, outputs: Mapping[str, NDArray[np.float32]], row: int, weight: float) -> None:
        """Take one row of a batch's outputs.

        Args:
            outputs: `[batch, width]` by name.
            row: of them.
            weight: seconds.
        """
        for name, array in outputs.items():
            part = weight * array[row].astype(np.float64)
            self._sums[name] = self._sums[name] + part if name in self._sums else part
        self._weight += weight

    def emotion(self, partition: Partition, source: str) -> Emotion | None:
        """What the mean says; None where nothing of any weight was taken."""
        if self._weight <= 0:
            return None
        arrays = {
            name: (total / self._weight).astype(np.float32)[None]
            for name, total in self._sums.items()
        }
        return decode(Outputs(arrays), partition, [self._weight], [source])[0]
