"""Half precision: of the stored weights alone, or of the computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, constant
from edge_ser_export.graph.integers import Extremes
from edge_ser_export.graph.products import is_attention

# Largest finite float16, and how near to it a measured activation may come: what is louder than
# the calibration audio must still fit.
HALF_MAX = 65_504.0
HEADROOM = 4.0
# Sums, exponentials and what is divided by them: rounding errors add up, squares overflow.
_FLOAT_OPERATORS = {
    "LayerNormalization", "Softmax", "ReduceSum", "ReduceMean", "Sum", "Log", "Exp", "Sqrt",
    "Reciprocal", "Div", "Range", "Resize",
}  # fmt: skip
# A Cast node costs about 150 bytes: small tensors would grow.
_MIN_ELEMENTS = 512


def store_weights_half(model: ir.Model) -> bool:
    """Store float32 weights as float16 followed by a Cast; computation stays float32.

    Ensures: half the file. Runtimes widen the weights when they load the model, so neither their
    memory nor their time changes. Weights outside float16's range stay as they are.
    """
    changed = False
    for name, value in list(model.graph.initializers.items()):
        array = constant(value)
        if array is None or array.dtype != np.float32 or array.size < _MIN_ELEMENTS:
            continue
        if not np.abs(array).max() <= HALF_MAX:
            continue
        uses = list(value.uses())
        if not uses:
            continue
        first = model.graph[0]
        write = Writer(model.graph, first)
        write.prefix = name
        small = write.constant(array.astype(np.float16), "half")
        widened = ir.node("Cast", [small], {"to": int(ir.DataType.FLOAT)})
        widened.name, widened.outputs[0].dtype = f"{name}.widen", ir.DataType.FLOAT
        model.graph.insert_before(first, widened)
        value.replace_all_uses_with(widened.outputs[0])
        del model.graph.initializers[name]
        widened.outputs[0].name = name
        changed = True
    return changed


def compute_half(
    model: ir.Model,
    extremes: Mapping[str, Extremes],
    low: ir.DataType = ir.DataType.FLOAT16,
    keep: Callable[[ir.Node], bool] = lambda _: False,
) -> list[str]:
    """Compute in float16 what can be, with casts where precisions meet.

    Requires: float32 throughout; interface tensors stay float32.
    Ensures: LayerNormalization, Softmax, sums, logarithms, exponentials and divisions stay float32,
    with what is added to sums and exponentials and multiplied with them, and so does every node
    that reads or gives a value whose measured magnitude comes within a quarter of float16's
    largest. QuantizeLinear and DequantizeLinear take their floats from the precision around them.

    Args:
        model: changed in place.
        extremes: of values by name, measured on calibration audio.
        low: float16, or bfloat16: that has float32's range, so that nothing is too loud for it.
        keep: nodes that stay in float32 whatever their values are.

    Returns:
        names of the nodes that stay in float32 because of what was measured.
    """
    graph = model.graph
    any_range = low == ir.DataType.BFLOAT16
    loud = {n for n, e in extremes.items() if not e.largest.max() <= HALF_MAX / HEADROOM}
    loud = set() if any_range else loud
    kinds = _float_values(model)
    precision: dict[ir.Value, bool] = {v: False for v in graph.inputs}  # True: float16
    casts: dict[tuple[ir.Value, bool], ir.Value] = {}
    kept_in_float32: list[str] = []
    delicate: set[ir.Value | None] = set()
    for node in list(graph):
        floats = [v for v in (*node.inputs, *node.outputs) if v is not None and v in kinds]
        if not floats:
            continue
        by_range = any((v.name or "") in loud for v in floats)
        by_range |= not any_range and _weights_too_large(node)
        by_kind = node.op_type in _FLOAT_OPERATORS or keep(node)
        if _is_delicate(node, delicate):
            by_kind = True
            delicate.update(node.outputs)
        half = not by_kind and not by_range
        if node.op_type == "Cast" and node.outputs[0] in kinds:
            half = False  # masks: their consumers cast them
        if by_range and not by_kind:
            kept_in_float32.append(node.name or node.op_type)
        for index, value in enumerate(node.inputs):
            if value is not None and value in kinds:
                node.replace_input_with(
                    index, _in(graph, node, value, low if half else None, precision, casts)
                )
        for value in node.outputs:
            if value in kinds:
                precision[value] = half
                if half:
                    value.dtype = low
    for index, output in enumerate(list(graph.outputs)):
        if precision.get(output):
            name = output.name
            widened = ir.node("Cast", [output], {"to": int(ir.DataType.FLOAT)})
            widened.name, widened.outputs[0].dtype = f"{name}.widen", ir.DataType.FLOAT
            widened.outputs[0].shape = output.shape
            output.name = f"{name}.half"
            widened.outputs[0].name = name
            graph.append(widened)
            graph.outputs[index] = widened.outputs[0]
    return kept_in_float32


def float_value_names(model: ir.Model) -> list[str]:
    """Computed values of float32, whose ranges decide."""
    kinds = _float_values(model)
    return [v.name or "" for n in model.graph for v in n.outputs if v in kinds]


def _float_values(model: ir.Model) -> set[ir.Value]:
    """Values of type float32: inferred forward, as passes do not keep types."""
    values = {v for v in model.graph.inputs if v.dtype == ir.DataType.FLOAT}
    values |= {
        v for v in model.graph.initializers.values()
        if v.const_value is not None and v.const_value.dtype == ir.DataType.FLOAT
    }  # fmt: skip
    for node in model.graph:
        if node.op_type in ("Shape", "LessOrEqual", "Size", "QuantizeLinear"):
            continue
        if node.op_type == "Cast":
            if node.attributes["to"].value == int(ir.DataType.FLOAT):
                values.update(node.outputs)
        elif any(v in values for v in node.inputs if v is not None):
            values.update(node.outputs)
    return values


def _is_delicate(node: ir.Node, delicate: set[ir.Value | None]) -> bool:
    """Whether a node is an exponential, a sum over time, or made of such and nothing heavier.

    An exponential outgrows any headroom over what was measured, and a variance is a small
    difference of large sums, whose squares and weights must not be rounded either.
    """
    if node.op_type == "Exp" or _is_sum(node):
        return True
    readers = [use.node for use in node.outputs[0].uses()]
    if node.op_type in ("Mul", "Transpose") and readers and all(_is_sum(n) for n in readers):
        return True
    return node.op_type in ("Add", "Sub", "Mul", "Squeeze") and any(
        v in delicate for v in node.inputs
    )


def _is_sum(node: ir.Node) -> bool:
    """Whether a product is a sum over time: of two activations, and not attention's."""
    return node.op_type == "MatMul" and not _is_weight(node.inputs[1]) and not is_attention(node)


