"""Colours and names that every drawing shares, whatever draws it.

Pages of a device are drawn as SVG by `edge_ser.report.svg`, without a library; pictures of bench
figures, of a training run and of benchmarks are drawn by matplotlib, where that is installed.
"""

from __future__ import annotations

# On white; told apart by people who see few colours as well. The style sheet of pages has the same.
COLOURS = ("#0067b1", "#b26a00", "#007a5a", "#9b3d80", "#1b1f24", "#b3261e")
LENGTH_AXIS, LATENCY_AXIS, EPOCH_AXIS = "length of the utterance, s", "latency, ms", "epoch"


def colour(index: int) -> str:
    """Of the line or group of an index; they begin again after the last."""
    return COLOURS[index % len(COLOURS)]
