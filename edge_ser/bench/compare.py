"""What changed since an earlier measurement, and whether that can be said at all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from edge_ser.bench.records import Record
from edge_ser.errors import UsageError
from edge_ser.host.facts import same_machine
from edge_ser.measure.stats import DISTURBED_SHARE

# Of a history, so many of the latest runs are what is normal; between them lies the noise that no
# single run can see.
_LATEST_RUNS = 5
# Smaller changes between two processes say nothing: where memory happens to lie makes as much.
_LEAST_CHANGE = 0.03

Verdict = Literal["better", "worse", "no difference", "not judged"]


class Span(NamedTuple):
    """A figure with the interval it may lie in.

    Attributes:
        value: the figure.
        low: lower end.
        high: upper end.
        fast: of times, what the fastest of them took.
        busy: share of the runs that other programs interrupted.
    """

    value: float
    low: float
    high: float
    fast: float | None = None
    busy: float = 0.0


@dataclass(frozen=True)
class Change:
    """One figure, then and now. All of these figures are better when smaller.

    Attributes:
        place: of which measurement.
        metric: of what, with its unit.
        old: earlier.
        new: now.
        ratio: new over old, with the widest interval that both allow.
        verdict: "better" or "worse" only where that interval does not hold 1, and the fastest tenth
            of the runs says the same; "not judged" where other programs interrupted many runs.
        regression: whether it is worse, and by more than the threshold.
    """

    place: str
    metric: str
    old: Span
    new: Span
    ratio: Span
    verdict: Verdict
    regression: bool


@dataclass(frozen=True)
class Comparison:
    """All of them.

    Attributes:
        changes: in the order measured.
        unmatched: measurements that have no earlier one on this machine.
        runs: earlier runs that were compared with.
    """

    changes: list[Change]
    unmatched: list[str]
    runs: int

    @property
    def not_judged(self) -> list[Change]:
        """What could not be judged, because the machine was busy."""
        return [c for c in self.changes if c.verdict == "not judged"]

    @property
    def regressions(self) -> list[Change]:
        """What became worse by more than the threshold."""
        return [c for c in self.changes if c.regression]


def compare(
    history: Sequence[Record], records: Sequence[Record], threshold: float, source: str
) -> Comparison:
    """Compare measurements with earlier ones of the same system, length, batch and threads.

    Runs at different times share no rounds, so nothing cancels: the intervals of the last five
    runs of the history, taken together, stand against the new one. What another program does
    meanwhile moves a median, but hardly the fastest tenth of the runs; what the model does moves
    both. So both must have changed, in the same direction, and for a regression by the threshold.

    Args:
        history: earlier records, oldest first, of any machine; those of others are left out.
        records: of this run.
        threshold: share by which a figure may grow.
        source: of the history, named in errors.

    Raises:
        UsageError: nothing to compare with: that must not pass for no regression.
    """
    runs_of: dict[tuple[Any, ...], list[Record]] = {}
    for record in history:
        if records and same_machine(record.machine, records[0].machine):
            runs_of.setdefault(record.key, []).append(record)
    changes: list[Change] = []
    unmatched: list[str] = []
    compared: set[tuple[str, int, str]] = set()
    runs: set[str] = set()
    for record in records:
        runs_here = runs_of.get(record.key, [])
        # one run that others interrupted must not keep the others from being compared with
        calm = [r for r in runs_here if r.latency.preempted <= DISTURBED_SHARE]
        earlier = (calm or runs_here)[-_LATEST_RUNS:]
        if not earlier:
            unmatched.append(record.place)
            continue
        runs |= {r.run for r in earlier}
        new = _spans(record)
        olds = [_spans(r) for r in earlier]
        for metric, now in new.items():
            before = [o[metric] for o in olds if metric in o]
            if not before:
                continue
            place = record.place
            if metric not in _OF_LENGTH:  # the same for all lengths: told once
                place = record.system
                if (place, record.threads, metric) in compared:
                    continue
                compared.add((place, record.threads, metric))
            changes.append(_change(place, metric, before, now, threshold))
    if not changes:
        raise UsageError(
            source,
            expected="a measurement of the same system, length, batch and threads on this machine",
            found=f"none among {len(history)} records",
            advice="measure the same with --json first",
        )
    return Comparison(changes, unmatched, len(runs))


_LATENCY, _FIRST, _MEMORY, _SIZE = "latency ms", "first result ms", "peak RSS MB", "size MB"
_OF_LENGTH = {_LATENCY}


def _spans(record: Record) -> dict[str, Span]:
    """The figures of a record that are compared."""
    t, fresh = record.latency, record.fresh
    spans = {
        _LATENCY: Span(t.p50_ms, t.low_ms, t.high_ms, t.p10_ms, t.preempted),
        _SIZE: Span(record.size_mb, record.size_mb, record.size_mb),
    }
    if fresh is not None:
        # like with like: another first file, or other utterances in memory, are other figures
        key = f"{_FIRST}, {fresh.seconds:g} s"
        spans[key] = Span(
            fresh.first_result_ms, fresh.low_ms, fresh.high_ms, fresh.low_ms, t.preempted
        )
        if None not in (fresh.peak_rss_mb, fresh.rss_low_mb, fresh.rss_high_mb):
            key = f"{_MEMORY}, {fresh.memory_batch} x {fresh.memory_seconds:g} s"
            spans[key] = Span(
                fresh.peak_rss_mb or 0.0, fresh.rss_low_mb or 0.0, fresh.rss_high_mb or 0.0
            )
    return spans


def _change(place: str, metric: str, before: list[Span], now: Span, threshold: float) -> Change:
    earlier = Span(
        statistics.median(s.value for s in before),
        min(s.low for s in before),
        max(s.high for s in before),
    )
    ratio = Span(now.value / earlier.value, now.low / earlier.high, now.high / earlier.low)
    fast = [s.fast for s in before if s.fast is not None]
    quickest, slowest = ratio.value, ratio.value
    if fast and now.fast is not None:
        quickest, slowest = now.fast / max(fast), now.fast / min(fast)
    verdict: Verdict = "no difference"
    if max(now.busy, *(s.busy for s in before)) > DISTURBED_SHARE:
        verdict = "not judged"
    elif ratio.low > 1 and quickest > 1 + _LEAST_CHANGE:
        verdict = "worse"
    elif ratio.high < 1 and slowest < 1 - _LEAST_CHANGE:
        verdict = "better"
    regression = verdict == "worse" and min(ratio.value, quickest) > 1 + threshold
    return Change(place, metric, earlier, now, ratio, verdict, regression)
