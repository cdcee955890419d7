"""Names that say where in the model a node or a weight belongs."""

from __future__ import annotations

import ast
import re

import onnx_ir as ir

# Written by the exporter: the modules around a node, outermost first, and the operation.
_SCOPES = "pkg.torch.onnx.name_scopes"
# What the exporter folded is called `val_17`; what passes add carries the name of its node.
_ANONYMOUS = re.compile(r"^val_\d+$")


def name_nodes(model: ir.Model) -> bool:
    """Name nodes `module/Operator` and unnamed weights `module.weight`.

    Requires: the exporter's metadata. Nodes without it keep their names.
    Ensures: every node's name is unique.
    """
    changed = False
    count_of: dict[str, int] = {}
    names: set[str] = set()
    for node in model.graph:
        module = module_of(node)
        stem = name = f"{module}/{node.op_type}" if module else (node.name or node.op_type)
        while name in names:
            count_of[stem] = count_of.get(stem, 0) + 1
            name = f"{stem}.{count_of[stem]}"
        names.add(name)
        changed |= node.name != name
        node.name = name
    tensor_names = set(model.graph.initializers)
    for name, value in list(model.graph.initializers.items()):
        uses = list(value.uses())
        if not uses or not _ANONYMOUS.match(name) or value.shape is None or len(value.shape) < 2:
            continue
        module = module_of(uses[0].node)
        fresh = f"{module}.weight"
        if module and fresh not in tensor_names:
            tensor_names.add(fresh)
            value.name = fresh
            changed = True
    return changed


def module_of(node: ir.Node) -> str:
    """Path of the PyTorch module that a node was traced from; empty where nothing tells."""
    text = node.metadata_props.get(_SCOPES)
    if not text:
        return ""
    scopes = ast.literal_eval(text)
    return str(scopes[-2]) if len(scopes) > 1 else ""


def group_of(module: str) -> str:
    """The part of a model that a module belongs to: what is kept in higher precision as one."""
    for pattern, name in _GROUPS:
        match = re.match(pattern, module)
        if match:
            return name.format(*match.groups())
    return module or "rest"


_GROUPS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"encoder\.log_mel", "log-mel"),
        (r"encoder\.convolutions\.(\d+)", "stem {0}"),
        (r"encoder\.conv(\d+)", "stem {0}"),
        (r"encoder\.projection", "projection"),
        (r"encoder\.(?:position|pos_conv)", "position"),
        (r"encoder\.attentions\.(\d+)", "layer {0} attention"),
        (r"encoder\.encoder\.layers\.(\d+)\.feed_forward", "layer {0} feed-forward"),
        (r"encoder\.layers\.(\d+)\.(?:up|down)_proj", "layer {0} feed-forward"),
        (r"encoder\.layers\.(\d+)", "layer {0} attention"),
        (r"pooling\.spectral", "pooling spectral"),
        (r"pooling\.temporal", "pooling temporal"),
        (r"pooling", "pooling attention"),
        (r"vad_head", "VAD head"),
        (r"region_head", "region head"),
        (r"category_head", "category head"),
    )
)
