"""A piece of audio with its answer, whether of a recording or of a stream."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ser.emotion.decode import Emotion


@dataclass(frozen=True)
class Piece:
    """What both say of a piece: where it lies, and what the model answers.

    Attributes:
        start: seconds from the start of the audio.
        end: seconds.
        emotion: of the piece alone; None where it is not answered.
    """

    start: float
    end: float
    emotion: Emotion | None

    @property
    def speech_share(self) -> float:
        """Of the time that may be speech; 0 where it is not answered."""
        sound = None if self.emotion is None else self.emotion.sound
        return 0.0 if sound is None else sound.speech_share
