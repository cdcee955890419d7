"""An ONNX model of one product of matrices, written without the onnx package.

Weights must be constants of the model, or the runtime does not pack them for its kernels, and
their shapes are not known before a model is seen: so no file can be shipped. Devices have no onnx
package. What remains are the few fields of onnx.proto3 below; `bundle.external_data` reads that
format.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6  # TensorProto.DataType
_TYPES = {"float32": _FLOAT, "uint8": _UINT8, "int8": _INT8}


def matmul_model(a: NDArray[Any], weights: NDArray[Any]) -> bytes:
    """An ONNX model `y [m, n] = a [m, k] x weights [k, n]`, the latter constant.

    Args:
        a: tells the input's type and shape: float32, or uint8 for a product of integers.
        weights: float32 or int8.
    """
    integer = a.dtype == np.uint8
    node = _text(1, "a") + _text(1, "b") + _text(2, "y")
    node += _text(4, "MatMulInteger" if integer else "MatMul")
    tensor = b"".join(_number(1, d) for d in weights.shape)
    tensor += _number(2, _TYPES[weights.dtype.name]) + _text(8, "b") + _field(9, weights.tobytes())
    y = _value("y", _INT32 if integer else _FLOAT, (a.shape[0], weights.shape[1]))
    graph = _field(1, node) + _text(2, "product") + _field(5, tensor)
    graph += _field(11, _value("a", _TYPES[a.dtype.name], a.shape)) + _field(12, y)
    opset = _text(1, "") + _number(2, 13)
    return _number(1, 8) + _field(7, graph) + _field(8, opset)  # IR version 8


def _value(name: str, kind: int, shape: Iterable[int]) -> bytes:
    sizes = b"".join(_field(1, _number(1, size)) for size in shape)
    return _text(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, sizes)))


def _varint(value: int) -> bytes:
    more = []
    while value > 0x7F:
        more.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*more, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
