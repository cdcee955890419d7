"""Budgets: figures that a device allows, as a gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_ser.bench.records import Record, one_per_system
from edge_ser.errors import UsageError, unknown_name

Figure = Callable[[Record], float | None]

# name -> what it is, for people; how a record tells it; whether it depends on the length
FIGURES: dict[str, tuple[str, Figure, bool]] = {
    "latency_ms": ("median latency", lambda r: r.latency.p50_ms, True),
    "p90_ms": ("latency that nine of ten runs keep", lambda r: r.latency.p90_ms, True),
    "p99_ms": ("latency that 99 of 100 runs keep", lambda r: r.latency.p99_ms, True),
    "rtf": ("time over length of the audio", lambda r: r.rtf, True),
    "energy_j": ("joules of a run", lambda r: r.energy.joules if r.energy else None, True),
    "first_result_ms": (
        "from starting a process to its first emotion",
        lambda r: r.fresh.first_result_ms if r.fresh else None,
        False,
    ),
    "load_ms": ("opening the bundle", lambda r: r.load_ms, False),
    "rss_mb": ("peak resident memory", lambda r: r.fresh.peak_rss_mb if r.fresh else None, False),
    "device_mb": ("GPU memory", lambda r: r.fresh.device_mb if r.fresh else None, False),
    "size_mb": ("files of the bundle", lambda r: r.size_mb, False),
}  # fmt: skip
_EXAMPLE = "NAME=LIMIT or NAME=LIMIT@1s, such as rtf=0.1"
_FORM = re.compile(
    r"(?P<name>[a-z0-9_.*-]+)=(?P<limit>[0-9.]+(?:e-?[0-9]+)?)(?:@(?P<at>[0-9.]+)s?)?"
)


@dataclass(frozen=True)
class Budget:
    """One limit.

    Attributes:
        text: as it was given.
        name: of `FIGURES`.
        limit: highest value allowed.
        seconds: length of the utterances it is about; None: all that were measured.
    """

    text: str
    name: str
    limit: float
    seconds: float | None


def parse_budget(text: str) -> Budget:
    """Read `NAME=LIMIT` or `NAME=LIMIT@SECONDSs`, such as `latency_ms=21@1s`.

    Raises:
        UsageError: another form, an unknown name, or a length where it means nothing.
    """
    name, limit, seconds = split_limit(text, _EXAMPLE)
    if name not in FIGURES:
        raise unknown_name("--budget", name, FIGURES)
    if seconds is not None and not FIGURES[name][2]:
        raise UsageError(
            "--budget",
            expected=f"{name} without a length, on which it does not depend",
            found=text,
        )
    return Budget(text, name, limit, seconds)


def split_limit(text: str, expected: str) -> tuple[str, float, float | None]:
    """Name, limit and length of `NAME=LIMIT` or `NAME=LIMIT@SECONDSs`; None without a length.

    Args:
        text: as it was given.
        expected: what would have been right, in words.

    Raises:
        UsageError: another form.
    """
    match = _FORM.fullmatch(text)
    if match is not None:
        limit, at = match["limit"], match["at"]
        try:
            return match["name"], float(limit), None if at is None else float(at)
        except ValueError:  # such as 1.2.3
            match = None
    raise UsageError("--budget", expected=expected, found=text)


def check_lengths(budgets: Sequence[Budget], lengths: Sequence[float]) -> None:
    """Refuse budgets for lengths that are not measured, before anything is.

    Raises:
        UsageError: such a budget.
    """
    for budget in budgets:
        if budget.seconds is not None and budget.seconds not in lengths:
            raise UsageError(
                "--budget",
                expected=f"a length that is measured ({', '.join(f'{s:g}' for s in lengths)} s)",
                found=budget.text,
                advice=f"add {budget.seconds:g} to --seconds",
            )


def broken(budgets: Sequence[Budget], records: Sequence[Record]) -> list[str]:
    """Which budgets do not hold, in words; empty if all do.

    A figure that could not be measured breaks its budget: nobody knows that it holds.
    """
    sentences = []
    for budget in budgets:
        _, figure, of_length = FIGURES[budget.name]
        some = list(records) if of_length else one_per_system(records)
        if budget.seconds is not None:
            some = [r for r in some if r.seconds == budget.seconds]
        if not some:
            sentences.append(f"{budget.text}: not measured")
        for record in some:
            value = figure(record)
            place = record.place if of_length else record.system
            if value is None:
                sentences.append(f"{budget.text}: not measured ({place})")
            elif value > budget.limit:
                sentences.append(f"{budget.text}: {value:.4g} ({place})")
    return sentences
