"""The result of the parity gate as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.fidelity.compare import Fidelity
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import Limits, limit_words
from edge_ser.fidelity.verdict import by_limits

_INDENT = " " * 9
_LARGEST = ("vad_max", "probability_max")  # of dimensions, of categories


def parity_table(
    groups: Mapping[str, Fidelity],
    judged: Mapping[str, Limits],
    labels: LabelFidelity | None,
    notes: Sequence[str],
) -> str:
    """Lines for people: per group the differences, and how it agrees as a whole.

    Args:
        groups: fidelity by name.
        judged: limits that decide, by name of the group.
        labels: agreement with labels, if there were any.
        notes: what else to say.
    """
    lines = []
    if any(r.vad_max is not None for r in groups.values()):
        lines += _point_lines(groups, judged)
    if any(r.probability_max is not None for r in groups.values()):
        lines += _category_lines(groups, judged)
    if labels is not None:
        changes = (
            f"{d} {labels.before[d]:.4f} -> {labels.after[d]:.4f} ({labels.change[d]:+.4f})"
            for d in DIMENSIONS
        )
        lines.append(f"{'labels':<9}CCC over {labels.count}, before -> after: {', '.join(changes)}")
    lines += [f"{'note':<9}{note}" for note in notes]
    has = [any(getattr(r, n) is not None for r in groups.values()) for n in _LARGEST]
    for limits, names in by_limits(judged).items():
        lines.append(f"limits of {', '.join(names)}: {limit_words(limits, *has)}")
    return "\n".join(lines)


def _agreement(r: Fidelity) -> list[str]:
    """How a group agrees as a whole; nothing of a single utterance."""
    lines = []
    for name, values in (("CCC", r.ccc), ("Pearson", r.pearson)):
        if values is not None:
            each = ", ".join(f"{d} {values[d]:.6f}" for d in DIMENSIONS)
            lines.append(f"{name + ' with the reference:':<28}{each}")
    if lines:
        head = "" if r.head_agreement is None else f", head same {r.head_agreement:.1%}"
        lines.append(
            f"{f'over {r.judged} of speech:':<28}VAD 99 % {r.vad_p99:.1e}, angle mean "
            f"{r.angle_mean_degrees:.4f}° 99 % {r.angle_p99_degrees:.4f}°, radius mean "
            f"{r.radius_mean:.1e}"
        )
        lines.append(
            f"{'':<28}regions changed {r.flip_rate:.1%}, borderline {r.flip_rate_near:.1%}{head}"
        )
    return lines


def _verdict(name: str, group: Fidelity, judged: Mapping[str, Limits]) -> str:
    """Whether a row is within its limits: of lower precision its numbers are never nothing."""
    if name not in judged:
        return "not judged"
    return "OUTSIDE" if group.failures(judged[name]) else "within"


def _point_lines(groups: Mapping[str, Fidelity], judged: Mapping[str, Limits]) -> list[str]:
    head = f"{'parity':<9}{'runs':>5}{'VAD max':>10}{'mean':>10}{'logits max':>12}"
    lines = [
        head + f"{'angle max':>11}{'radius max':>12}{'regions same':>14}{'borderline':>11}  limits"
    ]
    for name, r in groups.items():
        logits = "-" if r.logits_max is None else f"{r.logits_max:.1e}"
        far = f"{r.regions_far - r.flips_far}/{r.regions_far}"
        near = f"{r.regions_near - r.flips_near}/{r.regions_near}"
        lines.append(
            f"{name:<9}{r.count:>5}{r.vad_max:>10.1e}{r.vad_mean:>10.1e}{logits:>12}"
            f"{r.angle_max_degrees:>10.4f}°{r.radius_max:>12.1e}{far:>14}{near:>11}"
            f"  {_verdict(name, r, judged)}"
        )
        lines += [_INDENT + line for line in _agreement(r)]
    return lines


def _category_lines(groups: Mapping[str, Fidelity], judged: Mapping[str, Limits]) -> list[str]:
    head = f"{'parity':<9}{'runs':>5}{'probability max':>17}{'99 %':>10}{'mean':>10}"
    lines = [head + f"{'divergence':>12}{'categories same':>17}{'near a tie':>11}  limits"]
    for name, r in groups.items():
        far, flips = r.categories_far or 0, r.category_flips_far or 0
        near = r.count - far
        lines.append(
            f"{name:<9}{r.count:>5}{r.probability_max:>17.1e}{r.probability_p99:>10.1e}"
            f"{r.probability_mean:>10.1e}{r.divergence_mean:>12.1e}{f'{far - flips}/{far}':>17}"
            f"{f'{near - (r.category_flips_near or 0)}/{near}':>11}"
            f"  {_verdict(name, r, judged)}"
        )
    return lines
