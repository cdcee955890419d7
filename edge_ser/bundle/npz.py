"""Arrays of an .npz file that comes from anywhere: numbers and short text, and no more than it has.

`numpy.load` makes room for the shape that a header says before it reads what is there, and lets
errors of its libraries through.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edge_ser.bundle.limits import MAX_GOLDEN_ARRAYS, MAX_GOLDEN_BYTES

# What the libraries behind `read_arrays` raise for damaged and hostile files.
DAMAGED = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    RecursionError,
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SUFFIX = ".npy"


def read_arrays(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """All arrays of a file, by name.

    Raises:
        ValueError, or another of `DAMAGED`: too much, damaged, or of objects.
    """
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if len(entries) > MAX_GOLDEN_ARRAYS or size > MAX_GOLDEN_BYTES:
            raise ValueError(f"{len(entries)} arrays of {size} bytes")
        for entry in entries:
            if not entry.filename.endswith(_SUFFIX) or entry.compress_type not in _METHODS:
                raise ValueError(f"an entry {entry.filename!r}")
            with archive.open(entry) as member:
                arrays[entry.filename.removesuffix(_SUFFIX)] = _read_array(member.read())
    return arrays


def _read_array(data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, is_fortran, dtype = npy.read_array_header_1_0(file)
    else:
        shape, is_fortran, dtype = npy.read_array_header_2_0(file)
    content = data[file.tell() :]
    if dtype.kind not in "iufU" or (is_fortran and len(shape) > 1):
        raise ValueError(f"an array of {dtype}")
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes for an array {shape} of {dtype}")
    if not dtype.itemsize:
        raise ValueError("an array of nothing")
    return np.frombuffer(content, dtype).reshape(shape).copy()
