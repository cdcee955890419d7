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

from edge_ser_export.passes.edit import Array, Writer, attribute, constant, replace
from edge_ser_export.passes.names import group_of, module_of

CONTRIB = "com.microsoft"
# Nodes that only move values: 8-bit values pass through them as well as floats.
_MOVES = {"Slice", "Concat", "Reshape", "Transpose", "Pad"}
# Smaller weights would not pay for quantising what they are multiplied with.
_MIN_WEIGHTS = 1024
# Products with fewer terms read and write more than they multiply: a stem's first convolution. Its
# sums of ten terms are also where a waveform's faint samples would be lost.
_MIN_TERMS = 16


@dataclass(frozen=True)
class Operand:
    """An activation that a product reads.

    Attributes:
        source: the value to quantise: before it is moved about.
        moves: nodes between `source` and the product.
    """

    source: ir.Value
    moves: tuple[ir.Node, ...]


@dataclass(frozen=True)
class Product:
    """A matrix product.

    Attributes:
        node: the MatMul.
        group: part of the model that it belongs to.
        left: its activations.
        right: what they are multiplied with, where that is computed too; None: weights.
    """

    node: ir.Node
    group: str
    left: Operand
    right: Operand | None = None

    @property
    def operands(self) -> tuple[Operand, ...]:
        """What has to be quantised in the run."""
        return (self.left,) if self.right is None else (self.left, self.right)


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


def heads_to_products(model: ir.Model) -> bool:
    """Write every Gemm with constant weights as MatMul and Add: those of linear layers.

    Ensures: weights `[in, out]`, no Gemm with constant weights is left that neither scales nor
    transposes its input.
    """
    changed = False
    for node in list(model.graph):
        weight = constant(node.inputs[1]) if node.op_type == "Gemm" else None
        if weight is None or attribute(node, "transA", 0):
            continue
        if (attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)) != (1.0, 1.0):
            continue
        if attribute(node, "transB", 0):
            weight = weight.T
        write = Writer(model.graph, node)
        sizes = [None, weight.shape[1]]
        x = node.inputs[0]
        matrix = write.constant(np.ascontiguousarray(weight), "weight")
        y = write.node("MatMul", [x, matrix], sizes=sizes)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            y = write.node("Add", [y, node.inputs[2]], sizes=sizes)
        replace(model.graph, node, y)
        changed = True
    return changed


def find_products(model: ir.Model) -> list[Product]:
    """Every matrix product that could be computed in integers, in order of execution."""
    return [p for p in map(_product, model.graph) if p is not None]


def _product(node: ir.Node) -> Product | None:
    if node.op_type != "MatMul":
        return None
    group = group_of(module_of(node))
    weight = constant(node.inputs[1])
    if weight is not None:
        # float64 is where somebody needed more than float32, let alone 8 bits
        fitting = weight.dtype == np.float32 and weight.size >= _MIN_WEIGHTS
        fitting = fitting and weight.shape[-2] >= _MIN_TERMS
        return Product(node, group, _operand(node, 0)) if fitting else None
    if not is_attention(node):
        return None  # sums over time: little work, and float32 is where they are exact
    return Product(node, f"{group} scores", _operand(node, 0), _operand(node, 1))


def is_attention(node: ir.Node) -> bool:
    """Whether a product of two activations is followed or preceded by a softmax."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is not None and before.op_type == "Softmax":
        return True
    following = [use.node for use in node.outputs[0].uses()]
    after = [use.node for n in following for use in n.outputs[0].uses()]
    return any(n.op_type == "Softmax" for n in (*following, *after))


def _operand(node: ir.Node, index: int) -> Operand:
    """Where an input comes from, through nodes that serve this product alone."""
    start = node.inputs[index]
    assert start is not None
    moves: list[ir.Node] = []
    sources: list[ir.Value] = []
    waiting = [start]
    while waiting:
        value = waiting.pop()
        producer = value.producer()
        if producer is None or not _moves(producer):
            if value not in sources:
                sources.append(value)
        elif producer not in moves:
            moves.append(producer)
            data = producer.inputs if producer.op_type == "Concat" else producer.inputs[:1]
            waiting += [v for v in data if v is not None]
    inside = {*moves, node}
    private = all(use.node in inside for move in moves for use in move.outputs[0].uses())
    if len(sources) != 1 or not private:
        return Operand(start, ())
    return Operand(sources[0], tuple(moves))


def _moves(node: ir.Node) -> bool:
    """Whether a node only moves values; padding must be with zeros, in every dimension."""
    if node.op_type != "Pad":
        return node.op_type in _MOVES
    rest = [v for v in node.inputs[2:] if v is not None]
    arrays = [constant(v) for v in rest]
    return len(rest) < 2 and all(a is not None and a.size == 1 and not a.any() for a in arrays)


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
        product = _product(node) if node.graph is graph else None
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
        y = _products_of_groups(write, node, small, factors, left)
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


def _products_of_groups(
    write: Writer, node: ir.Node, small: NDArray[np.int8], factors: Array, left: Quantized
) -> ir.Value:
    """One product per matrix of `[groups, rows, out]`.

    The fused operator takes scales per column of one matrix, and runtimes that take it apart know
    an integer product only where the weights are a matrix.
    """
    groups = small.shape[0]
    x = node.inputs[0]
    assert x is not None
    first = write.node("Split", [x], {"axis": -3, "num_outputs": groups}, outputs=groups)
    split = first.producer()
    assert split is not None
    parts = []
    for index, part in enumerate(split.outputs):
        part.dtype = ir.DataType.UINT8
        matrix = write.constant(small[index], "int8")
        scales = write.constant(factors[index].reshape(-1), "scale")
        inputs: list[ir.Value | None] = [part, matrix, left.scale, scales, left.zero]
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
    most = 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(axis=-2, keepdims=True).astype(np.float32) / np.float32(most)
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
