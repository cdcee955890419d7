"""Transformer layers that are traced once and written as often as the model has them.

The layers of an encoder differ in their weights alone, and tracing takes time for every operator:
of WavLM-large's 24 layers, two are traced, and what the second one became is written again for all
that follow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import TorchTensor

# Layers to trace: the second one is the pattern, as the first may compute what all of them share.
TRACED = 2
# Weights and modules of the second layer, by name.
_SECOND = re.compile(r"\b(encoder\.encoder\.layers|encoder\.attentions)\.1\b")


def named_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by every name that they have."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def repeat_layers(
    program: torch.onnx.ONNXProgram,
    tensors: Mapping[str, torch.Tensor],
    used: Collection[str],
    depth: int,
) -> bool:
    """Optimise a graph of two layers, and add the others.

    Args:
        program: not yet optimised, whose last two outputs are what comes out of either layer;
            changed in place.
        tensors: see `named_tensors`.
        used: names of those that were used while two layers were traced.
        depth: layers of the model.

    Returns:
        whether that was possible: layers have to be alike, and each weight of the second one has
        to be in the graph as it is in the model, not in something that was computed from it.
    """
    second_tensors = [name for name in used if _SECOND.match(name)]
    initializers = program.model.graph.initializers
    if (
        not second_tensors
        or any(name not in initializers for name in second_tensors)
        or not _alike(tensors, depth)
    ):
        return False
    data = dict(tensors)
    for name in second_tensors:
        if _turn(initializers[name]):
            data |= {n: tensors[n].t() for n in (_of(name, i) for i in range(1, depth))}
    # of equal weights the optimiser would keep one, and nothing would tell whose it was
    drawn = np.random.default_rng(0)
    for name in second_tensors:
        stand_in = drawn.standard_normal(tuple(data[name].shape), np.float32)
        initializers[name].const_value = ir.tensor(stand_in, name=name)
    program.optimize()
    graph = program.model.graph
    first, second = graph.outputs[-2:]
    del graph.outputs[-2:]
    layer = _layer(graph, first, second, second_tensors)
    if not layer:
        return False
    readers = [use for use in second.uses() if use.node not in layer]
    current, last = second, second.producer()
    for index in range(TRACED, depth):
        values: dict[ir.Value, ir.Value] = {first: current}
        for name in second_tensors:
            values[graph.initializers[name]] = _weight(graph, _of(name, index), data)
        copies = [_copy(node, values, index) for node in layer]
        assert last is not None  # a value between layers is computed
        graph.insert_after(last, copies)
        current, last = values[second], copies[-1]
    for use in readers:
        use.node.replace_input_with(use.idx, current)
    for name in second_tensors:
        graph.initializers[name].const_value = TorchTensor(data[name].detach(), name=name)
    return True


def _alike(tensors: Mapping[str, torch.Tensor], depth: int) -> bool:
    """Whether all layers from the second on have tensors of the same names, sizes and types."""
    second = {n: t for n, t in tensors.items() if _SECOND.match(n)}
    for index in range(TRACED, depth):
        second_by_name = {_of(n, index): t for n, t in second.items()}
        if any(
            n not in tensors or tensors[n].shape != t.shape or tensors[n].dtype != t.dtype
            for n, t in second_by_name.items()
        ):
            return False
        starts = tuple({m[1] + f".{index}." for n in second if (m := _SECOND.match(n))})
        if sum(n.startswith(starts) for n in tensors) != len(second_by_name):
            return False
    return True


def _turn(weight: ir.Value) -> bool:
    """Take a matrix for its transpose, if that is all that is read of it."""
    readers = [use.node for use in weight.uses()]
    if any(node.op_type != "Transpose" for node in readers) or len(weight.shape or ()) != 2:
        return False
    rows, columns = weight.shape or (0, 0)
    weight.shape = ir.Shape([columns, rows])
    for node in readers:
        node.outputs[0].replace_all_uses_with(weight)
        if node.graph is not None:
            node.graph.remove(node, safe=True)
    return True


def _layer(
    graph: ir.Graph, first: ir.Value, second: ir.Value, own: Collection[str]
) -> list[ir.Node]:
    """Nodes that make one value of the other and of weights `own`; none if others share in it."""
    weights = {graph.initializers[name] for name in own if name in graph.initializers}
    derived: set[ir.Value | None] = {first, *weights}
    behind = []
    for node in graph:
        if any(v in derived for v in node.inputs):
            behind.append(node)
            derived.update(node.outputs)
    needed: set[ir.Value | None] = {second}
    nodes = []
    for node in reversed(behind):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    nodes.reverse()
    inside = set(nodes)
    leaking = any(
        use.node not in inside
        for node in nodes
        for value in node.outputs
        for use in value.uses()
        if value is not second
    )
    # a constant that only this layer reads may have been computed from its weights
    private = any(
        v is not None
        and v.is_initializer()
        and v not in weights
        and all(use.node in inside for use in v.uses())
        for v in needed
    )
    complete = len(weights) == len(own) and weights <= needed and nodes[-1:] == [second.producer()]
    return nodes if complete and not leaking and not private else []


def _of(name: str, index: int) -> str:
    """A name of the second layer, as it is in another."""
    return _SECOND.sub(rf"\1.{index}", name)


def _weight(graph: ir.Graph, name: str, tensors: Mapping[str, torch.Tensor]) -> ir.Value:
    data = TorchTensor(tensors[name].detach(), name=name)
    value = ir.Value(name=name, shape=data.shape, type=ir.TensorType(data.dtype), const_value=data)
    graph.initializers[name] = value
    return value


def _copy(node: ir.Node, values: dict[ir.Value, ir.Value], index: int) -> ir.Node:
    """A node of another layer; what it gives is added to `values`."""
    copy = ir.Node(
        node.domain,
        node.op_type,
        [v if v is None else values.get(v, v) for v in node.inputs],
        node.attributes.values(),
        num_outputs=len(node.outputs),
        name=f"{node.name}.{index}",
        metadata_props={k: _of(v, index) for k, v in node.metadata_props.items()},
    )
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        new.name, new.shape, new.type = f"{old.name}.{index}", old.shape, old.type
        values[old] = new
    return copy
