"""Matrix products that integers could compute: what they read, and what part they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, attribute, constant, replace
from edge_ser_export.graph.names import group_of, module_of

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
    return [p for p in map(product_of, model.graph) if p is not None]


def product_of(node: ir.Node) -> Product | None:
    """A node as a product, if it is one that would pay in integers."""
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
    readers = [use.node for move in moves for use in move.outputs[0].uses()]
    # 8-bit values have the same shape
    private = all(reader in inside or reader.op_type == "Shape" for reader in readers)
    if len(sources) != 1 or not private:
        return Operand(start, ())
    return Operand(sources[0], tuple(moves))


def _moves(node: ir.Node) -> bool:
    """Whether a node only moves values; padding must be with zeros, in every dimension."""
    if node.op_type != "Pad":
        return node.op_type in _MOVES
    padding = [v for v in node.inputs[2:] if v is not None]
    arrays = [constant(v) for v in padding]
    return len(padding) < 2 and all(a is not None and a.size == 1 and not a.any() for a in arrays)
