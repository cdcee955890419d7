"""A recording's answers over time as a picture: scores, regions, speakers, speech."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.palette import COLOURS, OTHER_COLOUR, REGION_COLOURS, colour
from edge_ser.printable import printable
from edge_ser.segments.track import Course, Track

# Pieces across the picture; more would be thinner than a line.
_MOST_PIECES = 200
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600)
_MOST_TICKS = 10
# A name is written on a strip where it has so much of the width for each letter.
_LETTER = 0.009
_NEUTRAL = (SCORE_MIN + SCORE_MAX) / 2


def figure(track: Track, min_speech: float) -> Any:
    """Draw a panel for each dimension, strips of regions and speakers, and the share of speech.

    Args:
        track: of one recording, at least one segment.
        min_speech: share of the time below which a piece is shaded.
    """
    from matplotlib.figure import Figure

    course = track.course(_MOST_PIECES)
    strips = 2 if course.people else 1
    heights = [2.0] * len(DIMENSIONS) + [0.45] * strips + [0.8]
    drawing = Figure(figsize=(11, 1.2 + sum(heights) * 0.78), layout="constrained")
    panels = drawing.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for column, (name, axes) in enumerate(zip(DIMENSIONS, panels, strict=False)):
        _draw_scores(axes, course, column, name, min_speech)
    rows = list(panels[len(DIMENSIONS) :])
    kinds, shades = _region_colours(course)
    _draw_strip(rows[0], course, kinds, shades, "region")
    if course.people:
        people = {place: (name, colour(place)) for place, name in enumerate(course.people)}
        _draw_strip(rows[1], course, course.speakers, people, "speaker")
    _draw_speech(rows[-1], course, min_speech)
    _label_time(rows[-1], course)
    _add_legend(drawing, shades)
    # a name is no formula, whatever dollars it has
    panels[0].set_title(
        printable(Path(track.source).name) or "samples", loc="left", fontsize=10, parse_math=False
    )
    drawing.text(0.01, -0.01, _note(track, course), fontsize=7, color="0.35", va="top")
    return drawing


def write_plot(path: Path, track: Track, min_speech: float) -> None:
    """Draw as PNG or SVG, by the suffix of the path; see `figure`."""
    with warnings.catch_warnings():
        # names of files may have letters that the font has not
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure(track, min_speech).savefig(path, dpi=120, bbox_inches="tight")


def _note(track: Track, course: Course) -> str:
    note = f"{len(track)} segments"
    if course.is_binned:
        width = course.edges[0, 1] - course.edges[0, 0]
        note += (
            f", as means over {width:.3g} s; the band is a standard deviation of the segments "
            "to either side, the region that of most of the time"
        )
    return f"{note}. Grey: hardly any speech. Line at {_NEUTRAL:g}: neutral."


def _draw_scores(axes: Any, course: Course, column: int, name: str, min_speech: float) -> None:
    x, y = _outline(course, course.scores[:, column])
    axes.axhline(_NEUTRAL, color="0.6", lw=0.8, zorder=1)
    axes.plot(x, y, color=COLOURS[4], lw=1.1, gid=name, zorder=3)
    if course.is_binned:
        _, half = _outline(course, course.spread[:, column])
        low, high = np.maximum(y - half, SCORE_MIN), np.minimum(y + half, SCORE_MAX)
        axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.25, lw=0, zorder=2)
    for start, end in _runs(course, np.where(course.speech < min_speech, 0, -1)):
        axes.axvspan(course.edges[start, 0], course.edges[end - 1, 1], color="0.88", lw=0, zorder=0)
    axes.set(ylim=(SCORE_MIN - 0.1, SCORE_MAX + 0.1), yticks=(1, 4, 7), ylabel=name)
    axes.grid(alpha=0.3)


def _outline(
    course: Course, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values as a line: level over each piece, broken where the recording has none."""
    x = np.full((len(values), 3), np.nan)
    y = np.full((len(values), 3), np.nan)
    x[:, :2], y[:, :2] = course.edges, values[:, None]
    x[:, 2] = course.edges[:, 1]
    touches = np.append(np.isclose(course.edges[1:, 0], course.edges[:-1, 1]), False)
    y[touches, 2] = y[touches, 1]
    return x.reshape(-1), y.reshape(-1)


