"""The one reader of foreign JSON: what it makes, and what it says of what does not fit."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal, Optional

import pytest

from edge_ser.errors import BundleError, UsageError
from edge_ser.typed_json import Reader


@dataclass(frozen=True)
class Group:
    name: str
    vad: float
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError("count", expected="a count >= 1", found=str(self.count))
        if self.name == "":
            raise UsageError("a group", expected="a name", found="none")


@dataclass(frozen=True)
class Document:
    groups: tuple[Group, ...]
    passed: bool
    kind: Literal["one", "two"] = "one"
    point: tuple[float, float] | None = None
    shape: tuple[int | str, ...] = ()
    shares: dict[str, float] = dataclasses.field(default_factory=dict)
    mixed: dict[str, float | dict[str, float] | None] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    first: Optional[Group] = None  # noqa: UP045 - both spellings are read


READER = Reader(BundleError, advice="export again")
LEAST: dict[str, Any] = {"groups": [], "passed": True}


def read(**changes: Any) -> Document:
    return READER.read(Document, LEAST | changes, "parity")


def test_every_kind_is_read() -> None:
    text = json.dumps(
        {
            "groups": [{"name": "a", "vad": 1}, {"name": "b", "vad": 0.5, "count": 3}],
            "passed": False, "kind": "two", "point": [1, 2.5], "shape": ["batch", 3],
            "shares": {"int8": 0.9}, "mixed": {"a": 1, "b": {"c": 2}, "d": None},
            "facts": {"x": [1, None]}, "first": {"name": "a", "vad": 0},
        }
    )  # fmt: skip
    document = READER.read(Document, READER.parse(text, "parity"), "parity")
    assert document == Document(
        groups=(Group("a", 1.0), Group("b", 0.5, 3)),
        passed=False,
        kind="two",
        point=(1.0, 2.5),
        shape=("batch", 3),
        shares={"int8": 0.9},
        mixed={"a": 1.0, "b": {"c": 2.0}, "d": None},
        facts={"x": [1, None]},
        first=Group("a", 0.0),
    )
    assert isinstance(document.groups[0].vad, float) and isinstance(document.shape[1], int)


def test_what_is_not_there_takes_its_default() -> None:
    assert READER.read(Document, LEAST, "parity") == Document((), True)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"groups": [{"name": "a", "vad": 1}] * 2 + [{"name": "c", "vad": "x"}]},
            "parity: groups[2]: vad: expected a finite number, found 'x'; export again",
        ),
        ({"groups": {}}, "parity: groups: expected a list, found {}; export again"),
        ({"groups": [3]}, "parity: groups[0]: expected an object, found 3; export again"),
        (
            {"groups": [{"name": "a"}]},
            "parity: groups[0]: expected a field `vad`, found none; export again",
        ),
        (
            {"groups": [{"name": "a", "vad": 1, "z": 1, "b": 2}]},
            "parity: groups[0]: expected known fields only, found b, z; export again",
        ),
        ({"passed": 1}, "parity: passed: expected true or false, found 1; export again"),
        ({"kind": "three"}, "parity: kind: expected one of one, two, found 'three'; export again"),
        ({"kind": ["one"]}, "parity: kind: expected one of one, two, found ['one']; export again"),
        ({"point": [1]}, "parity: point: expected a list of 2, found [1]; export again"),
        (
            {"point": [1, True]},
            "parity: point[1]: expected a finite number, found True; export again",
        ),
        ({"shape": [1.5]}, "parity: shape[0]: expected a whole number or text, found 1.5; "
         "export again"),
        ({"shape": [True]}, "parity: shape[0]: expected a whole number or text, found True; "
         "export again"),
        ({"shares": {"int8": None}}, "parity: shares: int8: expected a finite number, found None; "
         "export again"),
        ({"mixed": {"a": "b"}}, "parity: mixed: a: expected a finite number or an object, found "
         "'b'; export again"),
        ({"facts": None}, "parity: facts: expected an object, found None; export again"),
        ({"first": 1}, "parity: first: expected an object, found 1; export again"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_path(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BundleError) as caught:
        read(**changes)
    assert str(caught.value) == line


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_numbers_are_finite(number: float) -> None:
    with pytest.raises(BundleError, match="parity: shares: a: expected a finite number, found"):
        read(shares={"a": number})


def test_a_value_that_its_own_class_refuses_is_named_by_path() -> None:
    with pytest.raises(BundleError) as caught:
        read(groups=[{"name": "a", "vad": 1, "count": 0}])
    assert str(caught.value) == (
        "parity: groups[0]: count: expected a count >= 1, found 0; export again"
    )
    with pytest.raises(BundleError, match=r"^parity: groups\[0\]: expected a name, found none"):
        read(groups=[{"name": "", "vad": 1}])


def test_fields_of_a_later_version_are_skipped_where_that_is_asked_for() -> None:
    lenient = Reader(UsageError, strict=False)
    assert lenient.read(Document, LEAST | {"weather": "mild"}, "x") == Document((), True)
    with pytest.raises(UsageError, match=r"x: expected a field `passed`, found none$"):
        lenient.read(Document, {"groups": []}, "x")


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe{", "[" * 200_000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(BundleError, match=r"^parity: expected JSON, found .*; export again$"):
        READER.parse(text, "parity")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 2,', "a text that ends too soon, at line 1, column 9"),
        ('{"a": 2,\n}', "none at line 2, column 1"),
        (" \n", "nothing"),
        ("[" * 200_000, "parts in one another without end"),
        (b"\xff\xfe{", "'utf-16-le' codec can't decode byte"),
    ],
    ids=["cut", "wrong", "empty", "deep", "coded"],
)
def test_why_it_is_none_is_said_for_who_did_not_write_it(text: str | bytes, words: str) -> None:
    with pytest.raises(BundleError, match=f"^parity: expected JSON, found {words}"):
        READER.parse(text, "parity")
