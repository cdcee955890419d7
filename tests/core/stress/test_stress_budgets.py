"""Budgets of stress: what is read, what is refused, what breaks."""

import pytest

from edge_ser.errors import UsageError
from edge_ser.stress.budgets import FIGURES, broken, check_sides, parse_budget
from edge_ser.stress.run import Stress

NAMES = ("noise-10db", "gsm")


def test_every_figure_holds_and_breaks(result: Stress) -> None:
    for figure in FIGURES:
        (line,) = broken([parse_budget(f"gsm.{figure}=1e-9", NAMES)], result) or ["kept"]
        (other,) = broken([parse_budget(f"gsm.{figure}=999", NAMES)], result) or ["kept"]
        is_least = figure.endswith("ccc")
        lines = (other, line) if is_least else (line, other)
        assert lines[1] == "kept" and lines[0].endswith(" (gsm)"), figure
        value = float(lines[0].split(": ")[1].split(" ")[0])
        limit = f"{value * (0.99 if is_least else 1.01):.9f}"
        assert broken([parse_budget(f"gsm.{figure}={limit}", NAMES)], result) == []


def test_patterns_and_groups_name_each_place(result: Stress) -> None:
    lines = broken([parse_budget("*.against.vad=0", NAMES)], result)
    assert len(lines) == len(result.outcomes) + 1, "the clean clips are compared, too"
    assert lines[0].startswith("*.against.vad=0: 0.0") and lines[0].endswith("(clean)")
    lines = broken([parse_budget("*.vad=0", NAMES)], result)
    assert len(lines) == len(result.outcomes)
    lines = broken([parse_budget("gsm.groups.flips=0", NAMES)], result)
    assert [line.split("(")[1] for line in lines] == ["gsm, rms)", "gsm, slt)"]


def test_what_was_not_tried_breaks_its_budget(result: Stress) -> None:
    assert broken([parse_budget("opus-8k.flips=1", ["opus-8k"])], result) == [
        "opus-8k.flips=1: not tried"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flips", "expected CONDITION.FIGURE=LIMIT"),
        ("gsm=0.1", "expected CONDITION.FIGURE=LIMIT"),
        ("gsm.flips=0.1@1s", "expected CONDITION.FIGURE=LIMIT"),
        ("gsm.flips=-1", "expected CONDITION.FIGURE=LIMIT"),
        ("gms.flips=0.1", "expected a condition that is tried: clean, noise-10db, gsm"),
        ("gsm.joy=0.1", "expected one of vad, angle, flips, bias, ccc, against.vad"),
        ("gsm.groups.joy=1", "or one of them behind groups., found joy"),
    ],
)
def test_other_forms_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_budget(text, NAMES)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "option"),
    [("gsm.against.ccc=1", "--against"), ("gsm.labels.ccc=1", "--labels"),
     ("gsm.groups.vad=1", "--groups")],
)  # fmt: skip
def test_budgets_of_what_is_not_compared_are_refused(text: str, option: str) -> None:
    budget = parse_budget(text, NAMES)
    check_sides([budget], True, True, True)
    with pytest.raises(UsageError, match=f"expected {option} beside it, found none"):
        check_sides([budget], False, False, False)
