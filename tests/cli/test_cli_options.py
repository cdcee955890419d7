"""Options made from the fields of a dataclass."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from edge_ser.cli import build_parser, train
from edge_ser.cli.options import add_fields, given_words, read_fields
from edge_ser_export.training.config import TrainConfig


@dataclass(frozen=True)
class Settings:
    """One field of each kind."""

    count: int = field(default=3, metadata={"help": "how many"})
    learning_rate: float = field(default=1e-5, metadata={"help": "of it"})
    form: str = field(default="a", metadata={"help": "which", "choices": ("a", "b")})
    fast: bool = field(default=True, metadata={"help": "slowly"})
    loud: bool = field(default=False, metadata={"help": "aloud"})


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(exit_on_error=False)
    add_fields(made, Settings)
    return made


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("", {}),
        ("--count 5", {"count": 5}),
        ("--learning-rate 0.5", {"learning_rate": 0.5}),
        ("--form b --no-fast", {"form": "b", "fast": False}),
        ("--loud", {"loud": True}),
    ],
)
def test_options_are_the_fields(words: str, changes: dict[str, Any]) -> None:
    arguments = parser().parse_args(words.split())
    read = read_fields(arguments, Settings)
    assert read == replace(Settings(), **changes)
    again = given_words(arguments, Settings)
    assert again == words.split(), "what was given and nothing else"


@pytest.mark.parametrize("words", ["--form c", "--count 1.5", "--learning-rate x"])
def test_what_the_field_does_not_take_is_refused(words: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        parser().parse_args(words.split())


def test_help_says_the_default_once_and_shortly() -> None:
    text = parser().format_help()
    for words in ("how many (default 3)", "of it (default 1e-05)", "which (default a)"):
        assert words in text
    assert "--no-fast" in text and "--loud" in text


def test_training_has_every_field_with_its_default() -> None:
    given = ["train", "labels.csv", "--audio", "clips"]
    arguments = build_parser("train").parse_args(given)
    assert read_fields(arguments, TrainConfig) == TrainConfig()
    assert all(f.metadata["help"] for f in fields(TrainConfig))
    assert arguments.run is train.run


def test_training_takes_a_changed_field(cli: Callable[..., Any]) -> None:
    given = ["train", "l.csv", "--audio", "c", "--no-bfloat16", "--ema", "0.9", "--seed", "3"]
    read = read_fields(build_parser("train").parse_args(given), TrainConfig)
    assert read == replace(TrainConfig(), bfloat16=False, ema=0.9, seed=3)
    line = cli("train", "l.csv", "--audio", "c", "--schedule", "odd").error()
    assert "--schedule: expected one of constant, cosine, found 'odd'" in line
    assert "expected LABELS.csv, found none" in cli("-v", "train").err
