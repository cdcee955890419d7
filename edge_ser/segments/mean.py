"""The mean over a recording's pieces, as the answer to all of it."""

from __future__ import annotations

from edge_ser.emotion.decode import Emotion
from edge_ser.errors import AudioError
from edge_ser.segments.segment import Overall
from edge_ser.segments.stream import Segments


def mean_of(index: Segments) -> Emotion:
    """The mean over all pieces, weighted by their time.

    Args:
        index: that nobody went through yet.

    Raises:
        AudioError: no piece can be answered; or see `Recognizer.segments`.
    """
    reason = ""
    for segment in index:
        reason = reason or segment.reason
    refuse_unanswered(index.overall, reason)
    assert index.overall.emotion is not None
    return index.overall.emotion


def refuse_unanswered(overall: Overall, reason: str) -> None:
    """Say that nothing of a recording was answered.

    Args:
        overall: of it.
        reason: of its first piece.

    Raises:
        AudioError: nothing was.
    """
    if not overall.answered:
        raise AudioError(
            overall.source,
            expected="a piece that can be answered",
            found=f"none of {overall.segments}: {reason}",
            advice="check the microphone or the channel that was recorded",
        )
