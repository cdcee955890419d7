"""Any number of systems, timed in turn.

A round gives every system one turn. What disturbs a machine for a while disturbs all systems of a
round, so the ratio of two systems within a round holds where neither time alone does. A turn of a
fast system has several runs, and one before them that is not timed: it takes the caches back from
the system before, and lets that one's threads, which still spin for new work, fall asleep.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from edge_ser.measure.stats import CLAIM_CONFIDENCE, Estimate, median, quantile, ratio

Batch = TypeVar("Batch")
# A system that takes longer per run is not disturbed by the few milliseconds after another one.
_LEAD_BELOW_SECONDS = 0.25
_MOST_RUNS_PER_TURN = 10


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        warmup: runs of every system before the first round.
        min_rounds: at least so many; fewer than 8 allow no claim at 99 %.
        max_rounds: at most so many.
        max_seconds: no round begins after this time.
        precision: enough was measured when the interval of every median, and of every ratio to
            the first system, is within this share of it.
        turn_seconds: of a turn, for systems that are faster than that.
    """

    warmup: int = 2
    min_rounds: int = 12
    max_rounds: int = 200
    max_seconds: float = 20.0
    precision: float = 0.02
    turn_seconds: float = 0.02


@dataclass
class Timing:
    """The times of one system.

    Attributes:
        name: of the system.
        turns: seconds of the timed runs, round by round.
        preempted: timed runs in which the operating system took the processor away from this
            process, for another one; 0 where it does not say.
    """

    name: str
    turns: list[list[float]] = field(default_factory=list)
    preempted: int = 0

    @property
    def runs(self) -> list[float]:
        """Seconds of all timed runs."""
        return [t for turn in self.turns for t in turn]

    @property
    def rounds(self) -> list[float]:
        """Seconds, the median of every turn.

        Runs of a turn share their moment, so turns, not runs, are the independent values.
        """
        return [quantile(turn, 0.5) for turn in self.turns]

    def quantile(self, share: float) -> float:
        """Seconds below which a share of all runs took."""
        return quantile(self.runs, share)

    def median(self) -> Estimate:
        """Seconds of a run."""
        return median(self.rounds)


@dataclass
class Result:
    """What `measure` found.

    Attributes:
        timings: by system, in the order given.
        errors: of the systems that failed, which are not in `timings`.
        stable: whether the wanted precision was reached.
        seconds: that measuring took.
    """

    timings: dict[str, Timing]
    errors: dict[str, Exception]
    stable: bool
    seconds: float

    def ratio(self, a: str, b: str, confidence: float = CLAIM_CONFIDENCE) -> Estimate:
        """Time of a over time of b, from pairs of the same round; see `stats.verdict`."""
        return ratio(self.timings[a].rounds, self.timings[b].rounds, confidence)


def measure(
    systems: Mapping[str, Callable[[Batch], Any]],
    batch: Batch,
    plan: Plan | None = None,
    progress: Callable[[float], None] = lambda share: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Result:
    """Time systems in turn, A B A B, until the medians are stable or the time is over.

    Deciding by the width of the intervals when to stop favours no system; deciding by their
    difference would.

    Args:
        systems: what runs a batch, by name.
        batch: given to each.
        plan: how much to measure; None: the defaults.
        progress: is told after every round which share of the plan is done, at most; 0..1.
        clock: seconds.

    Returns:
        times and errors. A system that raises, whatever it is, is left out from then on.
    """
    plan = plan or Plan()
    began = clock()
    errors: dict[str, Exception] = {}
    active = dict(systems)

    def attempt(name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # other people's code: reported by name, others go on
            errors[name] = error
            del active[name]

    shape: dict[str, tuple[int, int]] = {}
    for name, run in systems.items():
        attempt(name, lambda name=name, run=run: shape.update(  # type: ignore[misc]
            {name: _warm_up(run, batch, plan, len(systems) > 1, clock)}))  # fmt: skip
    timings = {name: Timing(name) for name in systems}
    gc.collect()
    stable, rounds = False, 0
    while active and rounds < plan.max_rounds and not stable:
        if rounds and clock() - began > plan.max_seconds:
            break
        for name, run in list(active.items()):
            attempt(name, lambda name=name, run=run: _turn(  # type: ignore[misc]
                timings[name], run, batch, *shape[name], clock))  # fmt: skip
        rounds += 1
        working = [timings[name] for name in active]
        stable = bool(working) and rounds >= plan.min_rounds and _precise(working, plan.precision)
        spent = (clock() - began) / max(plan.max_seconds, 1e-9)
        progress(min(1.0, max(spent, rounds / plan.max_rounds)))
    return Result(
        timings={name: timings[name] for name in active},
        errors=errors,
        stable=stable,
        seconds=clock() - began,
    )


def _warm_up(
    run: Callable[[Batch], Any],
    batch: Batch,
    plan: Plan,
    several: bool,
    clock: Callable[[], float],
) -> tuple[int, int]:
    """Run a system a few times; says how many runs of a turn are not timed, and how many are."""
    shortest = math.inf
    for _ in range(max(1, plan.warmup)):
        started = clock()
        run(batch)
        shortest = min(shortest, clock() - started)
    timed = math.ceil(plan.turn_seconds / max(shortest, 1e-9))
    return int(several and shortest < _LEAD_BELOW_SECONDS), max(1, min(timed, _MOST_RUNS_PER_TURN))


def _turn(
    timing: Timing,
    run: Callable[[Batch], Any],
    batch: Batch,
    lead: int,
    timed: int,
    clock: Callable[[], float],
) -> None:
    for _ in range(lead):
        run(batch)
    times = []
    for _ in range(timed):
        switches = _switches()
        started = clock()
        run(batch)
        times.append(clock() - started)
        timing.preempted += _switches() > switches
    timing.turns.append(times)


def _switches() -> int:
    """How often this process had to leave a processor that it still wanted."""
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _precise(timings: list[Timing], precision: float) -> bool:
    first, *others = (t.rounds for t in timings)
    estimates = [median(first), *(median(o) for o in others), *(ratio(o, first) for o in others)]
    return all(e.precision <= precision for e in estimates)
