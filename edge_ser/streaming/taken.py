"""What a stream tells of the audio that it has taken, beside its estimates."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from edge_ser.streaming.clock import ClockReport
from edge_ser.streaming.intake import Intake
from edge_ser.streaming.speech_gate import SpokenSpan


class TakenAudio:
    """A stream's audio so far: how long, who speaks, and whether something is missing.

    Args:
        intake: what takes it.
        lock: held while several numbers are read, where another thread takes audio; None: there is
            none.
    """

    def __init__(self, intake: Intake, lock: AbstractContextManager[object] | None = None) -> None:
        self._intake, self._lock = intake, lock or contextlib.nullcontext()

    @property
    def seconds(self) -> float:
        """Of audio taken so far."""
        return self._intake.seconds

    @property
    def is_speech(self) -> bool:
        """Whether somebody speaks now, or is in a pause that ends no utterance."""
        return self._intake.gate.is_speech

    def ended_utterances(self) -> list[SpokenSpan]:
        """The utterances that ended since this was last asked, of those the last thousand.

        Known `pause` seconds after they ended; where the audio ends, with `flush`.
        """
        with self._lock:
            return self._intake.gate.ended()

    @property
    def clock(self) -> ClockReport:
        """Gaps and drift, by the capture times that were given."""
        with self._lock:
            return self._intake.clock.report()
