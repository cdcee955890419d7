"""Convolutions over time as matrix products of channels-last windows.

Integer convolution is slow or missing in ONNX Runtime, while its integer matrix product runs near
the processor's limit: an INT8 model stays slow as long as its convolutions are convolutions.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Array, Writer, attribute, constant, replace

_END = np.iinfo(np.int64).max
# Taps of a grouped convolution that become one window; the rest become columns of the product.
_INNER_TAPS = 16
# Of a convolution with fewer channels in a group, windows are copied in pieces of few bytes: there,
# one product gives this many outputs in a row, of all that they see.
_NARROW = 16
_BLOCK = 3


def convolutions_to_products(model: ir.Model) -> bool:
    """Rewrite every Conv over one axis.

    Requires: constant weights `[out, in / groups, taps]`, no dilation, no stride with groups.
    Ensures: no such Conv is left; each is Transpose, windows, MatMul, Add, Transpose. The
    transposes are for `layout.remove_transposes`.
    """
    changed = False
    for node in list(model.graph):
        if node.op_type != "Conv" or attribute(node, "auto_pad", "NOTSET") != "NOTSET":
            continue
        weight = constant(node.inputs[1])
        if weight is None or weight.ndim != 3 or set(attribute(node, "dilations", [1])) != {1}:
            continue
        if attribute(node, "group", 1) > 1 and set(attribute(node, "strides", [1])) != {1}:
            continue
        _rewrite(model.graph, node, weight)
        changed = True
    return changed


def _rewrite(graph: ir.Graph, node: ir.Node, weight: Array) -> None:
    write = Writer(graph, node)
    groups = attribute(node, "group", 1)
    stride = attribute(node, "strides", [1])[0]
    before, after = attribute(node, "pads", [0, 0])
    x = node.inputs[0]
    assert x is not None  # a Conv has one
    # sizes that are not known stay nameless: runtimes take the same name for the same size
    channels = weight.shape[1] * groups
    x = write.node("Transpose", [x], {"perm": [0, 2, 1]}, sizes=[None, None, channels])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if groups == 1:
        y = _dense(write, x, weight, stride, before, after)
    else:
        form = _grouped_blocks if weight.shape[1] < _NARROW else _grouped
        y = form(write, x, weight, groups, before, after)
    if bias is not None:
        y = write.node("Add", [y, bias], sizes=[None, None, weight.shape[0]])
    y = write.node("Transpose", [y], {"perm": [0, 2, 1]}, sizes=node.outputs[0].shape)
    replace(graph, node, y)


def _pad(write: Writer, x: ir.Value, before: int, after: int) -> ir.Value:
    if not before and not after:
        return x
    return write.node("Pad", [x, write.indices([0, before, 0, 0, after, 0], "pads")])


def _taps(write: Writer, x: ir.Value, axis: int, taps: int, stride: int) -> ir.Value:
    """Windows along `axis`, joined along the last axis."""
    parts = [
        write.node(
            "Slice",
            [
                x,
                write.indices([tap], "start"),
                write.indices([tap + 1 - taps if tap + 1 < taps else _END], "end"),
                write.indices([axis], "axis"),
                write.indices([stride], "stride"),
            ],
        )
        for tap in range(taps)
    ]
    return write.node("Concat", parts, {"axis": -1})


def _dense(
    write: Writer, x: ir.Value, weight: Array, stride: int, before: int, after: int
) -> ir.Value:
    out, channels, taps = weight.shape
    if taps > 1 or stride > 1 or before or after:
        x = _taps(write, _pad(write, x, before, after), 1, taps, stride)
    matrix = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(taps * channels, out))
    sizes = [None, None, out]
    return write.node("MatMul", [x, write.constant(matrix, "weight")], sizes=sizes)


def _grouped(
    write: Writer, x: ir.Value, weight: Array, groups: int, before: int, after: int
) -> ir.Value:
    """Many taps in two levels: windows of 16 taps, and shifted sums of their products.

    y[t] = sum_j sum_i w[16 j + i] x[t + 16 j + i]: one product per group gives every j at every t,
    and y is the sum of its column blocks, each shifted by 16 j. The windows are an eighth of what
    one window per output would copy.
    """
    out, width, taps = weight.shape
    inner = min(_INNER_TAPS, taps)
    outer = -(-taps // inner)
    padded_taps = outer * inner - taps
    weight = np.pad(weight, ((0, 0), (0, 0), (0, padded_taps)))
    group_outputs = out // groups
    x = _pad(write, x, before, after + padded_taps)
    split = write.node("Reshape", [x, write.indices([0, 0, groups, width], "split")])
    split = write.node("Transpose", [split], {"perm": [0, 2, 1, 3]})  # [batch, groups, time, width]
    windows = _taps(write, split, 2, inner, 1)
    blocks = weight.reshape(groups, group_outputs, width, outer, inner)
    # [groups, (tap, channel), (block, output)]
    matrix = np.ascontiguousarray(
        blocks.transpose(0, 4, 2, 3, 1).reshape(groups, inner * width, outer * group_outputs)
    )
    product = write.node("MatMul", [windows, write.constant(matrix, "weight")])
    parts = []
    for block in range(outer):
        later_rows = (outer - 1 - block) * inner
        parts.append(
            write.node(
                "Slice",
                [
                    product,
                    write.indices([block * inner, block * group_outputs], "start"),
                    write.indices(
                        [-later_rows if later_rows else _END, (block + 1) * group_outputs], "end"
                    ),
                    write.indices([2, 3], "axes"),
                ],
            )
        )
    total = write.node("Sum", parts) if len(parts) > 1 else parts[0]
    total = write.node("Transpose", [total], {"perm": [0, 2, 1, 3]})
    sizes = [None, None, out]
    return write.node("Reshape", [total, write.indices([0, 0, out], "join")], sizes=sizes)


def _grouped_blocks(
    write: Writer, x: ir.Value, weight: Array, groups: int, before: int, after: int
) -> ir.Value:
    """Outputs in blocks: a product per group gives three in a row of the frames that they see.

    y[3 n + b] = sum_f w[f - b] x[3 n + f]: weights are repeated three times, each time one frame
    later, with zeros around them. Frames are copied three at a time, and nothing is left to add up.
    """
    out, width, taps = weight.shape
    group_outputs = out // groups
    seen_blocks = -(-(_BLOCK + taps - 1) // _BLOCK)  # blocks that a block of outputs sees
    # whole blocks, so that no output is lost
    frames = _plus(write, _frames(write, x), before + after - taps + 1)
    blocks = write.node("Div", [_plus(write, frames, _BLOCK - 1), write.indices([_BLOCK], "block")])
    blocks = _plus(write, blocks, seen_blocks - 1)
    end = write.node("Mul", [blocks, write.indices([_BLOCK], "block")])
    x = _pad(write, x, before, after + _BLOCK * (seen_blocks + 1))
    zero, time = write.indices([0], "start"), write.indices([1], "axis")
    x = write.node("Slice", [x, zero, end, time])
    split = write.indices([0, -1, _BLOCK, groups, width], "split")
    x = write.node("Transpose", [write.node("Reshape", [x, split])], {"perm": [0, 3, 1, 2, 4]})
    x = write.node("Reshape", [x, write.indices([0, 0, -1, _BLOCK * width], "blocks")])
    windows = _taps(write, x, 2, seen_blocks, 1)
    shifted = np.zeros((groups, seen_blocks * _BLOCK, width, _BLOCK, group_outputs), weight.dtype)
    per_group = weight.reshape(groups, group_outputs, width, taps).transpose(0, 3, 2, 1)
    for b in range(_BLOCK):
        shifted[:, b : b + taps, :, b] = per_group
    # [groups, (frame, channel), (place in the block, output)]
    matrix = shifted.reshape(groups, seen_blocks * _BLOCK * width, _BLOCK * group_outputs)
    y = write.node("MatMul", [windows, write.constant(matrix, "weight")])
    y = write.node("Reshape", [y, write.indices([0, 0, 0, _BLOCK, group_outputs], "places")])
    y = write.node("Transpose", [y], {"perm": [0, 2, 3, 1, 4]})
    y = write.node("Reshape", [y, write.indices([0, -1, out], "join")])
    return write.node("Slice", [y, zero, frames, time], sizes=[None, None, out])


def _frames(write: Writer, x: ir.Value) -> ir.Value:
    """How many frames `x [batch, frames, channels]` has, `[1]`."""
    count = write.node("Shape", [x], {"start": 1, "end": 2}, sizes=[1])
    count.dtype = ir.DataType.INT64
    return count


def _plus(write: Writer, count: ir.Value, more: int) -> ir.Value:
    if not more:
        return count
    return write.node("Add", [count, write.indices([more], "more")])
