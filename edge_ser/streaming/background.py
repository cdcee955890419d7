"""A stream whose model has a thread of its own, for audio that waits for nobody."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from edge_ser.errors import UsageError
from edge_ser.streaming.answering import Answerer
from edge_ser.streaming.estimate import Estimate
from edge_ser.streaming.intake import Cut, Intake
from edge_ser.streaming.taken import TakenAudio

# Estimates that nobody took, at most: four minutes at two a second.
_KEPT = 500


class BackgroundStream(TakenAudio):
    """One stream, answered in the background. Make one with `Stream.in_background`.

    `push` resamples and cuts, which takes microseconds, and may be called where audio is captured.
    Estimates are taken by iterating, or with `get`, in any other thread. Where the model is slower
    than the audio, the oldest windows that wait are left out: what comes is never late by more
    than those that may wait.

    Args:
        intake: the first half.
        answerer: the second half.
        waiting: windows that may wait for the model.

    Raises:
        UsageError: `waiting` is below 1.
    """

    def __init__(self, intake: Intake, answerer: Answerer, waiting: int) -> None:
        if waiting < 1:
            raise UsageError("waiting", expected="at least 1 window", found=str(waiting))
        self._changed = threading.Condition()
        super().__init__(intake, self._changed)
        self._answerer, self._most_waiting = answerer, waiting
        self._cuts: deque[Cut] = deque()
        self._estimates: deque[Estimate] = deque()
        self._left_out = self._dropped = 0  # since the last answer, in all
        self._is_ending = self._is_over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="edge-ser stream", daemon=True)
        self._thread.start()

    def push(
        self,
        samples: Any,
        *,
        captured_at: float | None = None,
        sample_rate: float | None = None,
    ) -> None:
        """Take the next samples; does not wait for the model. See `Stream.push`.

        Raises:
            AudioError: see there.
            UsageError: see there.
            BundleError: the model could not run.
        """
        with self._changed:
            self._check_open()
            self._enqueue(self._intake.push(samples, captured_at, sample_rate))

    def flush(self) -> None:
        """End the audio: iterating ends after the estimate of its last window.

        Raises:
            UsageError: it was flushed before, or closed.
        """
        with self._changed:
            self._check_open()
            self._enqueue(self._intake.last())
            self._is_ending = True
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Estimate | None:
        """The next estimate.

        Args:
            timeout: seconds to wait for it; None: until there is one.

        Returns:
            None where none came in time, or none will come any more: `is_over` tells which.

        Raises:
            BundleError, UsageError: the model could not run, or its recogniser was closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._estimates and not self._is_over:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            if self._estimates:
                return self._estimates.popleft()
            if self._error is not None:
                raise self._error
            return None

    def __iter__(self) -> BackgroundStream:
        return self

    def __next__(self) -> Estimate:
        estimate = self.get()
        if estimate is None:
            raise StopIteration
        return estimate

    def close(self) -> None:
        """Stop: what waits is not answered. Returns when the model's thread has ended."""
        with self._changed:
            self._is_ending = True
            self._cuts.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> BackgroundStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_over(self) -> bool:
        """Whether no estimate will come but those that wait to be taken."""
        return self._is_over

    @property
    def dropped(self) -> int:
        """Windows that were left out, and estimates that nobody took in time."""
        return self._dropped

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_ending:
            raise UsageError(
                "stream",
                expected="an open one",
                found="one that was flushed or closed",
                advice="begin another with ser.stream(...)",
            )

    def _enqueue(self, cuts: list[Cut]) -> None:
        self._cuts.extend(cuts)
        while len(self._cuts) > self._most_waiting:
            self._cuts.popleft()
            self._left_out, self._dropped = self._left_out + 1, self._dropped + 1
        if cuts:
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (work := self._next_cut()) is not None:
                self._give(self._answerer.answer(*work))
        except BaseException as error:
            self._error = error  # raised to whoever asks for the next estimate
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _next_cut(self) -> tuple[Cut, int] | None:
        with self._changed:
            while not self._cuts and not self._is_ending:
                self._changed.wait()
            if not self._cuts:
                return None
            left_out, self._left_out = self._left_out, 0
            return self._cuts.popleft(), left_out

    def _give(self, estimate: Estimate) -> None:
        with self._changed:
            self._estimates.append(estimate)
            if len(self._estimates) > _KEPT:
                self._estimates.popleft()
                self._dropped += 1
            self._changed.notify_all()
