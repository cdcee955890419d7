"""How large what a pickle describes would be if it were written out, before anything reads it.

A pickle can say "twice what came before" a hundred times over: a tuple of a few hundred bytes that
has 2^100 parts. Nothing takes memory for it; but as the key of a dictionary it is hashed, and in an
error it is shown, part by part. torch's restricted unpickler does both. So its instructions are
followed here on sizes alone.
"""

from __future__ import annotations

import mmap
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import HASHED_PARTS, PICKLE_BYTES, TUPLE_PARTS, check_bound

# Before the pickled object a file of torch before 1.6 has three numbers and texts, and after it the
# names of its storages.
_PICKLES_OF_OLD_FILES = 5


@dataclass
class _Thing:
    """A value on the stack: what it would have of parts, and whether it is a name of code."""

    parts: int = 1
    is_name: bool = False


def check_written_out(path: Path, is_zip: bool) -> None:
    """Refuse a checkpoint whose pickle describes more than its reader can go through.

    Anything else that is wrong with it is left to the reader, which stops where this one does.

    Args:
        path: of the file.
        is_zip: whether it is one of torch since 1.6.

    Raises:
        CheckpointError: too large, or it calls what is no name.
        OSError, ValueError, zipfile.BadZipFile, NotImplementedError: the zip is damaged.
    """
    for content in _of_zip(path) if is_zip else _of_old(path):
        for _ in range(1 if is_zip else _PICKLES_OF_OLD_FILES):
            sizes = _Sizes(path)
            try:
                for word, argument, _position in pickletools.genops(content):
                    sizes.step(word.name, argument)
            except CheckpointError:
                raise
            except Exception:  # a damaged pickle: its reader says so
                break


def _of_zip(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if PurePosixPath(entry.filename).name == "data.pkl":
                check_bound("bytes of pickle", entry.file_size, PICKLE_BYTES, path)
                yield archive.read(entry)


def _of_old(path: Path) -> Iterator[Any]:
    if path.stat().st_size:  # else it cannot be mapped
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


class _Sizes:
    """What the instructions of torch's unpickler leave on the stack, in parts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[_Thing] = []
        self._below: list[list[_Thing]] = []
        self._memo: dict[int, _Thing] = {}
        self._hashed = 0

    def step(self, word: str, argument: Any) -> None:
        """Follow one instruction; an unknown one ends the reader, too."""
        if word in _STEPS:
            _STEPS[word](self, argument)
        elif word in _PUSHING:
            self._stack.append(_Thing(is_name=word == "GLOBAL"))
        elif word not in ("PROTO", "STOP"):
            raise ValueError(word)

    def _pop_mark(self) -> list[_Thing]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _hash(self, things: list[_Thing]) -> None:
        self._hashed += sum(thing.parts for thing in things)
        check_bound("parts of keys in a pickle", self._hashed, HASHED_PARTS, self._path)

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def join(self, items: list[_Thing]) -> None:
        parts = 1 + sum(item.parts for item in items)
        check_bound("parts of a tuple in a pickle", parts, TUPLE_PARTS, self._path)
        self._stack.append(_Thing(parts))

    def join_since_mark(self, _: object) -> None:
        self.join(self._pop_mark())

    def join_last(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError("too few values")
        del self._stack[-count:]
        self.join(items)

    def add(self, items: list[_Thing]) -> None:
        self._stack[-1].parts += sum(item.parts for item in items)

    def append(self, _: object) -> None:
        self.add([self._stack.pop()])

    def extend(self, _: object) -> None:
        self.add(self._pop_mark())

    def set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._hash([key])
        self.add([key, value])

    def set_items(self, _: object) -> None:
        items = self._pop_mark()
        self._hash(items[::2])
        self.add(items)

    def call(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not function.is_name:
            raise CheckpointError(
                self._path,
                expected="tensors and plain data only",
                found="a pickle that calls what has no name",
            )
        self._hash([arguments])  # a set or a counter may be made of them
        self._stack.append(_Thing(1 + arguments.parts))

    def load(self, _: object) -> None:
        self._hash([self._stack.pop()])
        self._stack.append(_Thing())

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])


_PUSHING_WORDS = """
GLOBAL NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BININT BININT1 BININT2
BINFLOAT BINUNICODE SHORT_BINSTRING LONG1
"""
_PUSHING = frozenset(_PUSHING_WORDS.split())
_STEPS: dict[str, Callable[[_Sizes, Any], None]] = {
    "MARK": _Sizes.mark,
    "TUPLE": _Sizes.join_since_mark,
    "TUPLE1": lambda sizes, _: sizes.join_last(1),
    "TUPLE2": lambda sizes, _: sizes.join_last(2),
    "TUPLE3": lambda sizes, _: sizes.join_last(3),
    "APPEND": _Sizes.append,
    "BUILD": _Sizes.append,
    "APPENDS": _Sizes.extend,
    "SETITEM": _Sizes.set_item,
    "SETITEMS": _Sizes.set_items,
    "REDUCE": _Sizes.call,
    "NEWOBJ": _Sizes.call,
    "BINPERSID": _Sizes.load,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Sizes.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Sizes.get),
}
