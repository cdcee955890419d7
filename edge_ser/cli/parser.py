"""argparse, but wrong use is one line as every other error, without a block of usage before it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import NoReturn

from edge_ser.errors import UsageError

_KINDS = {"int": "a whole number", "float": "a number"}
# argparse tells only a sentence. Sentence, then subject, expected and found in its words; what
# fits none of them is quoted as it is.
_SENTENCES = (
    (
        r"argument (?P<what>.+?): invalid choice: (?P<given>.+) \(choose from (?P<choices>.+)\)",
        ("{what}", "one of {choices}", "{given}"),
    ),
    (
        r"argument (?P<what>.+?): invalid (?P<kind>\w+) value: (?P<given>.+)",
        ("{what}", "{kind}", "{given}"),
    ),
    (r"argument (?P<what>.+?): expected (?P<need>.+)", ("{what}", "{need}", "none")),
    (r"the following arguments are required: (?P<need>.+)", ("command line", "{need}", "none")),
    (r"unrecognized arguments: (?P<given>.+)", ("command line", "known arguments only", "{given}")),
    (
        r"ambiguous option: (?P<given>.+?) could match (?P<choices>.+)",
        ("command line", "one of {choices}", "{given}"),
    ),
    (r"(?P<given>.*)", ("command line", "arguments as its help shows them", "{given}")),
)


class Parser(argparse.ArgumentParser):
    """A parser, and by argparse's own rule its subparsers, that raises `UsageError`."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse with a sentence about what is wrong.

        Raises:
            UsageError: always, with the sentence taken apart.
        """
        words, parts = next(
            (match.groupdict(), parts)
            for pattern, parts in _SENTENCES
            if (match := re.fullmatch(pattern, message, re.DOTALL))
        )
        if "kind" in words:
            words["kind"] = _KINDS.get(words["kind"], words["kind"])
        if "choices" in words:
            words["choices"] = words["choices"].replace("'", "")
        subject, expected, found = (part.format(**words) for part in parts)
        raise UsageError(subject, expected=expected, found=found, advice=f"see {self.prog} --help")


def add_verbose(parser: Parser, commands: Iterable[Parser]) -> None:
    """Declare -v, which may stand before the command or after it."""
    for place, default in ((parser, False), *((c, argparse.SUPPRESS) for c in commands)):
        place.add_argument(
            "-v",
            "--verbose",
            action="store_true",
            default=default,
            help="say more on stderr, and give the traceback of an error",
        )
