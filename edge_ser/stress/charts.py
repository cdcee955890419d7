"""The drawings of a page about stress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edge_ser.report.charts import Style
from edge_ser.report.svg import Scale, axes, drawing, line, mark
from edge_ser.stress.perturbations import KINDS, Condition

# Of a panel, in its own units.
_SIZE = (320, 228)
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 312, 20, 186
# Between the marks of one level, so that none hides another.
_STEP = 11.0
_STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)


def top_of(values: Sequence[float]) -> float:
    """The upper end of an axis of shares, the same for all panels that are to be compared."""
    largest = max(values, default=0.0)
    return next((step for step in _STEPS if largest <= step), 1.0)


def panel(
    key: str,
    kind: str,
    levels: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    style: Style,
    top: float,
) -> str:
    """Shares (y) at each level of a kind (x), a mark for each series.

    Args:
        key: a name of its own on the page.
        kind: of perturbation.
        levels: that were tried.
        series: shares 0..1 at each level, by name; None where there is none.
        style: shapes and classes by the name of the series.
        top: upper end of the axis.
    """
    last = max(1, len(levels))
    x = Scale(-0.5, last - 0.5, _LEFT, _RIGHT)
    y = Scale(0, top, _BOTTOM, _TOP)
    names = [f"{level:g}" if KINDS[kind].level_name else "" for level in levels]
    ticks = [top * quarter / 4 for quarter in range(5)]
    parts = [
        axes(
            x, y, [*range(len(levels))], ticks, (KINDS[kind].unit, ""),
            (lambda i: names[int(i)], "{:.0%}".format if top > 0.1 else "{:.1%}".format),
        )
    ]  # fmt: skip
    for number, (name, values) in enumerate(series.items()):
        shift = (number - (len(series) - 1) / 2) * _STEP
        shape, class_ = style[name]
        for index, value in enumerate(values):
            if value is None or math.isnan(value):
                continue
            condition = Condition(kind, levels[index]).name
            at = x(index) + shift
            parts.append(line(at, _BOTTOM, at, y(value), "plain"))
            parts.append(mark(shape, at, y(value), class_, f"{condition}, {name}: {value:.1%}", 4))
    return drawing(
        key,
        f"{KINDS[kind].title}: {', '.join(series)}",
        f"{len(levels)} levels, {len(series)} marks at each, on 0 to {top:.0%}.",
        _SIZE,
        parts,
        "square",
    )
