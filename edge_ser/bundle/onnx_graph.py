"""What an ONNX file holds, read straight from the protocol buffer, without trusting it.

An ONNX file can name other files, run loops and functions of its own, and call code of any domain;
and what is called .onnx need not be ONNX. So it is read here, before any runtime sees the file,
and whatever no graph of an export has is refused. Field numbers are those of onnx.proto3. Weights
are not read: a graph of 300 nodes takes 2 ms.
"""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from edge_ser.bundle.limits import MAX_GRAPH_FIELDS
from edge_ser.errors import BundleError

# How a field may be encoded: wire types of protocol buffers.
_NUMBER, _FLOAT, _TEXT = (0,), (5,), (2,)
_NUMBERS, _FLOATS, _DOUBLES = (0, 2), (5, 2), (1, 2)
# Message -> its fields: the message that one holds, or how it is encoded. A field that is encoded
# otherwise is another one to some parsers, and nothing to others.
_FIELDS: dict[str, dict[int, str | tuple[int, ...]]] = {
    "model": {1: _NUMBER, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: _NUMBER, 6: _TEXT, 7: "graph",
              8: "opset", 14: _TEXT},
    "graph": {1: "node", 2: _TEXT, 5: "tensor", 10: _TEXT, 11: "value", 12: "value", 13: _TEXT,
              16: _TEXT},
    "node": {1: _TEXT, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: "attribute", 6: _TEXT, 7: _TEXT, 9: _TEXT},
    "attribute": {1: _TEXT, 2: _FLOAT, 3: _NUMBER, 4: _TEXT, 5: "tensor", 7: _FLOATS, 8: _NUMBERS,
                  9: _TEXT, 13: _TEXT, 20: _NUMBER},
    "tensor": {1: _NUMBERS, 2: _NUMBER, 4: _FLOATS, 5: _NUMBERS, 7: _NUMBERS, 8: _TEXT, 9: _TEXT,
               10: _DOUBLES, 11: _NUMBERS, 12: _TEXT, 13: "entry", 14: _NUMBER, 16: _TEXT},
    "entry": {1: _TEXT, 2: _TEXT},
    "opset": {1: _TEXT, 2: _NUMBER},
    "value": {1: _TEXT, 2: "type", 3: _TEXT, 4: _TEXT},
    "type": {1: "tensor type", 6: _TEXT},
    "tensor type": {1: _NUMBER, 2: "shape"},
    "shape": {1: "dimension"},
    "dimension": {1: _NUMBER, 2: _TEXT, 3: _TEXT},
}  # fmt: skip
# The same as they begin in a file: field number and wire type in one -> wire type.
_TAGS = {
    message: {
        number << 3 | wire: wire
        for number, kind in fields.items()
        for wire in (_TEXT if isinstance(kind, str) else kind)
    }
    for message, fields in _FIELDS.items()
}
# What other fields are, for people.
_OTHER_FIELDS = {
    ("model", 20): "training",
    ("model", 25): "functions",
    ("graph", 15): "sparse weights",
    ("model", 26): "configurations of devices",
    ("graph", 14): "ranges of quantised values",
    ("node", 8): "an overload",
    ("node", 10): "configurations of devices",
    ("attribute", 10): "several tensors in an attribute",
    ("attribute", 14): "a type in an attribute",
    ("attribute", 15): "types in an attribute",
    ("attribute", 21): "an attribute of a function",
    ("tensor", 3): "weights in segments",
    ("attribute", 6): "a graph within a node",
    ("attribute", 11): "graphs within a node",
    ("attribute", 22): "sparse weights",
    ("attribute", 23): "sparse weights",
    ("tensor", 6): "text as weights",
    ("type", 4): "sequences",
    ("type", 5): "maps",
    ("type", 8): "sparse tensors",
    ("type", 9): "optional values",
}
_TYPED_DATA = (4, 5, 7, 10, 11)
# TensorProto.DataType -> its name, as numpy has it where numpy does, and bits of an element.
_TYPES = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16),
    6: ("int32", 32), 7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64),
    12: ("uint32", 32), 13: ("uint64", 64), 16: ("bfloat16", 16), 17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8), 20: ("float8e5m2fnuz", 8), 21: ("uint4", 4),
    22: ("int4", 4),
}  # fmt: skip
_MAX_RANK = 16
_EXTERNAL_KEYS = {b"location", b"offset", b"length", b"checksum"}


