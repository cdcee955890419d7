"""What is typed in which order, and what it is read as."""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_ser.cli import build_parser, main
from edge_ser.cli.parser import Parser, Several
from edge_ser.errors import UsageError


def read(*words: str) -> dict[str, Any]:
    return vars(build_parser(words[0]).parse_args(words))


def commands() -> Iterator[tuple[str, Parser]]:
    parser = build_parser()
    (group,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    yield from group.choices.items()


@pytest.mark.parametrize(
    "words", [*itertools.permutations(["B", "f.wav", "--json", "--threads=2"])], ids=" ".join
)
def test_options_stand_anywhere_between_the_arguments(words: tuple[str, ...]) -> None:
    given = read("predict", *words)
    assert given["inputs"] == [w for w in words if not w.startswith("-")]
    assert (given["format"], given["threads"]) == ("json", 2)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bench --budget rtf=1 load_ms=3 B", {"budget": ("rtf=1", "load_ms=3"), "bundles": "B"}),
        ("bench B --budget rtf=1 --budget load_ms=3 C", {"bundles": "B C"}),
        ("bench --json - B", {"json": Path("-"), "bundles": "B"}),
        ("build --device orin B", {"device": ("orin",), "bundle": Path("B")}),
        ("build --device RTX-3060 rtx-4090 B", {"device": ("RTX-3060", "rtx-4090")}),
        ("build B --device sm86 --device t4", {"device": ("sm86", "t4"), "bundle": Path("B")}),
        ("export --device v100 CKPT", {"device": ("v100",), "checkpoint": "CKPT"}),
        ("export", {"device": (), "checkpoint": None, "verbose": False}),
        ("export --neutral-radius -1 CKPT", {"neutral_radius": -1.0, "checkpoint": "CKPT"}),
        ("export -oDIR CKPT", {"out": Path("DIR"), "checkpoint": "CKPT"}),
        ("export -o=DIR", {"out": Path("DIR")}),
        ("export -voDIR", {"out": Path("DIR"), "verbose": True}),
        ("export --out=DIR=1", {"out": Path("DIR=1")}),
        ("export --keep", {"keep_failed": True}),
        ("predict -- --json", {"inputs": "--json", "format": "table"}),
        ("predict B - f.wav", {"inputs": "B - f.wav"}),
        ("verify -v", {"verbose": True}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_words_are_read_as_what_they_are(words: str, expected: dict[str, Any]) -> None:
    given = read(*words.split())
    for name, value in expected.items():
        found = given[name]
        assert (" ".join(found) if name == "inputs" else found) == (
            [Path(b) for b in value.split()] if name == "bundles" else value
        )


def test_the_verbose_option_stands_before_a_command_too() -> None:
    assert vars(build_parser().parse_args(["-v", "inspect"]))["verbose"] is True


def test_the_first_word_after_an_option_is_its_value_whatever_it_is() -> None:
    assert read("build", "--device", "pixel", "B")["device"] == ("pixel",)


@pytest.mark.parametrize("given", ["", "labels.csv", "--audio=clips", "1 2", "1 --audio=x"])
def test_all_that_is_missing_is_named(given: str) -> None:
    parser = Parser()
    parser.add_argument("labels", metavar="LABELS.csv")
    parser.add_argument("more", nargs="*")
    parser.add_argument("last", metavar="LAST")
    parser.add_argument("--audio", required=True)
    with pytest.raises(UsageError) as caught:
        parser.parse_args(given.split())
    expected = {
        "": "LABELS.csv, LAST, --audio", "labels.csv": "LAST, --audio",
        "--audio=clips": "LABELS.csv, LAST", "1 2": "--audio", "1 --audio=x": "LAST",
    }  # fmt: skip
    assert caught.value.expected == expected[given]


def test_commands_declare_nothing_that_is_not_read() -> None:
    for name, parser in commands():
        for action in parser._actions:
            if action.option_strings:
                assert action.nargs in (None, 0) or isinstance(action, Several), (name, action)
            else:
                assert action.nargs in (None, "?", "*"), (name, action)


def test_defaults_are_those_of_argparse() -> None:
    for name, parser in commands():
        places = [a for a in parser._actions if not a.option_strings and a.nargs is None]
        needed = [a.option_strings[0] for a in parser._actions if a.required and a.option_strings]
        words = [
            name,
            *(next(iter(a.choices or ["word"])) for a in places),
            *(f"{option}=word" for option in needed),
        ]
        expected = argparse.ArgumentParser.parse_args(build_parser(name), words)
        assert read(*words) == vars(expected)


@pytest.mark.parametrize("option", ["-v", "--verbose", "--verbos", "--quiet", "--qui"])
@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("export -o x --target nope", "--target: expected one of onnx-fp32, "),
        ("train none.csv -o x", ""),  # the encoder, a published one, need not be here
        ("train none.csv -o x --encoder none", "none.csv: expected a label table"),
        ("verify none", "none: expected "),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_every_command_takes_an_option_of_verbosity_before_it_and_after(
    option: str, words: str, refusal: str, place: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = [option, *words.split()] if place == "before" else [*words.split(), option]
    assert main(given) == 2
    assert f"edge-ser: error: {refusal}" in capsys.readouterr().err


def test_all_options_are_declared_for_help_and_advice() -> None:
    declared = build_parser().commands()
    for name in ("export", "train"):
        assert (
            declared[name]._options().keys()
            == build_parser(name).commands()[name]._options().keys()
        )
    assert "--target" in declared["export"]._options()
    assert "--learning-rate" in declared["train"]._options()


def test_what_is_not_installed_declares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "edge_ser_export"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "edge_ser_export", None)
    declared = build_parser().commands()
    assert "--target" not in declared["export"]._options()
    assert "--split" in declared["train"]._options()
    with pytest.raises(ImportError):
        build_parser("train")
