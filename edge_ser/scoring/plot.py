"""Answers against labels as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.palette import colour
from edge_ser.scoring.categories import CategoryScores
from edge_ser.scoring.evaluate import Evaluation

# Above it, single points would be one dark cloud; dense parts are then told by colour.
_MANY = 2000
_DARK = 0.55  # share of a square from which on its number is white


def figure(evaluation: Evaluation) -> Any:
    """Draw a square for each dimension: labels across, answers up, equality as a line.

    Of categories alone it is their confusion matrix.
    """
    from matplotlib.figure import Figure

    if evaluation.answers is None:
        assert evaluation.categories is not None  # an evaluation has one of them
        return _confusions(evaluation, evaluation.categories)
    clips, labels = evaluation.clips, evaluation.clips.scores()
    drawing = Figure(figsize=(12, 4.4), layout="constrained")
    panels = drawing.subplots(1, len(DIMENSIONS), sharex=True, sharey=True)
    ends = (SCORE_MIN - 0.2, SCORE_MAX + 0.2)
    count = len(clips.files)
    for column, (name, axes) in enumerate(zip(DIMENSIONS, panels, strict=True)):
        x, y = labels[:, column], evaluation.answers[:, column].clip(SCORE_MIN, SCORE_MAX)
        axes.plot(ends, ends, color="0.4", lw=1, zorder=3)
        if count > _MANY:
            axes.hexbin(x, y, gridsize=40, extent=(*ends, *ends), mincnt=1, bins="log", lw=0)
        else:
            # fewer points may be darker
            axes.scatter(x, y, s=14, alpha=max(0.25, min(0.8, 60 / count)), lw=0, color=colour(0))
        s = evaluation.dimensions[name]
        axes.set_title(
            f"{name}: CCC {s.ccc:.3f} ({s.ccc_low:.3f} .. {s.ccc_high:.3f})",
            fontsize=10,
            loc="left",
        )
        axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="label, 1..7")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("answer, 1..7")
    title = f"{evaluation.bundle} ({evaluation.target}): {count} clips of {clips.table}, "
    drawing.text(0.01, -0.02, f"{title}split {clips.split}", fontsize=8, color="0.35", va="top")
    return drawing


def _confusions(evaluation: Evaluation, scores: CategoryScores) -> Any:
    """A square for each label and answer, as dark as the share of the label's clips in it."""
    from matplotlib.figure import Figure

    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 2.2 + 0.62 * len(scores.names)
    drawing = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = drawing.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(scores.names))
    axes.set_xticks(places, scores.names, rotation=45, ha="right")
    axes.set_yticks(places, scores.names)
    axes.set(xlabel="answer", ylabel="label")
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            dark = shares[row, column] > _DARK
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center", fontsize=9,
                color="white" if dark else "0.15",
            )  # fmt: skip
    axes.set_title(
        f"UAR {scores.uar:.3f} ({scores.uar_low:.3f} .. {scores.uar_high:.3f}), "
        f"macro-F1 {scores.macro_f1:.3f}",
        fontsize=10,
        loc="left",
    )
    title = f"{evaluation.bundle} ({evaluation.target}): {scores.clips} clips of "
    title += f"{evaluation.clips.table}, split {evaluation.clips.split}"
    drawing.text(0.01, -0.02, title, fontsize=8, color="0.35", va="top")
    return drawing


def write_plot(path: Path, evaluation: Evaluation) -> None:
    """Draw as PNG or SVG, by the suffix of the path."""
    figure(evaluation).savefig(path, dpi=120, bbox_inches="tight")
