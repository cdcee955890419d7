"""The drawings of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN, scores_from_unit
from edge_ser.emotion.sphere import Partition, to_cartesian, to_spherical
from edge_ser.fidelity.limits import Limits, brief
from edge_ser.report.data import Damage, Utterance, Vad
from edge_ser.report.svg import (
    SHAPES,
    Scale,
    arrow,
    axes,
    drawing,
    element,
    label,
    line,
    mark,
    text,
)

# Drawings that are as wide as the page have room for large text where the page is narrow; the style
# sheet says so by this class.
_WIDE = "wide"
_WIDE_SIZE = (640, 450)
# A difference of 0 has no place on a log scale; it is drawn so far below the limit.
_ZERO_SHARE = 1e-4

Style = Mapping[str, tuple[str, str]]


def styles(groups: Iterable[str], devices: Iterable[str] = ()) -> dict[str, tuple[str, str]]:
    """Shape and class of the marks of each group; devices have the last one, over the others."""
    names = list(dict.fromkeys(groups))
    last = len(SHAPES) - 1
    style_of = {g: (SHAPES[i % last], f"group{i % last}") for i, g in enumerate(names)}
    return style_of | {d: (SHAPES[last], f"group{last}") for d in devices}


def scatter(dimension: int, utterances: Sequence[Utterance], style: Style) -> str:
    """Reference (x) against candidate (y) of one dimension, on 1..7."""
    name = DIMENSIONS[dimension]
    x, y = Scale(SCORE_MIN, SCORE_MAX, 34, 312), Scale(SCORE_MIN, SCORE_MAX, 306, 28)
    ticks = np.arange(SCORE_MIN, SCORE_MAX + 1).tolist()
    parts = [axes(x, y, ticks, ticks, ("reference", "candidate"))]
    parts.append(line(x.start, y.start, x.end, y.end, "diagonal"))
    farthest = 0.0
    for u in utterances:
        if u.candidate_vad is None or u.reference_vad is None:
            continue
        before = float(scores_from_unit(u.reference_vad)[dimension])
        after = float(scores_from_unit(u.candidate_vad)[dimension])
        farthest = max(farthest, abs(after - before))
        note = f"{u.name} ({u.group}): {before:.3f} to {after:.3f}"
        parts.append(_mark(u, style, x(before), y(after), note))
    return drawing(
        f"scatter-{name}",
        f"{name}: reference against candidate",
        f"One mark per comparison, on the scale 1 to 7. Equal answers lie on the diagonal; the "
        f"farthest is {farthest:.2g} from it.",
        (320, 346),
        parts,
        "square",
    )


@dataclass(frozen=True)
class Flip:
    """A region that changed.

    Attributes:
        utterance: whose.
        before: region of the reference.
        after: region of the candidate.
        margin: of the reference's point to the nearest boundary, in units of X, Y, Z.
    """

    utterance: Utterance
    before: str
    after: str
    margin: float


def flips(utterances: Sequence[Utterance], partition: Partition) -> list[Flip]:
    """All changed regions, the farthest from a boundary first."""
    marks = []
    for u in utterances:
        if u.candidate_vad is None or u.reference_vad is None:
            continue
        points = to_cartesian(scores_from_unit(np.stack([u.reference_vad, u.candidate_vad])))
        before, after = partition.index(points).tolist()
        if before != after:
            names = (str(partition.regions[before]), str(partition.regions[after]))
            marks.append(Flip(u, *names, float(partition.margin(points)[0])))
    return sorted(marks, key=lambda f: -f.margin)


def sphere(
    utterances: Sequence[Utterance], changed: Sequence[Flip], partition: Partition, style: Style
) -> str:
    """Directions of the reference's points, region boundaries, and where changed ones went.

    Args:
        utterances: one mark each; what was compared twice is drawn once.
        changed: those of them whose region changed.
        partition: the regions.
        style: of the groups.
    """
    x, y = Scale(-180, 180, 62, 606), Scale(180, 0, 388, 52)
    names = ("azimuth (0°: active, 90°: positive)", "polar angle (0°: dominant, 180°: submissive)")
    degrees = "{:g}°".format
    parts = [
        axes(x, y, [-180, -90, 0, 90, 180], [0, 45, 90, 135, 180], names, (degrees, degrees), 24)
    ]
    parts += _boundaries(partition, x, y)
    moved = {id(f.utterance) for f in changed}
    drawn = set()
    for u in utterances:
        if u.reference_vad is None:
            continue
        key = (u.name, *u.reference_vad)
        if id(u) not in moved and key not in drawn:
            drawn.add(key)
            azimuth, polar = _direction(u.reference_vad)
            note = f"{u.name} ({u.group}): azimuth {azimuth:.0f}°, polar angle {polar:.0f}°"
            parts.append(_mark(u, style, x(azimuth), y(polar), note))
    clipped = []
    for flip in changed:
        u = flip.utterance
        if u.candidate_vad is None or u.reference_vad is None:
            continue
        (azimuth, polar), (other, other_polar) = (
            _direction(u.reference_vad),
            _direction(u.candidate_vad),
        )
        # the short way round: the left and the right edge are the same meridian
        turn = (other - azimuth + 180) % 360 - 180
        unit = (x.end - x.start) / 360
        shifts = [0.0]
        if abs(azimuth + turn) > 180:  # it leaves at one edge and enters at the other
            shifts.append(-math.copysign(360, azimuth + turn))
        for shift in shifts:
            at = x.start + (azimuth + shift + 180) * unit
            clipped.append(arrow(at, y(polar), at + turn * unit, y(other_polar), "flip"))
        note = f"{u.name} ({u.group}): {flip.before} became {flip.after}"
        clipped.append(mark(style[u.group][0], x(azimuth), y(polar), "flipped", note, 4.5))
    frame = element("rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end)
    parts.append(element("clipPath", frame, id="sphere-frame"))
    parts.append(element("g", *clipped, clip_path="url(#sphere-frame)"))
    return drawing(
        "sphere",
        "Where the utterances lie on the emotion sphere",
        f"The sphere unrolled: {len(drawn) + len(changed)} directions seen from neutral, region "
        f"boundaries as lines. {len(changed)} changed region; an arrow leads to where they went.",
        _WIDE_SIZE,
        parts,
        _WIDE,
    )


def length(utterances: Sequence[Utterance], limits: Limits, style: Style) -> str:
    """Largest difference on 0..1 (y) against seconds of audio (x), both on log scales."""
    points = [(u, u.seconds, u.largest) for u in utterances if u.seconds and u.largest is not None]
    measure = "VAD" if any(u.vad_max is not None for u in utterances) else "probabilities"
    floor = (limits.vad or 1.0) * _ZERO_SHARE
    # twice the limit, so that its name has room above it
    values = [max(v, floor) for _, _, v in points] + [2 * (limits.vad or 1.0)]
    decades = _decades(min(values), max(values))
    seconds = [s for _, s, _ in points]
    low, high = min(seconds, default=0.1) / 1.3, max(seconds, default=10.0) * 1.3
    x = Scale(low, high, 78, 626, log=True)
    y = Scale(decades[0], decades[-1], 388, 52, log=True)
    ticks = [t for t in (0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low <= t <= high]
    step = -(-len(decades) // 7)
    names = ("seconds of audio", f"largest difference of {measure}, on 0..1")
    parts = [axes(x, y, ticks, decades[::-step], names, ("{:g}".format, "{:.0e}".format), 24)]
    for u, audio, value in points:
        note = f"{u.name} ({u.group}): {audio:g} s, {value:.1e}"
        parts.append(_mark(u, style, x(audio), y(max(value, floor)), note))
    # named where few marks are: between one frame and the shortest speech
    for limit, words, off in ((limits.vad, "limit", -6), (limits.vad_p99, "limit of 99 %", 26)):
        if limit:
            at = y(limit)
            parts.append(line(x.start, at, x.end, at, "limit"))
            parts.append(label(x.start + 50, at + off, f"{words} {brief(limit)}", class_="note"))
    largest = max((v for _, _, v in points), default=0.0)
    return drawing(
        "length",
        "Difference against length",
        f"One mark per comparison. The largest difference is {largest:.1e}, the limit "
        f"{brief(limits.vad)}.",
        _WIDE_SIZE,
        parts,
        _WIDE,
    )


def sensitivity(damage: Sequence[Damage]) -> str:
    """What lower precision of each part costs alone: a bar per part, the costliest first."""
    rows = sorted(damage, key=lambda d: -d.vad_p99)
    longest = max((d.vad_p99 for d in rows), default=0.0) or 1.0
    x = Scale(0, longest, 4, 636)
    pitch = 44
    parts = []
    for index, d in enumerate(rows):
        top = index * pitch
        state = "kept" if d.kept == "float32" else "lowered"
        cost = f"{d.vad_p99:.2g}, {d.flips} flips"
        width = max(x(d.vad_p99) - x.start, 1.0)
        note = f"{d.name}: 99 % of answers within {d.vad_p99:.3g}, mean {d.vad_mean:.3g}, "
        note += f"{d.flips} changed class, {d.macs:,} MACs, {d.kept} in this bundle"
        parts.append(
            element(
                "g",
                element("title", text(note)),
                label(x.start, top + 21, _shortened(d.name), class_=f"bar-name {state}"),
                label(x.end, top + 21, cost, "end", "number"),
                element(
                    "rect", x=x.start, y=top + 28, width=width, height=10, class_=f"bar {state}"
                ),
            )
        )
    kept_count = sum(d.kept == "float32" for d in rows)
    first = f" The costliest is {rows[0].name}." if rows else ""
    return drawing(
        "sensitivity",
        "Cost of lower precision, part by part",
        f"{len(rows)} bars: 99th percentile of the answers' difference when this part alone "
        f"is lowered. {kept_count} are kept in float32.{first}",
        (640, max(len(rows) * pitch, pitch)),
        parts,
        _WIDE,
    )


def key_mark(shape: str, class_: str) -> str:
    """A mark by itself, for the key beside the drawings."""
    return element(
        "svg", mark(shape, 8, 8, class_, size=4.5), viewBox="0 0 16 16", aria_hidden="true",
        class_="key",
    )  # fmt: skip


def key_list(style: Style, extreme: bool = False) -> str:
    """Which mark stands for what.

    Args:
        style: shapes and classes by name.
        extreme: whether hollow marks are among them.
    """
    entries = [key_mark(*mark) + text(name) for name, mark in style.items()]
    if extreme:
        entries.append(key_mark("circle", "extreme plain") + "hollow: hardly speech")
    return element("ul", *(element("li", e) for e in entries), class_="key-list")


def _mark(u: Utterance, style: Style, x: float, y: float, note: str) -> str:
    shape, class_ = style[u.group]
    return mark(shape, x, y, f"{class_} extreme" if u.extreme else class_, note)


def _direction(vad: Vad) -> tuple[float, float]:
    """Azimuth and polar angle of a point, in degrees."""
    _, polar, azimuth = np.degrees(to_spherical(to_cartesian(scores_from_unit(vad)))).tolist()
    return azimuth, polar


def _boundaries(partition: Partition, x: Scale, y: Scale) -> list[str]:
    """Lines between the regions of the grid, and their names where there is room."""
    parts = []
    around = 360 // partition.azimuth_step
    if around > 1:
        for azimuth in range(0, 360, partition.azimuth_step):
            for across in {180: (-180, 180)}.get(azimuth, ((azimuth + 180) % 360 - 180,)):
                parts.append(line(x(across), y.start, x(across), y.end, "boundary"))
    for edge in range(partition.polar_step, 180, partition.polar_step):
        parts.append(line(x.start, y(edge), x.end, y(edge), "boundary"))
    for index, region in enumerate(partition.regions[: partition.grid_size]):
        if not region.temperament:
            break  # those of finer grids have no room for their names
        at = x(((index % around + 0.5) * partition.azimuth_step + 180) % 360 - 180)
        top = y(index // around * partition.polar_step)
        parts.append(label(at, top + 26, region.name, "middle", "region"))
        parts.append(label(at, top + 50, region.temperament, "middle", "region"))
    return parts


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**e for e in range(first, max(last, first + 1) + 1)]


def _shortened(name: str, max_length: int = 34) -> str:
    """A name that fits; what tells layers apart is at both of its ends."""
    return (
        name
        if len(name) <= max_length
        else f"{name[: max_length // 2 - 1]}…{name[-(max_length // 2) :]}"
    )
