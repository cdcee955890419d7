"""Whether a lowered model is slower than the float32 one, by the clock of `edge-ser bench`.

A busy machine makes single times and even their medians worthless, and must not decide about an
export. Only what is slower beyond doubt is called slower; where nothing can be said, that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ser.measure.stats import CLAIM_CONFIDENCE
from edge_ser.measure.timing import Plan, Result, measure
from edge_ser_export.graph.run import feed, open_graph

SpeedOutcome = Literal["faster", "slower", "no difference", "could not be judged"]
# What two timings of the same thing may differ by: where its memory lies alone can do that. A gate
# that refuses wants the whole interval beyond it, which is more than `stats.verdict` asks for.
SAME_SPEED = 0.03
# A ratio that is known less well than this does not even say that there is no difference.
_KNOWN_WELL = 0.05
# Eight rounds are the fewest that allow a claim (see `stats.median`); a large model, of seconds a
# run, gets little more than those.
_PLAN = Plan(min_rounds=8, max_rounds=40, max_seconds=90.0, precision=0.03)
_BASELINE, _CANDIDATE = "float32", "lowered"


@dataclass(frozen=True)
class Speed:
    """Two models timed in turn, A B A B, in one process.

    Attributes:
        seconds: of the utterance.
        baseline_ms: median of the first.
        candidate_ms: median of the second.
        speedup: median of the ratios of a round, above 1 where the second is faster.
        low: of the interval that holds the true ratio with 99 % (fewer rounds than 8: less).
        high: of it.
        repetitions: rounds.
        outcome: what the ratio allows to say about the second.
        why: it could not be judged; empty where it could.
    """

    seconds: float
    baseline_ms: float
    candidate_ms: float
    speedup: float
    low: float
    high: float
    repetitions: int
    outcome: SpeedOutcome
    why: str = ""

    @property
    def doubt(self) -> str:
        """What to say after the ratio where it could not be judged; else empty."""
        return f"; {self.outcome}: {self.why}" if self.why else ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def noise(seconds: float) -> NDArray[np.float32]:
    """Something to time a run with, which does not depend on what is said: `[n]`, 16 kHz."""
    return np.random.default_rng(0).standard_normal(int(seconds * 16_000), np.float32)


def graph_speed(baseline: Path, candidate: Path, seconds: float, plan: Plan = _PLAN) -> Speed:
    """Time two graphs against each other on one thread.

    Args:
        baseline: graph to be as fast as.
        candidate: the other.
        seconds: length of the utterance, 16 kHz.
        plan: how much to measure.
    """
    first, second = open_graph(baseline), open_graph(candidate)
    return compare_speed(
        lambda x: first.run(None, x), lambda x: second.run(None, x), feed([noise(seconds)]),
        seconds, plan,
    )  # fmt: skip


def compare_speed(
    baseline: Callable[[Mapping[str, Any]], object],
    candidate: Callable[[Mapping[str, Any]], object],
    inputs: Mapping[str, Any],
    seconds: float,
    plan: Plan = _PLAN,
) -> Speed:
    """Time two models against each other.

    Args:
        baseline: to be as fast as.
        candidate: the other.
        inputs: of a run, by name.
        seconds: length of the utterance in them.
        plan: how much to measure.

    Raises:
        Exception: whatever one of the two raises.
    """
    result = measure({_BASELINE: baseline, _CANDIDATE: candidate}, inputs, plan)
    for error in result.errors.values():
        raise error
    times = result.ratio(_CANDIDATE, _BASELINE)
    outcome, why = _judge(result)
    return Speed(
        seconds=seconds,
        baseline_ms=1000 * result.timings[_BASELINE].median().value,
        candidate_ms=1000 * result.timings[_CANDIDATE].median().value,
        speedup=1 / times.value,
        low=1 / times.high,
        high=1 / times.low,
        repetitions=times.count,
        outcome=outcome,
        why=why,
    )


def _judge(result: Result) -> tuple[SpeedOutcome, str]:
    """What may be said about the candidate, and why if nothing may."""
    times = result.ratio(_CANDIDATE, _BASELINE)
    sure = times.confidence >= CLAIM_CONFIDENCE
    if sure and times.low > 1 + SAME_SPEED:
        return "slower", ""
    if sure and times.high < 1 - SAME_SPEED:
        return "faster", ""
    if sure and times.precision <= _KNOWN_WELL:
        return "no difference", ""
    runs = sum(len(timing.runs) for timing in result.timings.values())
    taken = sum(timing.preempted for timing in result.timings.values())
    busy = f"; other programs took the processor in {taken} of {runs} runs" if taken else ""
    if not sure:
        return "could not be judged", f"{times.count} rounds in {result.seconds:.0f} s{busy}"
    return "could not be judged", (
        f"it lies between {1 / times.high:.2f}x and {1 / times.low:.2f}x after "
        f"{times.count} rounds{busy}"
    )
