"""How far the answers moved, as text for a terminal."""

from __future__ import annotations

from edge_ser.bench.tables import Rows, text
from edge_ser.stress.run import Outcome, Stress
from edge_ser.stress.scores import Change

_LEFT = (0,)


def page(stress: Stress) -> str:
    """All of it: every condition, and every group under it."""
    head = f"{stress.bundle} ({stress.target}): {len(stress.clips.files)} clips, "
    head += f"{stress.seconds:.0f} s, {len(stress.outcomes)} conditions"
    if stress.against:
        head += f"\nB: {stress.against}"
    parts = [head, text(condition_rows(stress), _LEFT)]
    if stress.clean.groups:
        parts.append("regions changed, and largest bias, by group\n" + text(_group_rows(stress)))
    return "\n\n".join(parts)


def condition_rows(stress: Stress) -> Rows:
    """A header and a row per condition."""
    header = ["condition", "VAD", "angle", "regions", "CCC", "largest bias"]
    if stress.against:
        header += ["to B: VAD", "regions", "CCC"]
    if stress.clips.labels is not None:
        header += ["to labels: CCC", "bias"]
    rows: Rows = [tuple(header)]
    for outcome in (stress.clean, *stress.outcomes):
        scores = outcome.scores
        cells = [outcome.name, *change_cells(scores.change)]
        if stress.against:
            vad, _, flips, ccc, _ = change_cells(scores.against)
            cells += [vad, flips, ccc]
        if stress.clips.labels is not None:
            *_, ccc, bias = change_cells(scores.labels)
            cells += [ccc, bias]
        rows.append(tuple(cells))
    return rows


def change_cells(change: Change | None) -> tuple[str, str, str, str, str]:
    """Mean VAD, angle, changed regions, worst CCC and largest bias; dashes where there is none."""
    if change is None:
        return ("-",) * 5
    ccc = change.worst_ccc
    return (
        f"{change.vad:.3f}",
        f"{change.angle:.1f}°",
        f"{change.flips:.0%}",
        "-" if ccc is None else f"{ccc:.3f}",
        bias_words(change),
    )


def bias_words(change: Change) -> str:
    """The dimension whose mean moved most, and by how much on 0..1."""
    name = max(change.bias, key=lambda d: abs(change.bias[d]))
    return f"{name} {change.bias[name]:+.3f}"


def _group_rows(stress: Stress) -> Rows:
    rows: Rows = [("condition", *stress.clean.groups)]
    return rows + [(outcome.name, *_group_cells(outcome)) for outcome in stress.outcomes]


def _group_cells(outcome: Outcome) -> list[str]:
    changes = [scores.change for scores in outcome.groups.values()]
    return ["-" if c is None else f"{c.flips:.0%}, {bias_words(c)}" for c in changes]