class Tensor(NamedTuple):
    """An input or output: numpy's name of its type, and a number or None (any) per axis."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass
class GraphFacts:
    """What is known of a graph before it is loaded.

    Attributes:
        operators: (domain, name), "" being ONNX's own domain.
        domains: that it imports.
        inputs: by name.
        outputs: by name.
        external: bytes of weights by the file that holds them, as the graph names it.
    """

    operators: set[tuple[str, str]] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    external: dict[str, int] = field(default_factory=dict)


def read_graph_file(file: BinaryIO, where: object) -> GraphFacts:
    """As `read_graph`, of an open file."""
    if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
        return read_graph(b"", where)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return read_graph(data, where)


def read_graph(data: bytes | mmap.mmap, where: object) -> GraphFacts:
    """Read all of an ONNX file but its weights.

    Args:
        data: of the file.
        where: named in errors.

    Raises:
        BundleError: no ONNX model, or one with parts that no export writes.
    """
    if not len(data):
        raise BundleError(where, expected="an ONNX model", found="an empty file")
    reader = _Reader(data)
    try:
        reader.model()
    except _ForeignPartError as error:
        raise BundleError(
            where,
            expected="a graph as exports write it",
            found=str(error),
            advice="do not use this bundle",
        ) from error
    except (IndexError, ValueError, OverflowError) as error:
        raise BundleError(
            where, expected="an ONNX model", found=f"a damaged or other file ({error})"
        ) from error
    return reader.facts


class GraphNode(NamedTuple):
    """A node of a graph: its name, its operator, and the tensors that it reads and writes."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_nodes(data: bytes) -> list[GraphNode]:
    """The nodes of a graph, in the order in which they are written: each after what it reads.

    Args:
        data: of an ONNX file that `read_graph` has read.
    """
    reader = _Reader(data)
    graph = reader._only(reader._fields("model", 0, len(data)), 7, "graph")
    places = [(a, b) for number, a, b in reader._fields("graph", *graph) if number == 1]
    nodes = []
    for place in places:
        texts: dict[int, list[str]] = {}
        for number, a, b in reader._fields("node", *place):
            if number <= 4:
                texts.setdefault(number, []).append(reader._text(a, b))
        inputs, outputs, name, operator = (texts.get(number, []) for number in (1, 2, 3, 4))
        nodes.append(GraphNode("".join(name), "".join(operator), tuple(inputs), tuple(outputs)))
    return nodes


class _ForeignPartError(Exception):
    """Sound, and nothing that an export writes."""


# Of a field: its number, the value of a number or where its content begins, and where that ends.
_Field = tuple[int, int, int]


