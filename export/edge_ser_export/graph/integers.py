"""Matrix products in 8-bit integers.

Activations are quantised where they are produced, once, before they are copied into windows and
shared by every product that reads them; weights symmetrically per output column. The product itself
is ONNX Runtime's MatMulIntegerToFloat, so what is written is what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edge_ser_export.graph.edit import Array, Writer, constant, replace
from edge_ser_export.graph.products import Operand, Product, product_of

CONTRIB = "com.microsoft"
# Matrices of a grouped product from which on a node for each costs less than it saves.
_MIN_MATRIX = 1 << 15


@dataclass(frozen=True)
class Extremes:
    """Measured extremes of an activation, per channel (its last axis).

    Attributes:
        low: `[channels]`.
        high: `[channels]`.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def scale(self) -> tuple[float, int]:
        """Scale and zero point of uint8 for all channels; zero is always representable."""
        low, high = min(float(self.low.min()), 0.0), max(float(self.high.max()), 0.0)
        scale = (high - low) / 255 or 1.0
        return scale, int(np.clip(round(-low / scale), 0, 255))

    def divided(self, factors: NDArray[np.float32]) -> Extremes:
        """Of the activation divided by positive factors `[channels]`."""
        return Extremes(self.low / factors, self.high / factors)

    @property
    def whole(self) -> Extremes:
        """Of all channels: `[1]` each."""
        return Extremes(self.low.min(keepdims=True), self.high.max(keepdims=True))

    def joined(self, other: Extremes) -> Extremes:
        """Over both; of all channels together where they have not the same ones."""
        a, b = self, other
        if a.low.size != b.low.size:  # the last axis is time, not channels
            a, b = a.whole, b.whole
        return Extremes(np.minimum(a.low, b.low), np.maximum(a.high, b.high))

    @property
    def largest(self) -> NDArray[np.float32]:
        """Largest magnitude per channel."""
        largest: NDArray[np.float32] = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest


@dataclass(frozen=True)
class Scheme:
    """How products are computed in integers.

    Attributes:
        extremes: per activation, by name: scales are constants. None: every run measures its own.
        migration: factors `[channels]` per activation that it is divided by, and the weights it
            meets multiplied by (Xiao et al. 2023, SmoothQuant, arXiv:2211.10438): where a few
            channels are far larger than the rest, one scale for all would leave the rest no digits.
        weight_bits: 8, or 7 for processors whose 16-bit sums of two products saturate.
    """

    extremes: Mapping[str, Extremes] | None = None
    migration: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    weight_bits: int = 8


@dataclass(frozen=True)
class Quantized:
    """An activation as uint8 `values`, which stand for `(values - zero) * scale`."""

    values: ir.Value
    scale: ir.Value
    zero: ir.Value


def quantize_products(
    model: ir.Model, chosen: Callable[[str], bool], scheme: Scheme | None = None
) -> bool:
    """Compute the products of the chosen groups in integers.

    Requires: `heads_to_products`, `windows.convolutions_to_products`, names.
    Ensures: products of chosen groups read uint8 activations, and int8 weights or uint8
    activations.

    Args:
        model: changed in place.
        chosen: whether a group is to be quantised.
        scheme: how; None: every run measures its own scales.
    """
    scheme = scheme or Scheme()
    graph = model.graph
    quantized: dict[str, Quantized] = {}
    changed = False
    for node in list(graph):
        # looked at when its turn comes: earlier products have replaced what it reads
        product = product_of(node) if node.graph is graph else None
        if product is None or not chosen(product.group):
            continue
        for index, operand in enumerate(product.operands):
            name = operand.source.name or ""
            if name not in quantized:
                quantized[name] = _quantize(graph, operand.source, scheme)
            _let_through(product.node, index, operand, quantized[name])
        sides = [quantized[o.source.name or ""] for o in product.operands]
        _integer_product(graph, product, sides, scheme)
        changed = True
    if changed:
        model.opset_imports[CONTRIB] = 1
    return changed


def _let_through(node: ir.Node, index: int, operand: Operand, quantized: Quantized) -> None:
    """Move 8-bit values instead of floats between an activation and its product."""
    for move in operand.moves:
        for place, value in enumerate(move.inputs):
            if value is operand.source:
                move.replace_input_with(place, quantized.values)
        move.outputs[0].dtype = ir.DataType.UINT8
        if move.op_type == "Pad":  # zero, in the terms of the quantised values
            move.resize_inputs(3)
            move.replace_input_with(2, quantized.zero)
    if not operand.moves:
        node.replace_input_with(index, quantized.values)


def _quantize(graph: ir.Graph, source: ir.Value, scheme: Scheme) -> Quantized:
    """Quantise an activation right where it is produced."""
    name = source.name or ""
    extremes = None if scheme.extremes is None else scheme.extremes[name]
    producer = source.producer()
    following = graph[0] if producer is None else producer
    write = Writer(graph, following)
    if name in scheme.migration:
        factors = scheme.migration[name]
        divide = ir.node("Mul", [source, write.constant(1 / factors, "migration")])
        divide.name = f"{write.prefix}.migrate.{name}"
        divide.outputs[0].name = f"{name}.migrated"
        _insert(graph, divide, producer)
        source, producer = divide.outputs[0], divide
        extremes = None if extremes is None else extremes.divided(factors)
    if extremes is None:
        node = ir.node("DynamicQuantizeLinear", [source], num_outputs=3)
        values, scale, zero = node.outputs
        scale.name, scale.dtype = f"{source.name}.scale", ir.DataType.FLOAT
        zero.name, zero.dtype = f"{source.name}.zero", ir.DataType.UINT8
    else:
        number, zero_point = extremes.scale()
        scale = write.constant(np.array(number, np.float32), "scale")
        zero = write.constant(np.array(zero_point, np.uint8), "zero")
        node = ir.node("QuantizeLinear", [source, scale, zero])
        values = node.outputs[0]
    values.name, values.dtype = f"{source.name}.u8", ir.DataType.UINT8
    node.name = f"{write.prefix}.quantize.{source.name}"
    _insert(graph, node, producer)
    return Quantized(values, scale, zero)


