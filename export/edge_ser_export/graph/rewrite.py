"""What is done to a traced graph before it goes into a bundle.

`strip_metadata` and `store_half` work on the file's own protocol buffers and leave weights in files
of their own untouched; the passes of `edge_ser_export.passes` work on a model in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)

from edge_ser_export.graph.activations import mish_by_exponential
from edge_ser_export.graph.layout import remove_transposes
from edge_ser_export.graph.lookup import lookups_to_rows
from edge_ser_export.graph.names import name_nodes
from edge_ser_export.graph.products import heads_to_products
from edge_ser_export.graph.sums import sums_over_time_to_products
from edge_ser_export.graph.windows import convolutions_to_products

# In this order: names need the exporter's metadata, the rest its shapes.
CPU_PASSES: tuple[Callable[[ir.Model], bool], ...] = (
    name_nodes,
    convolutions_to_products,
    remove_transposes,
    sums_over_time_to_products,
    heads_to_products,
    mish_by_exponential,
    lookups_to_rows,
)

# A Cast node costs about 150 bytes: small tensors would grow.
_MIN_ELEMENTS = 512


def optimize_for_cpu(model: ir.Model) -> list[str]:
    """Rewrite a traced graph so that ONNX Runtime's matrix products do all the heavy work.

    Ensures: the same answers up to the order of additions; every convolution and Gemm a MatMul.

    Args:
        model: fresh from `trace`, with the exporter's metadata and shapes; changed in place.

    Returns:
        names of the passes that changed something.
    """
    changing_passes = [rewrite.__name__ for rewrite in CPU_PASSES if rewrite(model)]
    tidy(model)
    return changing_passes


def tidy(model: ir.Model) -> None:
    """Remove what nobody reads, compute the same thing once, drop shapes that may be stale."""
    CommonSubexpressionEliminationPass()(model)
    RemoveUnusedNodesPass()(model)
    TopologicalSortPass()(model)
    interface = {*model.graph.inputs, *model.graph.outputs}
    for node in model.graph:
        for value in node.outputs:
            if value not in interface:
                value.shape = value.type = None


def save(model: ir.Model, path: Path, external_bytes: int) -> None:
    """Write a graph; weights larger than `external_bytes` in all go to a file beside it."""
    weights = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    beside = f"{path.name}.data" if weights > external_bytes else None
    ir.save(model, path, external_data=beside)


def save_beside(model: ir.Model, path: Path, source: Path, external_bytes: int) -> None:
    """Write a graph made from `source`; large weights stay in its files, if in the same folder.

    Requires: weights as they were loaded, and that `source` and its files outlive `path`.
    """
    if source.parent == path.parent:
        ir.save(model, path)
    else:
        save(model, path, external_bytes)


def describe(path: Path) -> dict[str, Any]:
    """Operators of a graph by how often they occur, and bytes of the graph with its weights."""
    model = onnx.load(path, load_external_data=False)
    counts = Counter(node.op_type for node in model.graph.node)
    size = sum(f.stat().st_size for f in path.parent.glob(f"{path.name}*"))
    return {"operators": dict(counts.most_common()), "bytes": size}


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
    casts, tensors = [], []
    for tensor in graph.initializer:
        array = None
        if tensor.data_type == TensorProto.FLOAT and tensor.data_location != TensorProto.EXTERNAL:
            array = numpy_helper.to_array(tensor)
        if array is None or array.size < _MIN_ELEMENTS:
            tensors.append(tensor)
            continue
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            tensors.append(tensor)
            continue
        name = f"{tensor.name}.half"
        tensors.append(numpy_helper.from_array(half, name))
        casts.append(
            helper.make_node(
                "Cast", [name], [tensor.name], name=f"{tensor.name}.widen", to=TensorProto.FLOAT
            )
        )
    if not casts:
        return False
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(tensors)
    graph.node.extend(nodes)
    return True
