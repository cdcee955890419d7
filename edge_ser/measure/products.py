"""The machine's limit: matrix products alone, of the shapes that a model is made of.

A model's time says little without what the processor could do at best. Here the products that a
graph really executes are read from ONNX Runtime's profile, and the same products are timed alone:
constant weights, packed at loading, as in the graph. Achieved over peak is then the share of the
time that a perfect graph would need.

One multiply-accumulate counts as two operations.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import MissingExtraError, UsageError
from edge_ser.host.offline import import_onnxruntime

Kind = Literal["fp32", "int8"]
Shape = tuple[int, int, int]  # m, k, n of [m, k] x [k, n]
KINDS: tuple[Kind, ...] = ("fp32", "int8")
# WavLM-base, 5 s of speech, 249 frames: attention's projections, and both feed-forward layers
WAVLM_BASE: dict[Shape, int] = {(249, 768, 768): 48, (249, 768, 3072): 12, (249, 3072, 768): 12}
_FLOAT_PRODUCTS = {"MatMul", "FusedMatMul", "Gemm", "FusedGemm"}
_INTEGER_PRODUCTS = {
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "QLinearMatMul",
    "QGemm",
}
_CONVOLUTIONS = {"Conv", "FusedConv"}


@dataclass(frozen=True)
class Product:
    """One product of one run: `count` times `[m, k] x [k, n]`.

    Attributes:
        node: its name in the graph.
        operator: as executed, after the runtime's own fusions.
        kind: of the arithmetic: "int8", or the runtime's name of a float type: "float", "float16".
        count: how many of them the operator does: rows of a batch times heads, or groups.
        m: rows of the result.
        k: length of the sums.
        n: columns of the result.
    """

    node: str
    operator: str
    kind: str
    count: int
    m: int
    k: int
    n: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.count * self.m * self.k * self.n


def products(graph: Path, inputs: Mapping[str, NDArray[Any]]) -> list[Product]:
    """The products of one run, as ONNX Runtime executes them after its rewriting of the graph.

    Args:
        graph: ONNX file.
        inputs: by name.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        session = _open(str(graph), 1, Path(folder) / "profile")
        session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            product = _product(event["name"].removesuffix("_kernel_time"), event["args"])
            if product is not None:
                found.append(product)
    return found


