"""Two numbers out of a pickle, read as data: nothing is called, and no numpy object is built.

`train_norm_stat.pkl` is a pickle, which is a program. Python's unpickler runs it, and numpy's
objects trust the states that it gives them: a damaged type reads memory beyond its bytes. So the
few instructions that real files consist of are followed here, on numbers, text and bytes alone:
Python's floats, and numpy's scalars and arrays of float32 and float64, as versions 1 and 2 of
numpy write them in protocols 0 to 5.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ENCODE = "_codecs.encode"  # how protocols 0 to 2 spell bytes
_TYPE = "numpy.dtype"
_CLASS = "numpy.ndarray"
_SCALAR = "numpy.multiarray.scalar"
_EMPTY = "numpy.multiarray._reconstruct"  # of an array, which a BUILD fills
_FILLED = "numpy.numeric._frombuffer"  # an array of protocol 5
_NAMES = frozenset((_ENCODE, _TYPE, _CLASS, _SCALAR, _EMPTY, _FILLED))
_WIDTHS = {"f4": "f", "f8": "d"}  # numpy's name of a type -> that of `struct`
# Of a plain number's type, after version and byte order: no fields, no names, no alignment.
_PLAIN_TYPE = (None, None, None, -1, -1, 0)
# What pickles of such numbers are spelt with. Left out are, among others, the words that reserve
# memory for lengths they only claim; BYTEARRAY8 is read off the file, whatever it claims.
_PUSHING = """
INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT NONE NEWTRUE NEWFALSE EMPTY_TUPLE EMPTY_LIST
UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BYTEARRAY8
"""
_PUSH = frozenset(_PUSHING.split())
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "EMPTY_LIST": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SHOWN = 60  # characters of a foreign name in an error


class NotNumbersError(ValueError):
    """A pickle of something other than two numbers; its text says of what."""


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass
class _NumberType:
    """float32 or float64, whose byte order (`<` or `>`) comes after it."""

    width: str
    order: str = ""

    def numbers(self, data: object, count: int) -> tuple[float, ...]:
        form = f"{self.order}{count}{self.width}"
        if not self.order or not isinstance(data, bytes) or struct.calcsize(form) != len(data):
            raise NotNumbersError("a damaged number")
        return struct.unpack(form, data)


@dataclass
class _Array:
    """An array of no or one dimension, empty until its state comes."""

    content: float | tuple[float, ...] = ()


def read_pair(content: bytes) -> tuple[float, float]:
    """The two numbers of a pickled pair.

    Args:
        content: the pickle, of a size that the caller has limited.

    Raises:
        NotNumbersError: anything else, or a damaged pickle.
    """
    machine = _Machine()
    try:
        for word, argument, _ in pickletools.genops(content):
            machine.step(word.name, argument)
        result = machine.stack.pop()
    except NotNumbersError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as bad:
        raise NotNumbersError(f"a damaged pickle ({bad!r:.{_SHOWN}})") from bad
    pair = result.content if isinstance(result, _Array) else result
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise NotNumbersError("something other than two numbers")
    return _number(pair[0]), _number(pair[1])


def _number(value: object) -> float:
    content = value.content if isinstance(value, _Array) else value
    if isinstance(value, _Array) and isinstance(content, tuple) and len(content) == 1:
        content = content[0]
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise NotNumbersError("something other than numbers")
    try:
        return float(content)
    except OverflowError as error:
        raise NotNumbersError("an integer that no float holds") from error


class _Machine:
    """What the instructions leave on the stack; lists are tuples here, for nothing is shared."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, word: str, argument: Any) -> None:
        """Follow one instruction."""
        if word in _PUSH:
            value = _CONSTANTS.get(word, argument)
            self.stack.append(bytes(value) if isinstance(value, bytearray) else value)
        elif word in _TUPLES:
            self._join(len(self.stack) - _TUPLES[word])
        elif word in _STEPS:
            _STEPS[word](self, argument)
        elif word not in ("PROTO", "FRAME", "STOP"):
            raise NotNumbersError(f"a pickle with {word}")

    def _join(self, start: int) -> None:
        if start < 0:
            raise IndexError("too few values")
        self.stack[start:] = [tuple(self.stack[start:])]

    def mark(self, _: object) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self, _: object) -> None:
        self._join(self.marks.pop())

    def extend(self, _: object) -> None:
        self._join(self.marks.pop())
        more = self.stack.pop()
        self.stack.append((*self.stack.pop(), *more))

    def append(self, _: object) -> None:
        last = self.stack.pop()
        self.stack.append((*self.stack.pop(), last))

    def put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def name(self, argument: str | None) -> None:
        if argument is None:
            function, module = self.stack.pop(), self.stack.pop()
        else:
            module, function = argument.split(" ")
        if not isinstance(module, str) or not isinstance(function, str):
            raise NotNumbersError("a pickle that calls what has no name")
        text = f"{module}.{function}"
        # numpy 2 has renamed the package that it keeps these in
        known = text.replace("numpy._core.", "numpy.").replace("numpy.core.", "numpy.")
        if known not in _NAMES:
            raise NotNumbersError(f"a pickle that calls {text:.{_SHOWN}}")
        self.stack.append(_Name(known))

    def call(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or function.text not in _CALLS:
            raise NotNumbersError("a pickle that calls what is no function")
        self.stack.append(_CALLS[function.text](*arguments))

    def build(self, _: object) -> None:
        state, thing = self.stack.pop(), self.stack[-1]
        if isinstance(thing, _NumberType):
            version, order, *rest = state
            if version != 3 or order not in ("<", ">") or tuple(rest) != _PLAIN_TYPE:
                raise NotNumbersError("numbers of a type that is none of numpy's")
            thing.order = order
        elif isinstance(thing, _Array):
            _, shape, kind, _, data = state
            thing.content = _shaped(data, kind, shape)
        else:
            raise NotNumbersError("a pickle that changes what is no number")


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.since_mark,
    "LIST": _Machine.since_mark,
    "APPENDS": _Machine.extend,
    "APPEND": _Machine.append,
    **dict.fromkeys(("PUT", "BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET"), _Machine.get),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL"), _Machine.name),
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise NotNumbersError("a damaged number")
    return text.encode("latin1")


def _number_type(code: str, *copying: object) -> _NumberType:
    # text first: hashing or showing nested tuples that share parts would take for ever
    if not isinstance(code, str) or code not in _WIDTHS or copying not in ((), (False, True)):
        shown = code if isinstance(code, str) else type(code).__name__
        raise NotNumbersError(f"numbers of type {shown:.{_SHOWN}} instead of float32 or float64")
    return _NumberType(_WIDTHS[code])


def _scalar(kind: _NumberType, data: bytes) -> float:
    return kind.numbers(data, 1)[0]


def _empty_array(kind: _Name, *_: object) -> _Array:
    if kind != _Name(_CLASS):
        raise NotNumbersError("an array of a class of its own")
    return _Array()


def _filled_array(data: bytes, kind: _NumberType, shape: tuple[int, ...], order: str) -> _Array:
    return _Array(_shaped(data, kind, shape))


def _shaped(data: object, kind: _NumberType, shape: object) -> float | tuple[float, ...]:
    """The numbers of an array with no or one dimension, of one or two elements."""
    if not isinstance(kind, _NumberType):
        raise NotNumbersError("an array of no known type")
    if shape == ():
        return kind.numbers(data, 1)[0]
    if shape not in ((1,), (2,)):
        raise NotNumbersError("an array of more than two numbers")
    return kind.numbers(data, shape[0])


_CALLS: dict[str, Callable[..., Any]] = {
    _ENCODE: _bytes,
    _TYPE: _number_type,
    _SCALAR: _scalar,
    _EMPTY: _empty_array,
    _FILLED: _filled_array,
}