def _insert(graph: ir.Graph, node: ir.Node, producer: ir.Node | None) -> None:
    if producer is None:
        graph.insert_before(graph[0], node)
    else:
        node.metadata_props.update(producer.metadata_props)
        graph.insert_after(producer, node)


def _integer_product(
    graph: ir.Graph, product: Product, sides: list[Quantized], scheme: Scheme
) -> None:
    node, left = product.node, sides[0]
    write = Writer(graph, node)
    if product.right is not None:
        right = sides[1]
        inputs: list[ir.Value | None] = [*node.inputs, left.scale, right.scale]
        inputs += [left.zero, right.zero]
        replace(graph, node, _to_float(write, node, inputs), keep_name=True)
        return
    weight = constant(node.inputs[1])
    assert weight is not None
    migration = scheme.migration.get(product.left.source.name or "")
    if migration is not None:
        weight = weight * per_row(migration, weight)
    small, factors = quantize_weight(weight, scheme.weight_bits)
    if weight.ndim > 2:
        large = small[0].size >= _MIN_MATRIX
        y = (_one_by_one if large else _all_groups)(write, node, small, factors, left)
        replace(graph, node, y, keep_name=True)
        return
    packed = write.constant(small, "int8")
    column_scales = write.constant(factors.reshape(-1), "scale")
    inputs = [node.inputs[0], packed, left.scale, column_scales, left.zero]
    addition = _bias(node)
    if addition is None:
        replace(graph, node, _to_float(write, node, inputs), keep_name=True)
        return
    inputs += [None, addition.inputs[1 - _position(addition, node.outputs[0])]]
    replace(graph, addition, _to_float(write, node, inputs), keep_name=True)
    graph.remove(node, safe=True)


def _all_groups(
    write: Writer, node: ir.Node, small: NDArray[np.int8], factors: Array, left: Quantized
) -> ir.Value:
    """Products with the matrices of `[groups, rows, out]` in one node, scaled afterwards."""
    packed = write.constant(small, "int8")
    total = write.node("MatMulInteger", [node.inputs[0], packed, left.zero])
    y = write.node("Cast", [total], {"to": int(ir.DataType.FLOAT)})
    factor = write.node("Mul", [left.scale, write.constant(factors, "scale")])
    y = write.node("Mul", [y, factor])
    y.dtype = ir.DataType.FLOAT
    return y


def _one_by_one(
    write: Writer, node: ir.Node, small: NDArray[np.int8], factors: Array, left: Quantized
) -> ir.Value:
    """The same with a node for each matrix, which is a fused one.

    It takes scales per column of one matrix, and OpenVINO, which takes it apart, computes in
    integers only where the weights are a matrix.
    """
    x = node.inputs[0]
    assert x is not None
    groups = small.shape[0]
    first = write.node("Split", [x], {"axis": -3, "num_outputs": groups}, outputs=groups)
    split = first.producer()
    assert split is not None
    parts = []
    for part, matrix, factor in zip(split.outputs, small, factors, strict=True):
        part.dtype = ir.DataType.UINT8
        scales = write.constant(factor.reshape(-1), "scale")
        inputs = [part, write.constant(matrix, "int8"), left.scale, scales, left.zero]
        y = write.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)
        y.dtype = ir.DataType.FLOAT
        parts.append(y)
    return write.node("Concat", parts, {"axis": -3})


def _to_float(write: Writer, node: ir.Node, inputs: list[ir.Value | None]) -> ir.Value:
    y = write.node("MatMulIntegerToFloat", inputs, domain=CONTRIB)
    y.dtype = ir.DataType.FLOAT
    y.shape = node.outputs[0].shape
    return y


def per_row(channels: NDArray[np.float32], weight: Array) -> NDArray[np.float32]:
    """Numbers per channel as numbers per row of the weights that windows of it meet.

    Rows are (tap, channel); of a grouped product `[groups, rows, out]`, channels are divided among
    groups first.

    Args:
        channels: `[channels]`.
        weight: `[taps * channels, out]`, or `[groups, taps * channels / groups, out]`.

    Returns:
        `[..., rows, 1]`, to multiply the weights with.
    """
    groups = weight.shape[0] if weight.ndim > 2 else 1
    parts = channels.reshape(groups, -1)
    taps = weight.shape[-2] // parts.shape[1]
    rows = np.tile(parts, (1, taps))[..., None]
    return rows if weight.ndim > 2 else rows[0]


def quantize_weight(weight: Array, bits: int = 8) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric integers and their scales, one per output column.

    Args:
        weight: `[..., in, out]`.
        bits: of which one is the sign.

    Returns:
        integers of the same shape and scales `[..., 1, out]`; weight is about their product.
    """
    largest = 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(axis=-2, keepdims=True).astype(np.float32) / np.float32(largest)
    scale[scale == 0] = 1
    return np.round(weight / scale).astype(np.int8), scale


def _bias(node: ir.Node) -> ir.Node | None:
    """The addition of a constant vector to a product that nobody else reads."""
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return None
    addition = uses[0].node
    array = constant(addition.inputs[1 - uses[0].idx])
    return addition if array is not None and array.ndim == 1 else None


def _position(node: ir.Node, value: ir.Value) -> int:
    return next(i for i, v in enumerate(node.inputs) if v is value)