def _runs(course: Course, kinds: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Neighbours that touch and are of one kind, as first and after the last; -1 is no kind."""
    apart = ~np.isclose(course.edges[1:, 0], course.edges[:-1, 1])
    changes = np.flatnonzero((kinds[1:] != kinds[:-1]) | apart) + 1
    bounds = [0, *changes.tolist(), len(kinds)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if kinds[a] >= 0]


def _region_colours(course: Course) -> tuple[NDArray[np.int64], dict[int, tuple[str, str]]]:
    """Regions by piece, and names and colours of those; on finer grids the rarest are one."""
    if set(course.names) <= set(REGION_COLOURS):
        return course.regions, {
            place: (name, REGION_COLOURS[name]) for place, name in enumerate(course.names)
        }
    seconds = np.diff(course.edges, axis=1)[:, 0]
    times = [float(seconds[course.regions == place].sum()) for place in range(len(course.names))]
    common = sorted(np.argsort(times)[::-1][: len(REGION_COLOURS)].tolist())
    other = len(course.names)
    kinds = np.where(
        np.isin(course.regions, [*common, -1]), course.regions, other
    )  # fmt: skip
    shades = {
        place: (course.names[place], shade)
        for place, shade in zip(common, REGION_COLOURS.values(), strict=False)
    }
    return kinds, shades | ({other: ("others", OTHER_COLOUR)} if other in kinds else {})


def _draw_strip(
    axes: Any,
    course: Course,
    kinds: NDArray[np.int64],
    shades: dict[int, tuple[str, str]],
    title: str,
) -> None:
    for start, end in _runs(course, kinds):
        name, shade = shades[int(kinds[start])]
        left, right = course.edges[start, 0], course.edges[end - 1, 1]
        axes.axvspan(left, right, color=shade, lw=0)
        word = printable(name).split()[0]
        if (right - left) / course.seconds > _LETTER * (len(word) + 1):
            axes.text(
                (left + right) / 2, 0.5, word, ha="center", va="center", fontsize=7,
                color=_ink(shade), parse_math=False,
            )  # fmt: skip
    axes.set(ylim=(0, 1), yticks=())
    axes.set_ylabel(title, rotation=0, ha="right", va="center")


def _ink(shade: str) -> str:
    """Black or white, whichever is read better on a colour `#rrggbb`."""
    red, green, blue = (int(shade[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 150 else "black"


def _draw_speech(axes: Any, course: Course, min_speech: float) -> None:
    x, y = _outline(course, course.speech)
    axes.fill_between(x, 0, y, color="0.55", lw=0)
    axes.axhline(min_speech, color=COLOURS[5], lw=0.8, ls="--")
    axes.set(ylim=(0, 1), yticks=(0, 1), yticklabels=("0 %", "100 %"))
    axes.set_ylabel("speech", rotation=0, ha="right", va="center")


def _label_time(axes: Any, course: Course) -> None:
    start, end = float(course.edges[0, 0]), course.seconds
    step = next((s for s in _TICK_STEPS if (end - start) / s <= _MOST_TICKS), _TICK_STEPS[-1])
    while (end - start) / step > _MOST_TICKS:
        step *= 2
    ticks = np.arange(np.ceil(start / step), end / step + 1e-9) * step
    axes.set_xlim(start, end)
    axes.set_xticks(ticks, [_clock(float(tick), end) for tick in ticks])
    axes.set_xlabel("time, h:mm:ss" if end >= 3600 else "time, m:ss")


def _clock(seconds: float, longest: float) -> str:
    minutes, seconds_left = divmod(round(seconds), 60)
    if longest < 3600:
        return f"{minutes}:{seconds_left:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds_left:02}"


def _add_legend(drawing: Any, shades: dict[int, tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    if not shades:
        return
    handles = [Patch(color=shade, label=name) for name, shade in shades.values()]
    drawing.legend(
        handles=handles, loc="outside right upper", fontsize=8, title="region", frameon=False
    )
