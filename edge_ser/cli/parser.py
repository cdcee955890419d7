"""argparse declares the options and prints the help; what the user typed is read here.

argparse itself wants a command's arguments in one piece, lets an option of several values take
whatever follows it, and says what is wrong in sentences alone. Here options and arguments mix, an
option takes what is of its kind, and an error knows what was expected, what was found and what is
near to it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge_ser.errors import UsageError, near_name

_KINDS: dict[Any, str] = {int: "a whole number", float: "a number"}
_NUMBER = re.compile(r"-\.?\d")


class Several(argparse.Action):
    """An option of one value or more, which may be given again.

    Args:
        like: whether a word is a value of it. The first word always is; those after it only if
            they are like that, so that the command's own arguments are left.
        **declared: as of any action; `default` is no values.
    """

    def __init__(self, *, like: Callable[[str], bool], **declared: Any) -> None:
        super().__init__(**{"default": (), **declared, "nargs": "+"})
        self.like = like

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the values to those that are there."""
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), *(values or ())))


class Parser(argparse.ArgumentParser):
    """Declares as argparse does, and reads as said above; so do the parsers of its commands.

    Options take no value, one value, or, as `Several`, some; arguments are one, "?" or "*".
    """

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Read what was typed.

        Args:
            args: the words; None: those of the process.
            namespace: to be filled; None: a new one.

        Raises:
            UsageError: it cannot be meant.
        """
        read = argparse.Namespace() if namespace is None else namespace
        self._set_defaults(read)
        words = deque(sys.argv[1:] if args is None else args)
        commands = self._commands()
        places: list[str] = []
        given: set[str] = set()
        while words:
            word = words.popleft()
            if word == "--":
                places += words
                break
            if _is_option(word):
                given.add(self._read_option(word, words, read).dest)
            elif commands is None:
                places.append(word)
            else:
                return self._read_command(commands, word, words, read)
        missing = ["COMMAND"] if commands is not None else self._read_places(places, read)
        taken = self._taken(places, read) if missing else ""
        missing += [_label(a) for a in self._actions if a.required and a.dest not in given
                    and a.option_strings]  # fmt: skip
        if missing:
            raise self._refusal("command line", ", ".join(missing), taken or "none")
        return read

    def commands(self) -> dict[str, Parser]:
        """The parsers of its commands by name; empty where it has none."""
        commands = self._commands()
        return {} if commands is None else dict(commands.choices)

    def actions(self) -> list[argparse.Action]:
        """Its arguments and options, as they are declared."""
        return list(self._actions)

    # --- what is declared; argparse offers it under no public name

    def _commands(self) -> argparse._SubParsersAction[Parser] | None:
        kind = argparse._SubParsersAction
        return next((a for a in self._actions if isinstance(a, kind)), None)

    def _options(self) -> dict[str, argparse.Action]:
        return {name: a for a in self._actions for name in a.option_strings}

    def _set_defaults(self, read: argparse.Namespace) -> None:
        for action in self._actions:
            first = not hasattr(read, action.dest)  # of several options that set the same
            if first and argparse.SUPPRESS not in (action.dest, action.default):
                setattr(read, action.dest, action.default)
        for name, value in self._defaults.items():
            setattr(read, name, value)

    # --- what is typed

    def _read_command(
        self,
        commands: argparse._SubParsersAction[Parser],
        word: str,
        words: Iterable[str],
        read: argparse.Namespace,
    ) -> Any:
        if word not in commands.choices:
            expected = f"one of {', '.join(commands.choices)}"
            raise self._refusal("COMMAND", expected, repr(word), near_name(word, commands.choices))
        setattr(read, commands.dest, word)
        return commands.choices[word].parse_args([*words], read)

    def _read_option(
        self, word: str, words: deque[str], read: argparse.Namespace
    ) -> argparse.Action:
        """Read an option and its values off the words; returns which one it was."""
        name, value = _split(word)
        action = self._find_option(name)
        label = _label(action)
        if action.nargs == 0:
            if value is not None and word.startswith("--"):
                raise self._refusal(label, "no value", repr(value))
            if value:  # short ones in one word
                words.appendleft(f"-{value}")
            action(self, read, [], name)
            return action
        if value is None:
            if not words or _is_option(words[0]):
                raise self._refusal(label, _wanted(action), "none")
            value = words.popleft()
        values = [self._convert(action, value)]
        if isinstance(action, Several):
            while words and not _is_option(words[0]) and action.like(words[0]):
                values.append(self._convert(action, words.popleft()))
        action(self, read, values if isinstance(action, Several) else values[0], name)
        return action

    def _find_option(self, name: str) -> argparse.Action:
        """The option of a name, which may be the beginning of one."""
        options = self._options()
        if name in options:
            return options[name]
        begun = [o for o in options if o.startswith(name)] if name.startswith("--") else []
        if len({id(options[o]) for o in begun}) == 1:
            return options[begun[0]]
        if begun:
            raise self._refusal("command line", f"one of {', '.join(begun)}", name)
        commands = self._commands()
        if commands is not None and any(name in c._options() for c in commands.choices.values()):
            raise self._refusal("command line", f"COMMAND before {name}", "none")
        raise self._refusal(
            "command line", f"an option of {self.prog}", name, near_name(name, options)
        )

    def _read_places(self, words: list[str], read: argparse.Namespace) -> list[str]:
        """Read the arguments that are no options; returns the names of missing ones."""
        places = [a for a in self._actions if not a.option_strings]
        missing: list[str] = []
        rest = deque(words)
        for i, action in enumerate(places):
            later = sum(a.nargs is None for a in places[i + 1 :])
            room = max(0, len(rest) - later)
            if action.nargs == "*":
                values = [self._convert(action, rest.popleft()) for _ in range(room)]
                setattr(read, action.dest, values)
            elif rest and (action.nargs is None or room):
                setattr(read, action.dest, self._convert(action, rest.popleft()))
            elif action.nargs is None:
                missing.append(_label(action))
        if rest:
            names = " ".join(_label(a) for a in places)
            near = near_name(rest[0], (name.removeprefix("--") for name in self._options()))
            near = near and f"--{near}"
            raise self._refusal("command line", f"nothing beside {names}", rest[0], near)
        return missing

    def _taken(self, words: Sequence[str], read: argparse.Namespace) -> str:
        """As what the words were taken that are too few: which is missing, only the user knows."""
        needed = (a for a in self._actions if not a.option_strings and a.nargs is None)
        taken = [
            f"{_label(a)} {getattr(read, a.dest)}" for a, _ in zip(needed, words, strict=False)
        ]
        return f"{', '.join(taken)} alone" if taken else ""

    def _convert(self, action: argparse.Action, text: str) -> Any:
        kind: Callable[[str], Any] = action.type if callable(action.type) else str
        try:
            value = kind(text)
        except UsageError:
            raise
        except ValueError:
            expected = _KINDS.get(kind) or _wanted(action)
            raise self._refusal(_label(action), expected, repr(text)) from None
        if action.choices is not None and value not in action.choices:
            near = near_name(text, map(str, action.choices))
            raise self._refusal(_label(action), _wanted(action), repr(text), near)
        return value

    def _refusal(self, subject: str, expected: str, found: str, near: str = "") -> UsageError:
        where = f"see {self.prog} --help"
        advice = f"did you mean {near}? {where}" if near else where
        return UsageError(subject, expected=expected, found=found, advice=advice)


def _is_option(word: str) -> bool:
    """Whether a word is an option's name: a lone `-` is a stream, and numbers may be negative."""
    return word.startswith("-") and word != "-" and not _NUMBER.match(word)


def _split(word: str) -> tuple[str, str | None]:
    """Name and value of `--name=value`, `-nvalue` or `-n=value`; None for no value in the word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:].removeprefix("=") or None


def _label(action: argparse.Action) -> str:
    """What people call it."""
    if action.option_strings:
        return max(action.option_strings, key=len)
    return str(action.metavar or action.dest)


def _wanted(action: argparse.Action) -> str:
    if action.choices is not None:
        return f"one of {', '.join(map(str, action.choices))}"
    return _KINDS.get(action.type) or str(action.metavar or "a value")


def add_verbosity(parser: Parser, commands: Iterable[Parser]) -> None:
    """Declare -v and --quiet, which may stand before the command or after it."""
    for place, default in ((parser, False), *((c, argparse.SUPPRESS) for c in commands)):
        place.add_argument(
            "-v",
            "--verbose",
            action="store_true",
            default=default,
            help="say more on stderr, and give the traceback of an error",
        )
        place.add_argument(
            "--quiet",
            action="store_true",
            default=default,
            help="no progress and no warnings on stderr: errors alone",
        )
