"""Graphs of a few nodes, written as text, with shapes as the exporter gives them."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from helpers.traced_graphs import session

Array = NDArray[Any]


def graph(text: str, modules: dict[str, str] | None = None, **weights: Array) -> ir.Model:
    """A model from ONNX's own text form, `(inputs) => (outputs) { nodes }`.

    Args:
        text: of the graph, without its name.
        modules: of the PyTorch model that nodes come from, by the name of a node's first output.
        weights: initializers.
    """
    header = '<ir_version: 10, opset_import: ["" : 20]> g '
    model = onnx.parser.parse_model(header + text)
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
        if modules and node.output[0] in modules:
            entry = node.metadata_props.add()
            entry.key = "pkg.torch.onnx.name_scopes"
            entry.value = repr(["", modules[node.output[0]], node.output[0]])
    return ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True))


def run(model: ir.Model, **inputs: Array) -> list[Any]:
    return list(session(model).run(None, inputs))


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def operators(model: ir.Model) -> list[str]:
    return [n.op_type for n in model.graph]


def written(model: ir.Model) -> bytes:
    """Everything about a model, to compare two."""
    return ir.to_proto(model).SerializeToString(deterministic=True)