def _product(node: str, facts: dict[str, Any]) -> Product | None:
    operator = facts["op_name"]
    if operator not in _FLOAT_PRODUCTS | _INTEGER_PRODUCTS | _CONVOLUTIONS:
        return None
    inputs = [shape for _, shape in _shapes(facts["input_type_shape"])]
    (kind, result), *_ = _shapes(facts["output_type_shape"])
    if operator in _CONVOLUTIONS:
        # weights are [out, in / groups, taps...]; as a product, taps are unrolled into the sums
        out, *taps = inputs[1]
        groups = inputs[0][1] // taps[0]
        rows = math.prod(result) // out
        return Product(node, operator, kind, groups, rows, math.prod(taps), out // groups)
    integer = operator in _INTEGER_PRODUCTS
    m, n = (1, *result)[-2:]
    # the sums' length: the side of the first factor that is not the result's rows; either may be
    # transposed, and a batch of one may meet many
    rows_or_k, k = (1, *inputs[0])[-2:]
    k = k if rows_or_k == m else rows_or_k
    second = inputs[3 if operator.startswith("Q") else 1 :][:1]
    if second and math.prod(second[0][:-2]) > 1:  # a batch of second factors
        return Product(node, operator, "int8" if integer else kind, math.prod(result[:-2]), m, k, n)
    # weights, or packed at loading and not told: all rows of the batch share them
    rows = math.prod(result[:-1])
    return Product(node, operator, "int8" if integer else kind, 1, rows, k, n)


def _shapes(entries: list[dict[str, list[int]]]) -> list[tuple[str, list[int]]]:
    return [next(iter(entry.items())) for entry in entries]


def heaviest(found: Iterable[Product], kind: Kind, share: float = 0.9) -> dict[Shape, int]:
    """The shapes that make up most of the work of a kind, and how often each is computed.

    Args:
        found: by `products`.
        kind: of the arithmetic.
        share: of the multiply-accumulates that is enough.

    Returns:
        heaviest first; empty where the graph has no product of the kind.
    """
    name = {"fp32": "float", "int8": "int8"}[kind]
    counts: Counter[Shape] = Counter()
    for p in found:
        if p.kind == name:
            counts[p.m, p.k, p.n] += p.count
    ranked = sorted(counts, key=lambda s: -counts[s] * math.prod(s))
    total, done = sum(counts[s] * math.prod(s) for s in ranked), 0
    kept: dict[Shape, int] = {}
    for shape in ranked:
        if done >= share * total:
            break
        kept[shape] = counts[shape]
        done += counts[shape] * math.prod(shape)
    return kept


class Gemms:
    """Products alone, to be timed in turn with the systems that they limit.

    Args:
        kind: "fp32", or "int8": unsigned activations, signed weights, sums of 32 bits.
        threads: for one product.
        shapes: `(m, k, n)` of `[m, k] x [k, n]`, each with how often it counts.

    Raises:
        UsageError: unknown kind, no shapes, sizes or threads below 1.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, kind: Kind, threads: int, shapes: Mapping[Shape, int] = WAVLM_BASE) -> None:
        if kind not in KINDS:
            raise UsageError("kind", expected=f"one of {', '.join(KINDS)}", found=str(kind))
        if threads < 1:
            raise UsageError("threads", expected="at least 1", found=str(threads))
        if not shapes or min(min(*s, c) for s, c in shapes.items()) < 1:
            raise UsageError("shapes", expected="sizes and counts of at least 1", found=f"{shapes}")
        self.kind, self.shapes = kind, dict(shapes)
        self.operations = 2 * sum(math.prod(s) * c for s, c in shapes.items())
        rng = np.random.default_rng(0)
        self._sessions = []
        for m, k, n in shapes:
            a: NDArray[Any]
            if kind == "fp32":
                a = rng.standard_normal((m, k), np.float32)
                weights = rng.standard_normal((k, n), np.float32)
            else:
                a = rng.integers(0, 256, (m, k), np.uint8)
                # seven bits: without VNNI, sums of two products of eight would saturate
                weights = rng.integers(-64, 65, (k, n), np.int8)
            self._sessions.append((_open(matmul_model(a, weights), threads), {"a": a}))

    def run(self) -> float:
        """Do every shape once; seconds for all of them, each as often as it counts."""
        total = 0.0
        for (session, inputs), count in zip(self._sessions, self.shapes.values(), strict=True):
            started = time.perf_counter()
            session.run(None, inputs)
            total += count * (time.perf_counter() - started)
        return total

    def run_all(self) -> None:
        """Do every shape as often as it counts, to be timed from outside."""
        for (session, inputs), count in zip(self._sessions, self.shapes.values(), strict=True):
            for _ in range(count):
                session.run(None, inputs)


def gemm_peak(
    kind: Kind,
    threads: int,
    shapes: Mapping[Shape, int] = WAVLM_BASE,
    repetitions: int = 20,
) -> float:
    """Operations per second of products alone: the best of several runs, as a limit should be.

    Args:
        kind: of the arithmetic.
        threads: for one product.
        shapes: see `Gemms`; those of a model come from `heaviest(products(...), kind)`.
        repetitions: after one run that warms up.

    Returns:
        GOP/s: 1e9 operations per second, two for one multiply-accumulate.

    Raises:
        UsageError: see `Gemms`; also repetitions below 1.
        MissingExtraError: onnxruntime is not installed.
    """
    if repetitions < 1:
        raise UsageError("repetitions", expected="at least 1", found=str(repetitions))
    gemms = Gemms(kind, threads, shapes)
    gemms.run()
    return gemms.operations / min(gemms.run() for _ in range(repetitions)) / 1e9


def _open(model: str | bytes, threads: int, profile: Path | None = None) -> Any:
    try:
        ort = import_onnxruntime()
    except ImportError as error:
        raise MissingExtraError("measuring the peak", "onnxruntime", "") from error
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


# --- a model of one product, without the onnx package
#
# Weights must be constants of the model, or the runtime does not pack them for its kernels, and
# their shapes are not known before a model is seen: so no file can be shipped. Devices have no
# onnx package. What remains are the few fields of onnx.proto3 below; `onnx_scan` reads the same.

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
