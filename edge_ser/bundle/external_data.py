"""Which files an ONNX model reads its weights from, without the onnx package.

An ONNX file can name other files (external data). A bundle must not be able to make a runtime
read outside itself, so the names are read here, straight from the protocol buffer, before any
runtime sees the file. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from edge_ser.errors import BundleError

# message -> {field number: message it holds}; what is not listed cannot hold a tensor
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor",
                  23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
    "Entry": {},
}  # fmt: skip
_MAX_DEPTH = 64


def external_files(path: Path) -> set[str]:
    """Locations named by external data anywhere in an ONNX file.

    Raises:
        BundleError: the file is not a readable protocol buffer.
    """
    if path.stat().st_size == 0:
        raise BundleError(path, expected="an ONNX model", found="an empty file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return set(_walk(data, 0, len(data), "Model", 0))
        except (IndexError, ValueError, UnicodeDecodeError, OverflowError) as error:
            raise BundleError(
                path, expected="an ONNX model", found=f"a damaged file ({error})"
            ) from error


def _walk(data: mmap.mmap, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    children = _CHILDREN[message]
    entry: dict[int, bytes] = {}
    position = start
    while position < end:
        key, position = _varint(data, position, end)
        if key >> 32:  # a parser that cuts it to 32 bits would see another field
            raise ValueError("a field number beyond 29 bits")
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, position = _varint(data, position, end)
        elif wire == 1:
            position += 8
        elif wire == 5:
            position += 4
        elif wire == 2:
            size, position = _varint(data, position, end)
            if position + size > end:
                raise ValueError("a field ends after its message")
            if number in children:
                yield from _walk(data, position, position + size, children[number], depth + 1)
            elif message == "Entry":
                entry[number] = data[position : position + size]
            position += size
        else:
            raise ValueError(f"wire type {wire}")
    if position != end:
        raise ValueError("a field ends after its message")
    if entry.get(1) == b"location":
        yield entry.get(2, b"").decode()


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        if position >= end or shift > 63:
            raise ValueError("a number ends after its message")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
