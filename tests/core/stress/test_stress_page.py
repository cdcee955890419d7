"""What the page shows, and that it needs nothing else."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from edge_ser.stress.budgets import broken, parse_budget
from edge_ser.stress.charts import top_of
from edge_ser.stress.page import stress_page
from edge_ser.stress.run import Stress
from edge_ser.stress.tables import page

NAMES = ("gsm", "noise-10db")


def test_the_page_has_a_panel_for_each_kind_and_side(result: Stress) -> None:
    html = stress_page(result)
    drawn = re.findall(r'id="([a-z]+)-([a-z0-9]+)-title"', html)
    kinds = {"noise", "babble", "quieter", "speed", "gsm"}
    for side in ("clean", "against", "labels", "groups"):
        assert {kind for key, kind in drawn if key == side} == kinds
    assert "Not judged: no budget was set" in html
    assert f"Where answers go: {worst(result)}" in html
    assert not re.search(r"(?:src|href)=|url\((?!#)|@import|https?:", html), "nothing is loaded"
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def worst(result: Stress) -> str:
    return max(result.outcomes, key=lambda o: o.scores.change.flips if o.scores.change else 0).name


def test_drawings_are_well_formed(result: Stress) -> None:
    html = stress_page(result)
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_marks_lie_where_their_figures_are(result: Stress) -> None:
    html = stress_page(result)
    (gsm,) = (o for o in result.outcomes if o.name == "gsm")
    assert gsm.scores.change is not None
    drawing = next(d for d in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "clean-gsm" in d)
    y, note = re.search(r'<circle [^>]*cy="([\d.]+)"[^>]*><title>([^<]*)', drawing).groups()  # type: ignore[union-attr]
    assert note == f"gsm, regions changed: {gsm.scores.change.flips:.1%}"
    # the axis goes from 186 at 0 to 20 at 100 %
    assert float(y) == pytest.approx(186 - gsm.scores.change.flips * 166, abs=0.006)


def test_budgets_are_marked_where_they_break(result: Stress) -> None:
    budgets = [parse_budget(t, NAMES) for t in ("gsm.flips=0.01", "gsm.groups.vad=0.9")]
    failures = broken(budgets, result)
    html = stress_page(result, budgets, failures)
    assert "Failed: 1 figures beyond their budgets" in html
    assert html.count(">✗ ") == 1 and "regions ≤ 0.01" in html
    kept = stress_page(result, budgets[1:], [])
    assert "Passed: 1 budgets kept" in kept and ">✗ " not in kept


def test_names_of_groups_are_text(result: Stress) -> None:
    def renamed(outcome: object) -> object:
        groups = {"<b>&": next(iter(outcome.groups.values()))}  # type: ignore[attr-defined]
        return replace(outcome, groups=groups)  # type: ignore[type-var]

    spoilt = replace(
        result, clean=renamed(result.clean), outcomes=tuple(map(renamed, result.outcomes))
    )
    html = stress_page(spoilt)
    assert "<b>&" not in html and "&lt;b&gt;&amp;" in html


def test_the_terminal_shows_every_condition(result: Stress) -> None:
    text = page(result)
    assert "B: emosphere-spectral (onnx-fp32)" in text
    for outcome in result.outcomes:
        assert outcome.scores.change is not None
        row = next(line for line in text.splitlines() if line.startswith(outcome.name))
        assert row.split()[1] == f"{outcome.scores.change.vad:.3f}"


def test_axes_end_above_the_largest_share() -> None:
    assert [top_of(v) for v in ([], [0.0], [0.06, 0.01], [0.26], [0.9])] == [
        0.05, 0.05, 0.1, 0.5, 1.0,
    ]  # fmt: skip