def _is_weight(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        value = producer.inputs[0]
    return constant(value) is not None


def _weights_too_large(node: ir.Node) -> bool:
    arrays = [constant(v) for v in node.inputs]
    return any(
        a is not None and a.dtype == np.float32 and a.size and not np.abs(a).max() <= HALF_MAX
        for a in arrays
    )


def _in(
    graph: ir.Graph,
    node: ir.Node,
    value: ir.Value,
    low: ir.DataType | None,
    precision: dict[ir.Value, bool],
    casts: dict[tuple[ir.Value, bool], ir.Value],
) -> ir.Value:
    """`value` in the wanted precision; None: float32."""
    half = low is not None
    if precision.get(value, False) == half:
        return value
    if (value, half) in casts:
        return casts[value, half]
    array = constant(value)
    write = Writer(graph, node)
    write.prefix = value.name or "value"
    if array is not None:
        converted = write.constant(array.astype((low or ir.DataType.FLOAT).numpy()), "half")
    else:
        kind = low or ir.DataType.FLOAT
        converted = write.node("Cast", [value], {"to": int(kind)})
        converted.dtype = kind
        # right behind the value, so that everyone after can share it
        cast = converted.producer()
        producer = value.producer()
        if cast is not None and producer is not None:
            graph.remove(cast)
            graph.insert_after(producer, cast)
    casts[value, half] = converted
    return converted
