"""A stream of audio through a model: samples in, estimates out, at constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge_ser.errors import UsageError
from edge_ser.streaming.answering import Answerer
from edge_ser.streaming.estimate import Estimate
from edge_ser.streaming.intake import Intake
from edge_ser.streaming.taken import TakenAudio

if TYPE_CHECKING:
    from edge_ser.streaming.background import BackgroundStream


class Stream(TakenAudio):
    """One stream. Make one with `Recognizer.stream`; for one thread at a time.

    Every window is answered as soon as its last sample is there, with the very numbers that
    `Recognizer.segments` gives of the same audio one window at a time, however the samples come in
    blocks.

    Args:
        new_intake: makes the first half, for every start anew.
        new_answerer: makes the second half.
    """

    def __init__(
        self, new_intake: Callable[[], Intake], new_answerer: Callable[[], Answerer]
    ) -> None:
        super().__init__(new_intake())
        self._new_intake, self._new_answerer = new_intake, new_answerer
        self._closed, self._answerer = "", new_answerer()

    def push(
        self,
        samples: Any,
        *,
        captured_at: float | None = None,
        sample_rate: float | None = None,
    ) -> list[Estimate]:
        """Take the next samples.

        A block that is refused is not part of the stream, which may go on with the next one.

        Args:
            samples: `[n]` or `[n, channels]`, of any length, also 0; floats in [-1, 1], int16 or
                int32 of full scale; of whichever library.
            captured_at: when the first of them was captured, in seconds of any clock that does not
                go back: what is missing, and how the clocks drift, is told by it.
            sample_rate: Hz of these samples, where somebody says it with every block: it must be
                the stream's.

        Returns:
            the estimates of the windows that end in them, in order.

        Raises:
            AudioError: another shape or type, another number of channels than before, not finite,
                of another scale, channels that cancel one another, or a rate that is not the
                stream's, by their capture times.
            UsageError: no samples, another rate, capture times that go back; a stream that was
                flushed or closed, or whose recogniser was closed.
            BundleError: the model cannot run.

        Warns:
            errors.PoorAudioWarning: see `Recognizer.__call__`.
        """
        self._check_open()
        cuts = self._intake.push(samples, captured_at, sample_rate)
        return [self._answerer.answer(cut) for cut in cuts]

    def flush(self) -> list[Estimate]:
        """End the audio: the estimate of the window that ends with it, if there is one more.

        Raises:
            UsageError: it was flushed before, or closed.
        """
        self._check_open()
        cuts = self._intake.last()
        self._closed = "a flushed one"
        return [self._answerer.answer(cut) for cut in cuts]

    def reset(self) -> None:
        """Begin anew at 0 seconds, as if nothing had been taken; also after `flush`.

        Raises:
            UsageError: it was closed.
        """
        if self._closed != "a flushed one":
            self._check_open()
        self._intake, self._answerer, self._closed = self._new_intake(), self._new_answerer(), ""

    def close(self) -> None:
        """Refuse whatever comes; what was taken and not answered is let go. The model stays."""
        self._closed = "a closed one"

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_background(self, *, waiting: int = 2) -> BackgroundStream:
        """The same with a thread of its own for the model, begun anew: `push` never waits for it.

        Args:
            waiting: windows that may wait for the model; of more, the oldest are left out, and
                counted.

        Raises:
            UsageError: `waiting` is below 1, or the stream was closed.
        """
        from edge_ser.streaming.background import BackgroundStream

        self.reset()
        background = BackgroundStream(self._intake, self._answerer, waiting)
        self.close()
        return background

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(
                "stream",
                expected="an open one",
                found=self._closed,
                advice="call reset() to begin another"
                if self._closed == "a flushed one"
                else "begin another with ser.stream(...)",
            )
