import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from edge_ser.measure import Plan, claim, measure


class Clock:
    """Time that passes only when a system takes it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def system(self, name: str, seconds: Callable[[], float]) -> Callable[[object], None]:
        def run(batch: object) -> None:
            self.order.append(name)
            self.now += seconds()

        return run


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_systems_take_turns(clock: Clock) -> None:
    systems = {n: clock.system(n, lambda: 0.5) for n in "ab"}
    plan = Plan(warmup=1, min_rounds=3, max_rounds=3, max_seconds=99)
    result = measure(systems, None, plan, clock=clock)
    assert "".join(clock.order) == "ab" + "ab" * 3
    assert [t.turns for t in result.timings.values()] == [[[0.5]] * 3] * 2
    assert result.seconds == 0.5 * 8


def test_a_fast_system_runs_several_times_in_a_turn_after_one_that_is_not_timed(
    clock: Clock,
) -> None:
    systems = {"fast": clock.system("f", lambda: 0.005), "slow": clock.system("s", lambda: 1.0)}
    plan = Plan(warmup=1, min_rounds=2, max_rounds=2, turn_seconds=0.02)
    result = measure(systems, None, plan, clock=clock)
    assert "".join(clock.order) == "fs" + "fffffs" * 2
    assert result.timings["fast"].turns == pytest.approx(np.full((2, 4), 0.005))
    assert len(result.timings["fast"].rounds) == 2


def test_a_system_alone_needs_no_run_that_is_not_timed(clock: Clock) -> None:
    plan = Plan(warmup=1, min_rounds=2, max_rounds=2, turn_seconds=0.02)
    measure({"only": clock.system("o", lambda: 0.01)}, None, plan, clock=clock)
    assert len(clock.order) == 1 + 2 * 2


def test_it_ends_when_the_medians_are_stable(clock: Clock) -> None:
    rng = np.random.default_rng(0)
    noisy = {n: clock.system(n, lambda: 0.1 * (1 + rng.normal(0, 0.02))) for n in "ab"}
    plan = Plan(max_rounds=2000, max_seconds=1e9, min_rounds=8)
    rough = measure(noisy, None, plan, clock=clock)
    fine = measure(noisy, None, Plan(2, 8, 2000, 1e9, precision=0.005), clock=clock)
    assert rough.stable and fine.stable
    assert 8 <= len(rough.timings["a"].turns) < len(fine.timings["a"].turns) < 2000
    assert fine.timings["a"].median().precision <= 0.005
    assert fine.ratio("b", "a").precision <= 0.005


def test_it_ends_when_the_time_is_over(clock: Clock) -> None:
    rng = np.random.default_rng(0)
    systems = {"wild": clock.system("w", lambda: rng.uniform(0.1, 3))}
    result = measure(systems, None, Plan(max_seconds=30), clock=clock)
    assert not result.stable
    assert 30 < result.seconds < 34


def test_differences_are_found_and_noise_is_none(clock: Clock) -> None:
    rng = np.random.default_rng(3)
    load = iter(np.exp(np.cumsum(rng.normal(0, 0.02, 100_000))))  # a machine that drifts

    def takes(seconds: float) -> Callable[[], float]:
        return lambda: seconds * next(load) * (1 + rng.gamma(1, 0.02))

    systems = {
        "first": clock.system("1", takes(0.1)),
        "same": clock.system("2", takes(0.1)),
        "slower": clock.system("3", takes(0.12)),
    }
    result = measure(systems, None, Plan(max_seconds=1e9, max_rounds=80), clock=clock)
    assert claim(result.ratio("same", "first")) == "no difference"
    found = result.ratio("slower", "first")
    assert claim(found) == "slower"
    assert found.low < 1.2 < found.high


def test_a_system_that_fails_does_not_stop_the_others(clock: Clock) -> None:
    runs = iter(range(100))

    def sometimes() -> float:
        if next(runs) == 4:
            raise MemoryError("too much")
        return 0.5

    def never() -> float:
        raise ValueError("no")

    systems = {
        "never": clock.system("n", never),
        "good": clock.system("g", lambda: 0.5),
        "sometimes": clock.system("s", sometimes),
    }
    result = measure(systems, None, Plan(min_rounds=5, max_rounds=5, max_seconds=99), clock=clock)
    assert list(result.timings) == ["good"]
    assert len(result.timings["good"].turns) == 5
    assert {n: str(e) for n, e in result.errors.items()} == {"never": "no", "sometimes": "too much"}


def test_nothing_left_to_measure(clock: Clock) -> None:
    def fails() -> float:
        raise OSError("gone")

    result = measure({"a": clock.system("a", fails)}, None, clock=clock)
    assert not result.timings and not result.stable


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_runs_that_another_process_interrupts_are_counted() -> None:
    code = "while True: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    affinity = os.sched_getaffinity(0)
    try:
        for process in (0, *(hog.pid for hog in hogs)):
            os.sched_setaffinity(process, {min(affinity)})

        def work(_: object) -> None:
            ends = time.thread_time() + 0.03
            while time.thread_time() < ends:
                pass

        plan = Plan(warmup=1, min_rounds=6, max_rounds=6, max_seconds=60)
        timing = measure({"work": work}, None, plan).timings["work"]
    finally:
        os.sched_setaffinity(0, affinity)
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert timing.preempted >= 3
    idle = measure({"idle": lambda _: None}, None, Plan(max_rounds=20)).timings["idle"]
    assert idle.preempted < len(idle.runs) / 2


def test_progress_grows_to_one(clock: Clock) -> None:
    seen: list[float] = []
    rng = np.random.default_rng(0)
    systems = {"a": clock.system("a", lambda: rng.uniform(0.5, 2))}
    measure(systems, None, Plan(max_seconds=20, max_rounds=1000), seen.append, clock)
    assert seen == sorted(seen) and seen[-1] == 1 and seen[0] < 0.2


def test_the_real_clock_measures_a_real_difference() -> None:
    # sleep, not work: that would take as long as whatever else the machine does lets it; and so
    # far apart that a machine which wakes sleepers late does not hide it
    pauses = {"one": 0.003, "two": 0.06}
    systems = {name: lambda _, s=s: time.sleep(s) for name, s in pauses.items()}
    result = measure(systems, None, Plan(max_rounds=20, max_seconds=60))
    for name, seconds in pauses.items():
        assert min(result.timings[name].runs) >= seconds, "no sleep is shorter than asked"
    found = result.ratio("two", "one")
    assert claim(found) == "slower"
    assert found.value > 1.4
