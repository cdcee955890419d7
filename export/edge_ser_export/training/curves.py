"""The learning-curve picture of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.palette import COLOURS, EPOCH_AXIS


def plot_history(history: list[dict[str, Any]], path: Path) -> None:
    """Draw losses and development scores against epochs as PNG.

    Args:
        history: records of `Trainer`: epoch, losses, development result.
        path: the picture.
    """
    learning_curve(history).savefig(path, dpi=110)


def learning_curve(history: list[dict[str, Any]]) -> Any:
    """The figure that `plot_history` saves; the epoch whose weights are kept is marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [h["epoch"] + 1 for h in history]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.set_prop_cycle(color=COLOURS)
    left.plot(epochs, [h["ccc_loss"] for h in history], marker=".", label="1 - CCC, summed")
    left.plot(epochs, [h["region_loss"] for h in history], marker=".", label="region cross entropy")
    left.plot(epochs, [h["region_weight"] for h in history], "k:", label="region weight")
    left.set(title="Training loss", xlabel=EPOCH_AXIS, ylim=(0, None))
    lowest = 0.0
    for name in DIMENSIONS:
        scores = [h["development"]["ccc"][name] for h in history]
        lowest = min(lowest, *scores)
        right.plot(epochs, scores, marker=".", label=f"CCC {name}")
    heads = [h["development"]["region_head"] for h in history]
    right.plot(epochs, heads, "k--", lw=1, label="region head accuracy")
    points = [h["development"]["region_geometric"] for h in history]
    right.plot(epochs, points, "k:", lw=1, label="geometric region accuracy")
    # a CCC below 0 is what a run that learns nothing shows
    right.set(title="Development", xlabel=EPOCH_AXIS, ylim=(lowest - 0.05 if lowest < 0 else 0, 1))
    if lowest < 0:
        right.axhline(0, color="0.4", lw=0.8)
    totals = [sum(h["development"]["ccc"].values()) for h in history]
    best = epochs[totals.index(max(totals))]
    for axes in (left, right):
        axes.axvline(best, color=COLOURS[5], lw=1, alpha=0.6, label=f"epoch kept: {best}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
