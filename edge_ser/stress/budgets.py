"""How far answers may move, as a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from edge_ser.bench.budgets import split_limit
from edge_ser.errors import UsageError, did_you_mean
from edge_ser.stress.run import CLEAN, Stress
from edge_ser.stress.scores import Change, Scores

_FORM = "CONDITION.FIGURE=LIMIT, such as noise-20db.flips=0.1"
# Of the worst group, in place of all clips.
_OF_GROUPS = "groups"
# name -> what it is, for people; how a change tells it; whether the limit is the least that will do
_CHANGES: dict[str, tuple[str, Callable[[Change], float | None], bool]] = {
    "vad": ("mean change of arousal, dominance and valence, on 0..1", lambda c: c.vad, False),
    "angle": ("mean change of direction, degrees", lambda c: c.angle, False),
    "flips": ("share of changed regions", lambda c: c.flips, False),
    "bias": ("largest mean change of a dimension, on 0..1", lambda c: c.worst_bias, False),
    "ccc": ("concordance of the worst dimension", lambda c: c.worst_ccc, True),
}
_SIDES: dict[str, Callable[[Scores], Change | None]] = {
    "": lambda scores: scores.change,
    "against.": lambda scores: scores.against,
    "labels.": lambda scores: scores.labels,
}
FIGURES = tuple(side + name for side in _SIDES for name in _CHANGES)


@dataclass(frozen=True)
class Budget:
    """One limit.

    Attributes:
        text: as it was given.
        condition: name, or a pattern with `*`.
        figure: of `FIGURES`.
        of_groups: whether each group must keep it, and not all clips together.
        limit: highest value allowed, of `ccc` the lowest.
    """

    text: str
    condition: str
    figure: str
    of_groups: bool
    limit: float

    @property
    def bound(self) -> str:
        """The limit in few characters, such as `regions ≤ 0.1`."""
        name = self.figure.rpartition(".")[2]
        word = {"flips": "regions", "vad": "VAD", "ccc": "CCC"}.get(name, name)
        return f"{word} {'≥' if _CHANGES[name][2] else '≤'} {self.limit:g}"


def parse_budget(text: str, conditions: Sequence[str]) -> Budget:
    """Read `CONDITION.FIGURE=LIMIT`, such as `noise-20db.flips=0.1` or `*.groups.ccc=0.8`.

    Args:
        text: to read.
        conditions: names of those that are tried.

    Raises:
        UsageError: another form, a condition that is not tried, or an unknown figure.
    """
    name, limit, seconds = split_limit(text, _FORM)
    condition, _, figure = name.partition(".")
    if seconds is not None or not figure:
        raise UsageError("--budget", expected=_FORM, found=text)
    if not any(fnmatchcase(known, condition) for known in (CLEAN, *conditions)):
        known = f"clean, {', '.join(conditions)}, or a pattern of them with *"
        raise UsageError("--budget", expected=f"a condition that is tried: {known}", found=text)
    of_groups = figure.startswith(f"{_OF_GROUPS}.")
    figure = figure.removeprefix(f"{_OF_GROUPS}.") if of_groups else figure
    if figure not in FIGURES:
        known = f"{', '.join(FIGURES)}, or one of them behind {_OF_GROUPS}."
        near = did_you_mean(figure, FIGURES)
        raise UsageError("--budget", expected=f"one of {known}", found=figure, advice=near)
    return Budget(text, condition, figure, of_groups, limit)


def check_sides(budgets: Sequence[Budget], against: bool, groups: bool, labels: bool) -> None:
    """Refuse budgets of what is not compared, before anything is.

    Raises:
        UsageError: such a budget.
    """
    for budget in budgets:
        for asked, given, option in (
            (budget.figure.startswith("against."), against, "--against"),
            (budget.figure.startswith("labels."), labels, "--labels"),
            (budget.of_groups, groups, "--groups"),
        ):
            if asked and not given:
                raise UsageError(budget.text, expected=f"{option} beside it", found="none")


def broken(budgets: Sequence[Budget], stress: Stress) -> list[str]:
    """Which budgets do not hold, in words; empty if all do.

    A figure that could not be had breaks its budget: nobody knows that it holds.
    """
    sentences = []
    for budget in budgets:
        values = list(_values(budget, stress))
        if not values:
            sentences.append(f"{budget.text}: not tried")
        for place, value in values:
            if value is None:
                sentences.append(f"{budget.text}: no figure ({place})")
            elif is_beyond(value, budget):
                sentences.append(f"{budget.text}: {value:.4g} ({place})")
    return sentences


def of_condition(budgets: Sequence[Budget], name: str) -> list[Budget]:
    """Those that limit a condition."""
    return [budget for budget in budgets if fnmatchcase(name, budget.condition)]


def change_of(scores: Scores, side: str) -> Change | None:
    """What a side compares with: "" the clean answers, "against." another bundle's, "labels."."""
    return _SIDES[side](scores)


def change_figure(change: Change, figure: str) -> float | None:
    """A figure of a change, by its name with or without its side; None where it has none."""
    return _CHANGES[figure.rpartition(".")[2]][1](change)


def is_beyond(value: float, budget: Budget) -> bool:
    """Whether a value breaks a budget; what is no number does."""
    is_least = _CHANGES[budget.figure.rpartition(".")[2]][2]
    return not (value >= budget.limit if is_least else value <= budget.limit)


def _values(budget: Budget, stress: Stress) -> Iterator[tuple[str, float | None]]:
    """The figure wherever a budget asks for it: (place, value)."""
    side = budget.figure[: budget.figure.rfind(".") + 1]
    for outcome in (stress.clean, *stress.outcomes):
        if not of_condition([budget], outcome.name):
            continue
        if outcome.name == CLEAN and not side:
            continue  # nothing happened to them
        sets = {outcome.name: outcome.scores}
        if budget.of_groups:
            sets = {f"{outcome.name}, {g}": scores for g, scores in outcome.groups.items()}
        for place, scores in sets.items():
            change = change_of(scores, side)
            yield place, None if change is None else change_figure(change, budget.figure)
