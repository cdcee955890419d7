"""Passes over an ONNX graph; each says what it ensures and whether it changed anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# A Cast node costs about 150 bytes: small tensors would grow.
_MIN_ELEMENTS = 512


def strip_metadata(model: onnx.ModelProto) -> bool:
    """Remove the exporter's notes: stack traces, node metadata, stale shapes of inner tensors.

    Ensures that a bundle carries no path of the machine that made it. What is left of shapes is
    that of inputs and outputs; runtimes infer the rest.
    """
    before = model.ByteSize()
    _strip(model)
    _strip_graph(model.graph)
    for function in model.functions:
        _strip(function)
        del function.value_info[:]
        _strip_nodes(function.node)
    return bool(model.ByteSize() != before)


def _strip(part: Any) -> None:
    part.doc_string = ""
    del part.metadata_props[:]


def _strip_graph(graph: onnx.GraphProto) -> None:
    _strip(graph)
    del graph.value_info[:]
    for part in (*graph.input, *graph.output, *graph.initializer):
        _strip(part)
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        _strip(node)
        for attribute in node.attribute:
            attribute.doc_string = ""
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _strip_graph(inner)


def store_half(model: onnx.ModelProto) -> bool:
    """Store float32 weights that float16 holds exactly as float16, followed by a Cast.

    Ensures identical results: the runtime folds the Cast when it loads the model. For
    checkpoints that were saved in float16.
    """
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        array = None
        if tensor.data_type == TensorProto.FLOAT and tensor.data_location != TensorProto.EXTERNAL:
            array = numpy_helper.to_array(tensor)
        if array is None or array.size < _MIN_ELEMENTS:
            kept.append(tensor)
            continue
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            kept.append(tensor)
            continue
        name = f"{tensor.name}.half"
        kept.append(numpy_helper.from_array(half, name))
        casts.append(
            helper.make_node(
                "Cast", [name], [tensor.name], name=f"{tensor.name}.widen", to=TensorProto.FLOAT
            )
        )
    if not casts:
        return False
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return True
