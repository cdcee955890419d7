"""Foreign JSON as frozen dataclasses, by their annotations; what does not fit is refused by path.

Understood are `str`, `int`, `float`, `bool`, `Any`, `X | Y`, `tuple[T, ...]`, `tuple[T, U]`,
`dict[str, T]`, `Literal[...]` and dataclasses of these.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from dataclasses import dataclass
from functools import cache
from typing import (
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from edge_ser.errors import EdgeSerError

T = TypeVar("T")

# Kind -> what Python reads it from JSON as, and its name for people.
_JSON: dict[Any, tuple[type, str]] = {
    str: (str, "text"),
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a finite number"),
    tuple: (list, "a list"),
    dict: (dict, "an object"),
    type(None): (type(None), "null"),
}


def _why_none(error: Exception) -> str:
    """Why a text is no JSON, in words for who did not write it."""
    if isinstance(error, json.JSONDecodeError):
        if not error.doc.strip():
            return "nothing"
        place = f"line {error.lineno}, column {error.colno}"
        is_cut = error.pos >= len(error.doc.rstrip())
        return f"a text that ends too soon, at {place}" if is_cut else f"none at {place}"
    if isinstance(error, RecursionError):
        return "parts in one another without end"
    return str(error)


class OpenEnded:
    """Base of dataclasses whose further fields are skipped, as a later version may add some."""


@dataclass(frozen=True)
class Reader:
    """Reads documents of one kind.

    Attributes:
        error: class of what is raised.
        advice: what a user can do about a document that does not fit.
        strict: whether fields that no annotation names are refused, except by an `OpenEnded`
            class; otherwise they are skipped everywhere.
    """

    error: type[EdgeSerError]
    advice: str = ""
    strict: bool = True

    def parse(self, text: str | bytes, where: str) -> object:
        """JSON of any kind.

        Raises:
            EdgeSerError: `error`, as it is no JSON.
        """
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.error(
                where, expected="JSON", found=_why_none(error), advice=self.advice
            ) from error

    def read(self, kind: type[T], data: object, where: str) -> T:
        """Data as `kind` says.

        Args:
            kind: a dataclass, or another annotation of those understood.
            data: as `parse` gives it.
            where: named in errors; what lies inside is named behind it.

        Raises:
            EdgeSerError: `error`, saying where the data are otherwise.
        """
        return cast(T, self._value(kind, data, where))

    def _value(self, kind: Any, data: object, where: str) -> Any:
        if kind is Any:
            return data
        if dataclasses.is_dataclass(kind):
            return self._object(cast(type[Any], kind), data, where)
        origin, parts = get_origin(kind) or kind, get_args(kind)
        if origin in (Union, types.UnionType):
            fitting = [part for part in parts if _fits(part, data)]
            return self._value((fitting or self._wrong(kind, data, where))[0], data, where)
        if not _fits(kind, data):
            self._wrong(kind, data, where)
        if origin is float:
            return float(cast(float, data))
        if origin is tuple:
            items = cast(list[object], data)
            kinds = [parts[0]] * len(items) if parts[-1] is Ellipsis else parts
            return tuple(
                self._value(part, item, f"{where}[{i}]")
                for i, (part, item) in enumerate(zip(kinds, items, strict=True))
            )
        if origin is dict:
            table = cast(dict[str, object], data)
            return {key: self._value(parts[1], v, f"{where}: {key}") for key, v in table.items()}
        return data

    def _object(self, kind: type[Any], data: object, where: str) -> Any:
        if not isinstance(data, dict):
            self._wrong(kind, data, where)
        fields, hints = _fields(kind)  # type: ignore[arg-type]  # classes are hashable
        unknown = sorted(set(data) - set(fields))
        if unknown and self.strict and not issubclass(kind, OpenEnded):
            self._refuse(where, "known fields only", ", ".join(unknown))
        values = {}
        for name, required in fields.items():
            if name in data:
                values[name] = self._value(hints[name], data[name], f"{where}: {name}")
            elif required:
                self._refuse(where, f"a field `{name}`", "none")
        try:
            return kind(**values)
        except EdgeSerError as error:  # a value that its own class refuses, such as a rate of 0 Hz
            place = f"{where}: {error.subject}" if error.subject in fields else where
            raise self.error(
                place, expected=error.expected, found=error.found, advice=self.advice
            ) from error

    def _wrong(self, kind: Any, data: object, where: str) -> NoReturn:
        self._refuse(where, _words(kind), f"{data!r:.60}")

    def _refuse(self, where: str, expected: str, found: str) -> NoReturn:
        raise self.error(where, expected=expected, found=found, advice=self.advice)


@cache
def _fields(kind: type[Any]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Fields of a dataclass, with whether each must be there; and their annotations."""
    fields = {
        f.name: f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        for f in dataclasses.fields(kind)
        if f.init and not f.name.startswith("_")  # what a class keeps for itself is not read
    }
    return fields, get_type_hints(kind)


def _fits(kind: Any, data: object) -> bool:
    """Whether data are of a kind, what they hold aside."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return isinstance(data, str) and data in parts
    if dataclasses.is_dataclass(kind):
        return isinstance(data, dict)
    # bool is an int to Python, and not one to anybody else
    if isinstance(data, bool):
        return origin in (bool, Any)
    if origin is float:
        return isinstance(data, int | float) and _is_finite(data)
    if origin is tuple and parts[-1] is not Ellipsis:
        return isinstance(data, list) and len(data) == len(parts)
    return origin is Any or isinstance(data, _JSON[origin][0])


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond what a float holds
        return False


def _words(kind: Any) -> str:
    """A kind for people."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in parts if part is not type(None))
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"a list of {len(parts)}"
    return _JSON[dict if dataclasses.is_dataclass(kind) else origin][1]
