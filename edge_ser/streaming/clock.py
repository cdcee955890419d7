"""Samples counted against the clock of their capture: what is missing, and how far it drifts."""

from __future__ import annotations

import math
import numbers
from collections import deque
from typing import NamedTuple

from edge_ser.errors import AudioError, UsageError

# A step of the clock against the samples from here on is a gap and no jitter.
_LEAST_GAP = 0.05
# The slope of less audio than this is jitter.
_LEAST_SECONDS = 10.0
# Seconds in a row that are so far from what was said are of another rate: 44.1 kHz are 8 % off 48.
_OTHER_RATE, _SECONDS_JUDGED = 0.05, 2
# Between the moments that are remembered.
_MOMENT = 0.01


class ClockReport(NamedTuple):
    """How the samples of a stream agree with the times at which they were captured.

    Attributes:
        gaps: how often samples were missing, or came twice.
        missing_seconds: of them in all; what came twice is subtracted.
        drift_ppm: by how many millionths the clock of the samples is slow against that of the
            capture times, gaps aside; None before ten seconds.
    """

    gaps: int
    missing_seconds: float
    drift_ppm: float | None


class _Moment(NamedTuple):
    """A place in the stream and its capture time, both in seconds."""

    place: float
    captured_at: float


class CaptureClock:
    """Takes a capture time for each block, or for some.

    Args:
        rate: Hz of the samples, as it was said.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._first: _Moment | None = None
        self._last_time = -math.inf
        self._behind = 0.0  # of the clock against the samples, at the last block
        self._gaps, self._missing = 0, 0.0
        self._recent_gaps: deque[tuple[float, float]] = deque()  # place, seconds
        self._moments: deque[_Moment] = deque()
        # of the line through (place, how far behind): means and sums of squares
        self._count, self._mean_x, self._mean_y, self._xx, self._xy = 0, 0.0, 0.0, 0.0, 0.0
        self._judged_from: _Moment | None = None
        self._off_seconds = 0

    def take(self, frames: int, captured_at: float) -> None:
        """Note when a block was captured.

        Args:
            frames: in the stream before the block.
            captured_at: seconds, of the block's first sample, by any clock that does not go back.

        Raises:
            UsageError: no finite number, or a time before the last one.
            AudioError: so many samples a second as no stream of the said rate has.
        """
        place = frames / self._rate
        if not isinstance(captured_at, numbers.Real) or not math.isfinite(captured_at):
            raise UsageError(
                "captured_at", expected="seconds, a number", found=f"{captured_at!r:.40}"
            )
        captured_at = float(captured_at)  # of NumPy's types sums would be as coarse as they are
        if captured_at < self._last_time:
            raise UsageError(
                "captured_at",
                expected=f"times that do not go back, from {self._last_time:.3f} s on",
                found=f"{captured_at:.3f} s",
                advice="take a monotonic clock, such as time.monotonic()",
            )
        now = _Moment(place, captured_at)
        first = self._first = self._first or now
        behind = (captured_at - first.captured_at) - (place - first.place)
        step = behind - self._behind
        is_gap = abs(step) >= _LEAST_GAP
        if not is_gap:
            self._judge_rate(now)
        self._last_time, self._behind = captured_at, behind
        if is_gap:
            self._gaps, self._missing = self._gaps + 1, self._missing + step
            self._recent_gaps.append((place, step))
            self._judged_from = now
        self._fit(place - first.place, behind - self._missing)
        if is_gap or not self._moments or place - self._moments[-1].place >= _MOMENT:
            self._moments.append(now)

    def captured_at(self, place: float) -> float | None:
        """When what ends at a place was captured; places are asked for in their order.

        Args:
            place: seconds of the stream; where there is a gap, the moment before it.

        Returns:
            seconds by the clock of the capture; None where nobody said.
        """
        moments = self._moments
        while len(moments) > 1 and moments[1].place < place:
            moments.popleft()
        if not moments or moments[0].place > place:
            return None
        return moments[0].captured_at + (place - moments[0].place)

    def missing_between(self, start: float, end: float) -> float:
        """Seconds missing in a window of the stream; starts are asked for in their order."""
        while self._recent_gaps and self._recent_gaps[0][0] <= start:
            self._recent_gaps.popleft()
        return sum((seconds for place, seconds in self._recent_gaps if place < end), 0.0)

    def report(self) -> ClockReport:
        """What was noted so far."""
        long_enough = self._xx > 0 and self._last_place_seconds() >= _LEAST_SECONDS
        drift = 1e6 * self._xy / self._xx if long_enough else None
        return ClockReport(self._gaps, self._missing, drift)

    def _last_place_seconds(self) -> float:
        if self._first is None:
            return 0.0
        return self._last_time - self._first.captured_at - self._behind

    def _fit(self, x: float, y: float) -> None:
        self._count += 1
        step = x - self._mean_x
        self._mean_x += step / self._count
        self._mean_y += (y - self._mean_y) / self._count
        self._xx += step * (x - self._mean_x)
        self._xy += step * (y - self._mean_y)

    def _judge_rate(self, now: _Moment) -> None:
        since = self._judged_from = self._judged_from or now
        if now.place - since.place < 1:
            return
        ratio = (now.captured_at - since.captured_at) / (now.place - since.place)
        self._judged_from = now
        self._off_seconds = self._off_seconds + 1 if abs(ratio - 1) > _OTHER_RATE else 0
        if self._off_seconds >= _SECONDS_JUDGED:
            raise AudioError(
                f"samples at {now.place:.1f} s",
                expected=f"{self._rate:g} of them a second",
                found=f"about {self._rate / max(ratio, 1e-3):.0f}, by their capture times",
                advice="begin another stream at the new rate",
            )
