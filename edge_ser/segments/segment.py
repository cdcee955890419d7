"""The answer of a piece of a recording, and of all pieces together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.heads import HEADS
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import AudioError
from edge_ser.segments.piece import Piece
from edge_ser.segments.windows import Window

_KINDS = {kind.output: kind for kind in HEADS.values()}  # by the name of the output
# Of a piece without speech: it counts where there is nothing else.
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Segment(Piece):
    """A piece of a recording.

    Attributes:
        reason: why it is not answered, in words; "" where it is.
        source: name of the recording; "" for samples in memory.
        speaker: whose turn it is; "" where nobody said.
    """

    reason: str = ""
    source: str = ""
    speaker: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "source": self.source,
            "start": self.start,
            "end": self.end,
            "speaker": self.speaker,
            "speech_share": self.speech_share,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Overall:
    """All pieces of a recording together, or those of one speaker.

    Attributes:
        emotion: of the mean of the model's numbers (of categories: of their probabilities), each
            piece weighted by its seconds of speech; None where no piece is answered.
        segments: pieces, answered or not.
        answered: of them.
        seconds: of all pieces; what is in two of them counts once.
        speech_share: of all pieces, answered or not, each weighted by the time that it stands for.
        source: name of the recording; "" for samples in memory.
        speaker: whose pieces they are; "" for all.
    """

    emotion: Emotion | None
    segments: int
    answered: int
    seconds: float
    speech_share: float
    source: str = ""
    speaker: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "source": self.source,
            "speaker": self.speaker,
            "segments": self.segments,
            "answered": self.answered,
            "seconds": self.seconds,
            "speech_share": self.speech_share,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
        }


def unanswered_reason(error: AudioError) -> str:
    """Why a piece is not answered, without its place."""
    return f"expected {error.expected}, found {error.found}"


class Together:
    """Many pieces as one, at constant memory.

    The mean is taken of the model's vector and of the probabilities of categories, not of radius
    and angles, which have none: the angles of two points on either side of -180 degrees lie next to
    each other, and their mean opposite to both.

    Args:
        sample_rate: Hz of the pieces.

    Attributes:
        count: pieces so far.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._weight = self._counted = self._speech = 0.0
        self.count = self._answered = 0
        self._covered = self._end = 0  # samples in any piece; where the last of them ends

    def add_unanswered(self, window: Window) -> None:
        """Take a piece that has no answer.

        Args:
            window: the piece, which begins and ends no earlier than the one before.
        """
        self.count += 1
        self._counted += window.counted
        end = window.start + window.samples.size
        self._covered += end - min(end, max(window.start, self._end))
        self._end = max(end, self._end)

    def add(self, window: Window, rows: Mapping[str, NDArray[np.float32]], speech: float) -> None:
        """Take an answered piece.

        Args:
            window: see `add_unanswered`.
            rows: `[width]` by name, the model's numbers.
            speech: share of its time, 0..1.
        """
        self.add_unanswered(window)
        self._answered += 1
        self._speech += window.counted * speech
        weight = window.counted * max(speech, _LEAST_WEIGHT)
        self._weight += weight
        for name, row in rows.items():
            self._sums[name] = self._sums.get(name, 0.0) + weight * _KINDS[name].to_mean(row)

    def overall(
        self,
        partition: Partition,
        source: str,
        speaker: str = "",
        categories: Sequence[str] = (),
    ) -> Overall:
        """All that was taken, at least one piece."""
        seconds = self._covered / self._rate
        emotion = None
        if self._weight > 0:
            arrays = {
                name: _KINDS[name].from_mean(total / self._weight).astype(np.float32)[None]
                for name, total in self._sums.items()
            }
            (emotion,) = decode(
                Outputs(arrays), partition, [seconds], [source], categories=categories
            )
        # turns that last less than a sample count for nothing
        share = round(self._speech / self._counted, 4) if self._counted else 0.0
        return Overall(emotion, self.count, self._answered, seconds, share, source, speaker)
