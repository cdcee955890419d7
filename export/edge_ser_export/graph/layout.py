"""Swaps of `[batch, channels, time]` and `[batch, time, channels]`, moved until they meet.

Requires shapes, which the exporter gives.
"""

from __future__ import annotations

import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, attribute, constant, replace, shape

_PERM = (0, 2, 1)
_UNARY = {"Gelu", "Mish", "Sigmoid", "Relu", "Tanh", "Softplus", "Erf", "Sqrt", "Reciprocal"}
_BINARY = {"Add", "Sub", "Mul", "Div"}


def remove_transposes(model: ir.Model) -> bool:
    """Push every swap of the last two axes down through what is computed element by element.

    Ensures: swaps that meet their inverse are gone, and so are those whose results nobody reads.
    A swap of a thin operand, one of whose swapped axes has size one, may be added on the way.
    """
    changed = False
    again = True
    while again:
        again = False
        for node in list(model.graph):
            if node.graph is None:  # removed meanwhile
                continue
            if _cancel(model.graph, node) or _sink(model.graph, node):
                changed = again = True
    return changed


def _is_swap(value: ir.Value | None) -> bool:
    node = value.producer() if value is not None else None
    return node is not None and node.op_type == "Transpose" and _perm(node) == _PERM


def _perm(node: ir.Node) -> tuple[int, ...]:
    return tuple(attribute(node, "perm", ()))


def _source(value: ir.Value) -> ir.Value:
    producer = value.producer()
    assert producer is not None and producer.inputs[0] is not None
    return producer.inputs[0]


def _cancel(graph: ir.Graph, node: ir.Node) -> bool:
    """Two swaps in a row are none; a swap without a reader goes."""
    if node.op_type != "Transpose" or _perm(node) != _PERM:
        return False
    output = node.outputs[0]
    if output in graph.outputs:
        return False
    if not list(output.uses()):
        graph.remove(node, safe=True)
        return True
    inner = node.inputs[0]
    if inner is None or not _is_swap(inner):
        return False
    replace(graph, node, _source(inner))
    return True


def _sink(graph: ir.Graph, node: ir.Node) -> bool:
    """Compute a node on swapped inputs and swap its outputs instead."""
    kind = node.op_type
    big = [v for v in node.inputs if _is_swap(v)]
    if not big or any(o in graph.outputs for o in node.outputs):
        return False
    if kind in _UNARY:
        return _rewrite(graph, node, dict(node.attributes))
    if kind in _BINARY and all(_is_swap(v) or _thin(v) for v in node.inputs):
        if all(_thin(v) for v in node.inputs):
            return False  # nothing to gain, and the swap would come back through the other input
        return _rewrite(graph, node, dict(node.attributes))
    if kind in ("Split", "Concat") and all(_is_swap(v) for v in node.inputs[: _data(node)]):
        axis = _swapped(attribute(node, "axis", 0))
        return _rewrite(graph, node, {**node.attributes, "axis": ir.AttrInt64("axis", axis)})
    if kind == "ReduceSum" and attribute(node, "keepdims", 1) == 1:
        axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        if axes is not None:
            return _rewrite(graph, node, dict(node.attributes), [_swapped(int(a)) for a in axes])
    if kind == "Slice" and len(node.inputs) > 3:
        axes = constant(node.inputs[3])
        if axes is not None:
            return _rewrite(graph, node, dict(node.attributes), [_swapped(int(a)) for a in axes], 3)
    return False


def _data(node: ir.Node) -> int:
    """How many leading inputs are data, not sizes."""
    return 1 if node.op_type == "Split" else len(node.inputs)


def _swapped(axis: int) -> int:
    axis %= 3
    return (0, 2, 1)[axis]


def _thin(value: ir.Value | None) -> bool:
    """Whether swapping a value's last two axes moves next to nothing."""
    if value is None:
        return False
    sizes = shape(value)
    array = constant(value)
    if array is not None:
        return array.ndim <= 3
    return len(sizes) == 3 and 1 in sizes[1:]


def _rewrite(
    graph: ir.Graph,
    node: ir.Node,
    attributes: dict[str, ir.Attr],
    axes: list[int] | None = None,
    position: int = 1,
) -> bool:
    write = Writer(graph, node)
    inputs: list[ir.Value | None] = []
    for index, value in enumerate(node.inputs):
        if value is not None and _is_swap(value):
            inputs.append(_source(value))
        elif axes is not None and index == position:
            inputs.append(write.indices(axes, "axes"))
        elif value is not None and node.op_type in _BINARY:
            inputs.append(_swap_thin(write, value))
        else:
            inputs.append(value)
    new = ir.Node(
        node.domain, node.op_type, inputs, attributes.values(), num_outputs=len(node.outputs)
    )
    new.name = node.name
    new.metadata_props.update(node.metadata_props)
    graph.insert_before(node, new)
    for old, fresh in zip(node.outputs, new.outputs, strict=True):
        fresh.name = f"{old.name}.last"
        if old.dtype is not None:
            fresh.dtype = old.dtype
        sizes = list(old.shape) if old.shape is not None else None
        if sizes is not None and len(sizes) == 3:
            fresh.shape = ir.Shape([sizes[0], sizes[2], sizes[1]])
        back = write.node("Transpose", [fresh], {"perm": _PERM}, sizes=sizes)
        old.replace_all_uses_with(back)
    graph.remove(node, safe=True)
    return True


def _swap_thin(write: Writer, value: ir.Value) -> ir.Value:
    array = constant(value)
    if array is None:
        sizes = value.shape
        swapped = None if sizes is None else [sizes[0], sizes[2], sizes[1]]
        return write.node("Transpose", [value], {"perm": _PERM}, sizes=swapped)
    if array.ndim < 2:  # broadcast along the last axis: of one number it does not matter
        if array.size == 1:
            return value
        return write.constant(array.reshape(-1, 1), "column")
    return write.constant(array.swapaxes(-1, -2).copy(), "swapped")
