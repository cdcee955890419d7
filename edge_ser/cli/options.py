"""Options of the command line made from the fields of a dataclass, so that each is written once."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def add_fields(group: Any, kind: type[Any]) -> None:
    """Declare an option for each field of a dataclass; what is not given is None until it is read.

    Args:
        group: parser, or group of it.
        kind: each of its fields has a default, and metadata "help", and perhaps "choices" and
            "shown", the default in words. What is on by default gets an option `--no-NAME`.
    """
    for field in dataclasses.fields(kind):
        words = field.metadata["help"]
        if isinstance(field.default, bool):
            group.add_argument(
                _option(field),
                dest=field.name,
                action="store_false" if field.default else "store_true",
                default=None,
                help=words,
            )
        else:
            number = isinstance(field.default, float)
            shown = f"{field.default:g}" if number else field.default
            group.add_argument(
                _option(field),
                type=type(field.default),
                choices=field.metadata.get("choices"),
                help=f"{words} (default {field.metadata.get('shown') or shown})",
            )


def _option(field: dataclasses.Field[Any]) -> str:
    """Its name on the command line."""
    return f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"


def _given(arguments: argparse.Namespace, kind: type[Any]) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(kind) if getattr(arguments, f.name) is not None]


def read_fields(arguments: argparse.Namespace, kind: type[T]) -> T:
    """The dataclass that the options of `add_fields` say."""
    return kind(**{f.name: getattr(arguments, f.name) for f in _given(arguments, kind)})


def given_words(arguments: argparse.Namespace, kind: type[Any]) -> list[str]:
    """The options of `add_fields` that were given, as words of a command line."""
    words: list[str] = []
    for field in _given(arguments, kind):
        flag = isinstance(field.default, bool)
        words += [_option(field)] if flag else [_option(field), str(getattr(arguments, field.name))]
    return words
