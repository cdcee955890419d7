"""Pages and pictures have the same colours, whichever of the two ways draws them."""

import re
from pathlib import Path

import pytest
from helpers.bench_records import record

import edge_ser.report
from edge_ser.bench import plot
from edge_ser.palette import COLOURS, LATENCY_AXIS, LENGTH_AXIS, colour
from edge_ser.report.svg import SHAPES

STYLE = Path(edge_ser.report.__file__).with_name("style.css").read_text()


def luminance(code: str) -> float:
    """Of a colour, as the guidelines for accessible content define it."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_style_sheet_has_the_colours_of_groups() -> None:
    light = STYLE.split("@media", 1)[0]
    groups = re.findall(r"--group(\d): (#[0-9a-f]{6})", light)
    assert len(groups) == len(SHAPES)
    assert [code for _, code in groups] == [colour(int(index)) for index, _ in groups]


def test_a_plot_has_them_too() -> None:
    names = [f"system {i}" for i in range(len(COLOURS) + 1)]
    (axes,) = plot.figure([record(1.0, system=name) for name in names]).axes
    shades = [line.get_color() for line in axes.lines if line.get_gid()]
    assert shades == [*COLOURS, COLOURS[0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (LENGTH_AXIS, LATENCY_AXIS)


@pytest.mark.parametrize("code", COLOURS)
def test_every_colour_is_seen_on_white(code: str) -> None:
    assert 1.05 / (luminance(code) + 0.05) >= 3, "the contrast that drawings need"
