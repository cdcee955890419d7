"""Ranges of activations, measured while the graph runs, in constant memory at any length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edge_ser.errors import DataError
from edge_ser_export.graph.integers import Extremes, per_row
from edge_ser_export.graph.products import Product
from edge_ser_export.graph.rewrite import save_beside
from edge_ser_export.graph.run import Samples, feed, open_graph
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES


def measure(
    graph: Path, names: Iterable[str], utterances: Iterable[Samples], work: Path
) -> dict[str, Extremes]:
    """Extremes of values per channel over a set of utterances; see `Meter`."""
    with Meter(graph, names, work) as meter:
        return meter.over(utterances)


class Meter:
    """A graph that tells the extremes of its values while it runs, utterance by utterance.

    The graph itself reduces each value, so that nothing but its extremes leaves it.

    Args:
        graph: optimised, in float32.
        names: of the values.
        work: folder for the instrumented graph, which lies there while this is open.
        channels: one pair of extremes per channel; else one per value, which takes a quarter of
            the time.
        threads: of the run. With another number sums are taken in another order: one thread where
            extremes become scales, which must not depend on the machine.
    """

    def __init__(
        self, graph: Path, names: Iterable[str], work: Path, channels: bool = True, threads: int = 1
    ) -> None:
        model = ir.load(graph)
        inputs = {v.name: v for v in model.graph.inputs}
        values = {v.name: v for node in model.graph for v in node.outputs} | inputs
        self._names = list(dict.fromkeys(names))
        self._inputs = set(inputs)
        for index, name in enumerate(self._names):
            _reduce(model.graph, values[name], index, channels)
        self._path = work / "ranges.onnx"
        save_beside(model, self._path, graph, EXTERNAL_DATA_BYTES)
        # a value can go as soon as it was looked at
        self._session = open_graph(self._path, threads, in_order=True)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        del self._session
        for file in self._path.parent.glob(f"{self._path.name}*"):
            file.unlink()

    def over(self, utterances: Iterable[Samples]) -> dict[str, Extremes]:
        """Extremes over utterances, run one by one.

        Args:
            utterances: normalised samples `[n]` each.

        Raises:
            DataError: no utterance, or values that are not finite.
        """
        names = self._names
        outputs = [f"{role}.{i}" for i in range(len(names)) for role in ("low", "high")]
        extremes: dict[str, Extremes] = {}
        for x in utterances:
            rows = self._session.run(outputs, feed([x]))
            for index, name in enumerate(names):
                low, high = (np.atleast_1d(r) for r in rows[2 * index : 2 * index + 2])
                if not (np.isfinite(low).all() and np.isfinite(high).all()):
                    raise DataError(
                        "calibration", expected="finite activations", found=f"infinity in {name}"
                    )
                measured = Extremes(low, high)
                if name in self._inputs:
                    measured = measured.whole  # the last axis is time, not channels
                before = extremes.get(name)
                extremes[name] = measured if before is None else before.joined(measured)
        if not extremes:
            raise DataError("calibration", expected="at least one utterance", found="none")
        return extremes


def _reduce(graph: ir.Graph, value: ir.Value, index: int, channels: bool) -> None:
    """Write both extremes of a value as outputs, right behind where it comes from."""
    producer = value.producer()
    inputs: list[ir.Value] = [value]
    nodes: list[ir.Node] = []
    if channels:
        flat = ir.node("Flatten", [value], {"axis": -1})  # [everything else, channels]
        axes = ir.Value(
            name=f"range.axes.{index}", const_value=ir.tensor(np.array([0], np.int64)),
            shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64),
        )  # fmt: skip
        graph.initializers[axes.name or ""] = axes
        nodes.append(flat)
        flat.outputs[0].name = f"range.{index}"
        inputs = [flat.outputs[0], axes]
    for operator, role in (("ReduceMin", "low"), ("ReduceMax", "high")):
        node = ir.node(operator, inputs, {"keepdims": 0})
        output = node.outputs[0]
        output.name, output.dtype = f"{role}.{index}", ir.DataType.FLOAT
        output.shape = ir.Shape([f"channels.{index}"] if channels else [])
        nodes.append(node)
        graph.outputs.append(output)
    if producer is None:  # an input
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)


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
