"""Samples against the clock of their capture."""

from collections.abc import Callable

import numpy as np
import pytest

from edge_ser.errors import AudioError, UsageError
from edge_ser.streaming.clock import CaptureClock

RATE, BLOCK = 48_000, 480


def test_a_true_clock_has_no_gaps_and_no_drift() -> None:
    clock = CaptureClock(RATE)
    for i in range(2000):
        clock.take(i * BLOCK, 100.0 + i * 0.01)
    report = clock.report()
    assert (report.gaps, report.missing_seconds) == (0, 0.0)
    assert report.drift_ppm == pytest.approx(0, abs=0.01)
    assert clock.captured_at(3.005) == pytest.approx(103.005)


def test_drift_is_measured_through_jitter_and_gaps() -> None:
    clock, rng = CaptureClock(RATE), np.random.default_rng(0)
    lost = 0.0
    for i in range(60_000):  # ten minutes
        lost += 0.4 if i in (20_000, 40_000) else 0.0
        jitter = float(rng.uniform(0, 0.004))
        clock.take(i * BLOCK, i * 0.01 * (1 + 150e-6) + lost + jitter)
    report = clock.report()
    assert report.gaps == 2
    assert report.missing_seconds == pytest.approx(0.8, abs=0.01)
    assert report.drift_ppm == pytest.approx(150, abs=15)


def test_a_day_costs_no_digits() -> None:
    clock = CaptureClock(RATE)
    for i in range(86_400):
        clock.take(i * RATE, 1.7e9 + i * (1 - 20e-6))
    assert clock.report().drift_ppm == pytest.approx(-20, abs=0.01)


def test_drift_is_not_told_of_a_few_seconds() -> None:
    clock = CaptureClock(RATE)
    for i in range(900):
        clock.take(i * BLOCK, i * 0.01)
    assert clock.report().drift_ppm is None
    assert CaptureClock(RATE).report() == (0, 0.0, None)


def test_a_gap_is_told_of_the_windows_that_it_is_in() -> None:
    clock = CaptureClock(RATE)
    for i in range(600):
        clock.take(i * BLOCK, i * 0.01 + (0.25 if i >= 300 else 0))
    assert clock.missing_between(0.0, 3.0) == 0.0, "it begins where the window ends"
    assert clock.missing_between(0.5, 3.5) == pytest.approx(0.25)
    assert clock.captured_at(2.99) == pytest.approx(2.99)
    assert clock.captured_at(3.02) == pytest.approx(3.27)
    assert clock.missing_between(3.0, 6.0) == 0.0


def test_samples_that_came_twice_are_subtracted() -> None:
    clock = CaptureClock(RATE)
    for i in range(300):
        clock.take(i * BLOCK, i * 0.01 + (0.25 if i >= 200 else 0))
    clock.take(320 * BLOCK, 3.25)  # 0.2 s of samples in no time
    report = clock.report()
    assert report.gaps == 2
    assert report.missing_seconds == pytest.approx(0.05)
    assert clock.missing_between(3.0, 6.0) == pytest.approx(-0.2)


@pytest.mark.parametrize(("said", "real"), [(48_000, 44_100), (16_000, 8_000), (8_000, 16_000)])
def test_another_rate_in_the_middle_is_refused(said: int, real: int) -> None:
    clock, frames, now = CaptureClock(said), 0, 0.0
    for _ in range(500):
        clock.take(frames, now)
        frames, now = frames + said // 100, now + 0.01
    with pytest.raises(AudioError, match=rf"expected {said} of them a second, found about (\d+)"):
        for _ in range(500):
            clock.take(frames, now)
            frames, now = frames + said // 100, now + said / 100 / real
    assert 5 < frames / said < 9


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "now", None])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="captured_at: expected seconds, a number"):
        CaptureClock(RATE).take(0, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_times_are_numbers_of_any_kind(kind: Callable[[float], float]) -> None:
    clock = CaptureClock(RATE)
    clock.take(0, kind(4096))
    clock.take(RATE, kind(4097))
    clock.take(2 * RATE, 4098.02)
    assert clock.captured_at(2.0) == pytest.approx(4098, abs=1e-9)
    assert clock.captured_at(2.5) == pytest.approx(4098.52, abs=1e-9)


def test_times_do_not_go_back() -> None:
    clock = CaptureClock(RATE)
    clock.take(0, 5.0)
    clock.take(BLOCK, 5.01)
    with pytest.raises(UsageError, match=r"do not go back, from 5\.010 s on, found 5\.000 s"):
        clock.take(2 * BLOCK, 5.0)


def test_moments_fill_no_memory() -> None:
    clock = CaptureClock(RATE)
    for i in range(30_000):
        clock.take(i, i / RATE)
    assert len(clock._moments) < 70
