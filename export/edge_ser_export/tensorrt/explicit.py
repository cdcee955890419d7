"""The same graph with every rounding written out, so that a CPU computes what a GPU would.

ONNX Runtime has few float16 kernels on CPUs and none for bfloat16: it widens values before an
operator and narrows them after it, and then removes such casts of its own where two meet. What is
left rounds ten times less than the hardware does. Casts that are in the graph, it keeps.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, constant

_LOW = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_FLOATS = (*_LOW, ir.DataType.FLOAT)


def spell_out(model: ir.Model) -> None:
    """Write all roundings of a precision-typed graph as Cast nodes, in place.

    Ensures: the same values as if every node computed in float32 and rounded its outputs to the
    types they had, float16 or bfloat16; float32 nodes are untouched.
    """
    graph = model.graph
    types = float_types(model)
    widened: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type == "Cast":
            continue
        outputs = [v for v in node.outputs if types.get(v) in _LOW]
        for index, value in enumerate(node.inputs):
            if value is not None and types.get(value) in _LOW:
                if value not in widened:
                    widened[value] = _widen(graph, node, value)
                node.replace_input_with(index, widened[value])
        for value in outputs:
            low = types[value]
            value.dtype = ir.DataType.FLOAT
            cast = ir.node("Cast", [value], {"to": int(low)})
            cast.name = f"{value.name}.round"
            rounded = cast.outputs[0]
            rounded.name, rounded.dtype = f"{value.name}.rounded", low
            graph.insert_after(node, cast)
            for use in list(value.uses()):
                if use.node is not cast:
                    use.node.replace_input_with(use.idx, rounded)
            types[rounded] = low


def float_types(model: ir.Model) -> dict[ir.Value, ir.DataType]:
    """Types of all values of floating point, inferred forward, as passes do not keep types."""
    types: dict[ir.Value, ir.DataType] = {}
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        kind = value.dtype if value.const_value is None else value.const_value.dtype
        if kind in _FLOATS:
            types[value] = kind
    for node in model.graph:
        if node.op_type in ("Shape", "LessOrEqual", "Size", "QuantizeLinear"):
            continue
        if node.op_type == "Cast":
            kind = ir.DataType(node.attributes["to"].as_int())
        else:
            # of DequantizeLinear that is the scale's
            kind = next((types[v] for v in node.inputs if v is not None and v in types), None)
        if kind in _FLOATS:
            types.update(dict.fromkeys(node.outputs, kind))
    return types


def _widen(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value:
    """`value` as float32, in front of the first node that reads it."""
    array = constant(value)
    write = Writer(graph, node)
    write.prefix = value.name or "value"
    if array is not None and array.size == 1:
        return write.constant(array.astype(np.float32), "wide")
    widened = write.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
    widened.dtype = ir.DataType.FLOAT
    return widened
