"""Latency against length as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_ser.bench.records import Record, threads_of
from edge_ser.bench.tables import busy_note, machine_line
from edge_ser.palette import LATENCY_AXIS, LENGTH_AXIS, colour

_MARKS = "osD^vPX*"
# Where the slowest system is so many times the fastest, equal ratios are drawn equally far apart.
_LOG_ABOVE = 12


def lines(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by line of the plot: a system, with its batch and threads where these differ."""
    batches, threads = len({r.batch for r in records}) > 1, len({r.threads for r in records}) > 1
    by_line: dict[str, list[Record]] = {}
    for r in sorted(records, key=lambda r: r.seconds):
        name = r.system
        name += f", batch {r.batch}" if batches else ""
        name += f", {threads_of(r)}" if threads else ""
        by_line.setdefault(name, []).append(r)
    order = list(dict.fromkeys(r.system for r in records))
    return dict(sorted(by_line.items(), key=lambda item: order.index(item[1][0].system)))


def figure(records: Sequence[Record]) -> Any:
    """Draw: one line per system, the median with its interval, up to the 90th percentile shaded."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    drawing = Figure(figsize=(8, 5), layout="constrained")
    axes = drawing.subplots()
    for index, (name, points) in enumerate(lines(records).items()):
        x = [r.seconds for r in points]
        y = [r.latency.p50_ms for r in points]
        low = [max(0.0, r.latency.p50_ms - r.latency.low_ms) for r in points]
        high = [max(0.0, r.latency.high_ms - r.latency.p50_ms) for r in points]
        shade = colour(index)
        # a point's mark of its own, so that lines can be told apart without colour
        axes.plot(x, y, color=shade, marker=_MARKS[index % len(_MARKS)], label=name, gid=name)
        axes.errorbar(x, y, yerr=(low, high), fmt="none", ecolor=shade, capsize=3)
        if len(points) > 1:
            p90 = [r.latency.p90_ms for r in points]
            axes.fill_between(x, y, p90, color=shade, alpha=0.15, lw=0)
    lengths = sorted({r.seconds for r in records})
    if _spread(records) > _LOG_ABOVE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, None)
    axes.set_xlim(0, None)
    axes.set_xticks(lengths, [f"{s:g}" for s in lengths])
    axes.set_xlabel(LENGTH_AXIS)
    axes.set_ylabel(LATENCY_AXIS)
    axes.set_title("Samples in memory to emotions: median, and shaded up to the 90th percentile",
                   fontsize=10, loc="left")  # fmt: skip
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=9)
    footnote = "; ".join((machine_line(records[0]), *busy_note(records)))
    drawing.text(0.01, -0.01, footnote, fontsize=7, color="0.35", va="top")
    return drawing


def _spread(records: Sequence[Record]) -> float:
    """The slowest over the fastest system of the same length, where that is most."""
    widest = 1.0
    for seconds in {r.seconds for r in records}:
        values = [r.latency.p50_ms for r in records if r.seconds == seconds]
        widest = max(widest, max(values) / min(values))
    return widest


def write_plot(path: Path, records: Sequence[Record]) -> None:
    """Draw the records as PNG or SVG, by the suffix of the path."""
    figure(records).savefig(path, dpi=120, bbox_inches="tight")
