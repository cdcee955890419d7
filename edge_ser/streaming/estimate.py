"""The answer of a window of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_ser.segments.piece import Piece
from edge_ser.streaming.smoothing import Smoothed


@dataclass(frozen=True)
class Estimate(Piece):
    """What a stream says of a window.

    Attributes:
        smoothed: the running mean, after this window; None where it is not answered, holds less
            speech than the model's least share, or the model has no dimensions.
        is_speech: whether somebody speaks at its end.
        reason: why it is not answered, in words; "" where it is.
        captured_at: when its end was captured, in seconds of the clock that was given; None
            without one.
        missing_seconds: that are missing inside it, by that clock.
        dropped: windows before it that were left out, as the model was slower than the audio.
    """

    smoothed: Smoothed | None
    is_speech: bool
    reason: str = ""
    captured_at: float | None = None
    missing_seconds: float = 0.0
    dropped: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "start": self.start,
            "end": self.end,
            "speech_share": self.speech_share,
            "is_speech": self.is_speech,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "smoothed": None if self.smoothed is None else self.smoothed.to_dict(),
            "reason": self.reason,
            "captured_at": self.captured_at,
            "missing_seconds": self.missing_seconds,
            "dropped": self.dropped,
        }