class _Reader:
    """Walks the messages of one file."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self._field_count = 0
        self.facts = GraphFacts()

    def _fields(self, message: str, start: int, end: int) -> list[_Field]:
        """The fields of a message, all of which are known; of a number the end is -1."""
        data, tags = self._data, _TAGS[message]
        fields: list[_Field] = []
        fields_left = MAX_GRAPH_FIELDS - self._field_count
        position = start
        while position < end:
            tag = data[position]
            position += 1
            if tag > 0x7F:
                tag, position = self._varint(position - 1, end)
            wire = tags.get(tag)
            if wire == 2:
                size = data[position]
                position += 1
                if size > 0x7F:
                    size, position = self._varint(position - 1, end)
                fields.append((tag >> 3, position, position + size))
                position += size
            elif wire == 0:
                value, position = self._varint(position, end)
                fields.append((tag >> 3, value, -1))
            elif wire is None:
                _refuse_tag(message, tag)
            else:
                size = 8 if wire == 1 else 4
                fields.append((tag >> 3, position, position + size))
                position += size
            if len(fields) > fields_left:
                raise _ForeignPartError(f"more than {MAX_GRAPH_FIELDS} fields")
        if position != end:
            raise ValueError("a field ends after its message")
        self._field_count += len(fields)
        return fields

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        data = self._data
        value = shift = 0
        while True:
            if position >= end or shift > 63:
                raise ValueError("a number ends after its message")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7

    def _text(self, start: int, end: int) -> str:
        return self._data[start:end].decode()

    def _only(self, fields: list[_Field], number: int, message: str) -> tuple[int, int]:
        """Where the one message of a kind is."""
        places = [(start, end) for n, start, end in fields if n == number]
        if len(places) != 1:
            raise ValueError(f"{len(places)} of {message}")
        return places[0]

    def model(self) -> None:
        """All of the file."""
        fields = self._fields("model", 0, len(self._data))
        if not any(number == 1 for number, _, _ in fields):
            raise ValueError("no version of ONNX")
        for number, start, end in fields:
            if number == 8:
                domain = ""
                for part, a, b in self._fields("opset", start, end):
                    if part == 1:
                        domain = self._text(a, b)
                self.facts.domains.add(domain)
        self._graph(*self._only(fields, 7, "graph"))

    def _graph(self, start: int, end: int) -> None:
        for number, a, b in self._fields("graph", start, end):
            if number == 1:
                self._node(a, b)
            elif number == 5:
                self._tensor(a, b)
            elif number in (11, 12):
                name, tensor = self._value(a, b)
                named = self.facts.inputs if number == 11 else self.facts.outputs
                if name in named:
                    raise ValueError(f"two values {name!r}")
                named[name] = tensor

    def _node(self, start: int, end: int) -> None:
        domain = operator = ""
        for number, a, b in self._fields("node", start, end):
            if number == 4:
                operator = self._text(a, b)
            elif number == 7:
                domain = self._text(a, b)
            elif number == 5:
                for part, c, d in self._fields("attribute", a, b):
                    if part == 5:
                        self._tensor(c, d)
        self.facts.operators.add((domain, operator))

    def _tensor(self, start: int, end: int) -> None:
        """Weights, of which as many bytes must be there as their shape says."""
        shape: list[int] = []
        kind = raw = typed = 0
        external: dict[bytes, bytes] = {}
        for number, a, b in self._fields("tensor", start, end):
            if number == 1:
                shape += [a] if b < 0 else self._packed(a, b)
            elif number == 2:
                kind = a
            elif number == 9:
                raw += b - a
            elif number in _TYPED_DATA:
                typed += 1 if b < 0 else b - a
            elif number == 13:
                self._entry(a, b, external)
        if kind not in _TYPES:
            raise _ForeignPartError(f"weights of type {kind}")
        if len(shape) > _MAX_RANK:
            raise _ForeignPartError(f"weights of {len(shape)} dimensions")
        bits = math.prod(shape) * _TYPES[kind][1]
        needed = -(-bits // 8)
        if external:
            if b"location" not in external:
                raise ValueError("weights elsewhere, without a place")
            location = external[b"location"].decode()
            self.facts.external[location] = self.facts.external.get(location, 0) + needed
        elif needed != raw if raw else math.prod(shape) > 2 * typed:
            raise ValueError(f"weights of {needed} bytes with {raw or typed} there")

    def _packed(self, position: int, end: int) -> list[int]:
        numbers = []
        while position < end:
            value, position = self._varint(position, end)
            numbers.append(value)
        return numbers

    def _entry(self, start: int, end: int, external: dict[bytes, bytes]) -> None:
        key = value = b""
        for number, a, b in self._fields("entry", start, end):
            if number == 1:
                key = self._data[a:b]
            else:
                value = self._data[a:b]
        if key not in _EXTERNAL_KEYS:
            raise _ForeignPartError(f"weights elsewhere by {key!r:.40}")
        if key in external:
            raise ValueError("weights in two places")
        external[key] = value

    def _value(self, start: int, end: int) -> tuple[str, Tensor]:
        name, fields = "", self._fields("value", start, end)
        for number, a, b in fields:
            if number == 1:
                name = self._text(a, b)
        inner = self._fields("type", *self._only(fields, 2, "type"))
        tensor = self._fields("tensor type", *self._only(inner, 1, "tensor type"))
        kind = next((a for number, a, _ in reversed(tensor) if number == 1), 0)
        if kind not in _TYPES:
            raise _ForeignPartError(f"a value of type {kind}")
        shape = self._fields("shape", *self._only(tensor, 2, "shape"))
        return name, Tensor(_TYPES[kind][0], tuple(self._dimension(a, b) for _, a, b in shape))

    def _dimension(self, start: int, end: int) -> int | None:
        size: int | None = None
        for number, a, _ in self._fields("dimension", start, end):
            if number != 3:  # of a number and a name, the later counts
                size = a if number == 1 else None
        return size


def _refuse_tag(message: str, tag: int) -> None:
    """Say what a field is that no export writes.

    Raises:
        _ForeignPartError: it is one of ONNX.
        ValueError: it is not, or not in this encoding.
    """
    number, wire = tag >> 3, tag & 7
    if tag >> 32:  # a parser that cuts it to 32 bits would see another field
        raise ValueError("a field number beyond 29 bits")
    if (message, number) in _OTHER_FIELDS:
        raise _ForeignPartError(_OTHER_FIELDS[message, number])
    raise ValueError(f"field {number} of wire type {wire} in the {message}")
