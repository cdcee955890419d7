"""Ranges of activations, measured while the graph runs, in constant memory at any length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edge_ser.errors import DataError
from edge_ser_export.optimize import save
from edge_ser_export.passes.integers import Extremes, per_row
from edge_ser_export.passes.products import Product
from edge_ser_export.run_graph import Samples, feed, open_graph
from edge_ser_export.trace import EXTERNAL_DATA_BYTES


def measure(
    graph: Path, names: Iterable[str], utterances: Iterable[Samples], work: Path
) -> dict[str, Extremes]:
    """Extremes of values per channel over a set of utterances, run one by one.

    The graph itself reduces each value to two rows, so that nothing but those leaves it.

    Args:
        graph: optimised, in float32.
        names: of the values.
        utterances: normalised samples `[n]` each.
        work: folder for the instrumented graph.

    Raises:
        DataError: no utterance, or values that are not finite.
    """
    model = ir.load(graph)
    inputs = {v.name: v for v in model.graph.inputs}
    found = {v.name: v for node in model.graph for v in node.outputs} | inputs
    wanted = list(dict.fromkeys(names))
    for index, name in enumerate(wanted):
        _reduce(model.graph, found[name], index)
    path = work / "ranges.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    session = open_graph(path)
    outputs = [f"{role}.{i}" for i in range(len(wanted)) for role in ("low", "high")]
    extremes: dict[str, Extremes] = {}
    for x in utterances:
        rows = session.run(outputs, feed([x]))
        for index, name in enumerate(wanted):
            low, high = rows[2 * index], rows[2 * index + 1]
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise DataError(
                    "calibration", expected="finite activations", found=f"infinity in {name}"
                )
            before = extremes.get(name)
            if name in inputs or (before is not None and before.low.size != low.size):
                # the last axis is time, not channels
                low, high = low.min(keepdims=True), high.max(keepdims=True)
            if before is not None:
                if low.size == 1:
                    before = Extremes(before.low.min(keepdims=True), before.high.max(keepdims=True))
                low, high = np.minimum(low, before.low), np.maximum(high, before.high)
            extremes[name] = Extremes(low, high)
    for file in work.glob("ranges.onnx*"):
        file.unlink()
    if not extremes:
        raise DataError("calibration", expected="at least one utterance", found="none")
    return extremes


def _reduce(graph: ir.Graph, value: ir.Value, index: int) -> None:
    flat = ir.node("Flatten", [value], {"axis": -1})  # [everything else, channels]
    axes = ir.Value(
        name=f"range.axes.{index}", const_value=ir.tensor(np.array([0], np.int64)),
        shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64),
    )  # fmt: skip
    graph.initializers[axes.name or ""] = axes
    graph.append(flat)
    for operator, role in (("ReduceMin", "low"), ("ReduceMax", "high")):
        node = ir.node(operator, [flat.outputs[0], axes], {"keepdims": 0})
        output = node.outputs[0]
        output.name, output.dtype = f"{role}.{index}", ir.DataType.FLOAT
        output.shape = ir.Shape([f"channels.{index}"])
        graph.append(node)
        graph.outputs.append(output)
    flat.outputs[0].name = f"range.{index}"


def migration_factors(
    products: list[Product], extremes: dict[str, Extremes], strength: float = 0.5
) -> dict[str, NDArray[np.float32]]:
    """Factors that move range from activations into the weights they meet.

    Per channel, max|x|^s / max|w|^(1 - s) (SmoothQuant, arXiv:2211.10438, equation 4), where w is
    every weight that meets the channel, in whatever tap and product.

    Args:
        products: that are to be quantised.
        extremes: of their activations.
        strength: s: 0 leaves everything to the activations, 1 moves it all into the weights.

    Returns:
        factors `[channels]` per activation; none for those that also meet an activation.
    """
    shared = {o.source.name for p in products if p.right is not None for o in p.operands}
    weights: dict[str, NDArray[np.float32]] = {}
    for product in products:
        name = product.left.source.name or ""
        if product.right is not None or name in shared:
            continue
        tensor = product.node.inputs[1].const_value if product.node.inputs[1] else None
        if tensor is None:
            continue
        matrix = np.abs(np.asarray(tensor.numpy()))
        channels = extremes[name].low.size
        if (
            channels == 1
            or matrix.shape[-2] * (matrix.shape[0] if matrix.ndim > 2 else 1) % channels
        ):
            continue
        largest = _per_channel(matrix, channels)
        weights[name] = np.maximum(weights.get(name, largest), largest)
    factors = {}
    for name, matrix in weights.items():
        x = np.maximum(extremes[name].largest, 1e-5)
        w = np.maximum(matrix, 1e-5)
        factors[name] = (x**strength / w ** (1 - strength)).astype(np.float32)
    return factors


def _per_channel(matrix: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Largest weight that a channel meets: the inverse of `integers.per_row`."""
    index = np.arange(channels, dtype=np.float32)
    rows = np.broadcast_to(per_row(index, matrix), (*matrix.shape[:-1], 1))[..., 0]
    largest = np.zeros(channels, np.float32)
    np.maximum.at(largest, rows.reshape(-1).astype(int), matrix.max(axis=-1).reshape(-1))
    return largest
