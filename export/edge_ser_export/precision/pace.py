"""How long what is left will take, by what went before."""

from __future__ import annotations

import time

from edge_ser.progress import brief_time


class Pace:
    """Counts steps of much the same length.

    Args:
        total: how many there are, or at most are.
    """

    def __init__(self, total: int) -> None:
        self._total, self._begun = total, 0
        self._started = time.monotonic()

    def next(self) -> str:
        """Begin a step: `3 of 23, 40 s left`; of the first, nothing is known of the time."""
        ended = self._begun
        self._begun += 1
        words = f"{self._begun} of {self._total}"
        if ended == 0:
            return words
        seconds_a_step = (time.monotonic() - self._started) / ended
        return f"{words}, {brief_time(seconds_a_step * (self._total - ended))} left"
