"""Which products of matrices a graph does, as ONNX Runtime executes them.

They are read from the runtime's own profile of a run, after its rewriting of the graph. One
multiply-accumulate counts as two operations.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from edge_ser.host.offline import import_onnxruntime
from edge_ser.scratch import scratch_folder

Kind = Literal["fp32", "int8"]
Shape = tuple[int, int, int]  # m, k, n of [m, k] x [k, n]
KINDS: tuple[Kind, ...] = ("fp32", "int8")
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
        LibraryError: onnxruntime is not installed, or does not load.
    """
    with scratch_folder() as folder:
        session = cpu_session(str(graph), 1, folder / "profile")
        session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    computed = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            product = _product(event["name"].removesuffix("_kernel_time"), event["args"])
            if product is not None:
                computed.append(product)
    return computed


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


def heaviest(all_products: Iterable[Product], kind: Kind, share: float = 0.9) -> dict[Shape, int]:
    """The shapes that make up most of the work of a kind, and how often each is computed.

    Args:
        all_products: by `products`.
        kind: of the arithmetic.
        share: of the multiply-accumulates that is enough.

    Returns:
        heaviest first; empty where the graph has no product of the kind.
    """
    name = {"fp32": "float", "int8": "int8"}[kind]
    counts: Counter[Shape] = Counter()
    for p in all_products:
        if p.kind == name:
            counts[p.m, p.k, p.n] += p.count
    ranked = sorted(counts, key=lambda s: -counts[s] * math.prod(s))
    total, covered = sum(counts[s] * math.prod(s) for s in ranked), 0
    heavy: dict[Shape, int] = {}
    for shape in ranked:
        if covered >= share * total:
            break
        heavy[shape] = counts[shape]
        covered += counts[shape] * math.prod(shape)
    return heavy


def cpu_session(model: str | bytes, threads: int, profile: Path | None = None) -> Any:
    """Open a model in ONNX Runtime as it is, on the processor.

    Args:
        model: ONNX file, or its bytes.
        threads: for one operator.
        profile: beginning of the path of a profile that is written; None: none is.

    Raises:
        LibraryError: onnxruntime is not installed, or does not load.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
