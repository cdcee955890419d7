"""Options of the command line made from the fields of a dataclass, so that each is written once."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def add_fields(group: Any, kind: type[Any]) -> None:
    """Declare an option for each field of a dataclass.

    Args:
        group: parser, or group of it.
        kind: each of its fields has a default, and metadata "help", and perhaps "choices". What is
            on by default gets an option `--no-NAME`.
    """
    for field in dataclasses.fields(kind):
        name, words = field.name.replace("_", "-"), field.metadata["help"]
        if isinstance(field.default, bool):
            group.add_argument(
                f"--no-{name}" if field.default else f"--{name}",
                dest=field.name,
                action="store_false" if field.default else "store_true",
                help=words,
            )
        else:
            shown = f"{field.default:g}" if isinstance(field.default, float) else field.default
            group.add_argument(
                f"--{name}",
                type=type(field.default),
                default=field.default,
                choices=field.metadata.get("choices"),
                help=f"{words} (default {shown})",
            )


def read_fields(arguments: argparse.Namespace, kind: type[T]) -> T:
    """The dataclass that the options of `add_fields` say."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(arguments, name) for name in names})
