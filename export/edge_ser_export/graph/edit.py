"""What passes share: looking at values, and writing nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Array = NDArray[Any]
Size = int | str | ir.SymbolicDim | None


def constant(value: ir.Value | None) -> Array | None:
    """What an initializer holds, or None for anything computed."""
    if value is None or value.const_value is None or value.producer() is not None:
        return None
    return np.asarray(value.const_value.numpy())


def shape(value: ir.Value) -> list[int | str]:
    """Known sizes of a value's axes; "?" where an axis is dynamic, empty where nothing is known."""
    if value.shape is None:
        return []
    return [d if isinstance(d, int) else "?" for d in value.shape]


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """An attribute's value, or ONNX's default."""
    value = node.attributes.get(name)
    return default if value is None else value.value


class Writer:
    """Writes nodes in front of one that is to be replaced.

    Args:
        graph: that the node belongs to.
        before: new nodes go in front of it, carry its metadata, and names that begin with its own.
    """

    def __init__(self, graph: ir.Graph, before: ir.Node) -> None:
        self.graph, self.before = graph, before
        self.prefix = before.name or before.outputs[0].name or "node"
        self._count = 0
        # earlier passes may have written for a node of the same name
        self._taken = {n.name for n in graph} | set(graph.initializers)

    def constant(self, array: Array, role: str) -> ir.Value:
        """A new initializer, named after the node and its role."""
        tensor = ir.tensor(array, name=self._unique(role))
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.initializers[tensor.name or ""] = value
        return value

    def indices(self, values: Sequence[int], role: str) -> ir.Value:
        """A constant of int64, shared by everyone who asks for the same numbers."""
        name = f"i64.{'_'.join(str(v).replace('-', 'm') for v in values)}"
        if name in self.graph.initializers:
            return self.graph.initializers[name]
        array = np.array(values, np.int64)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.initializers[name] = value
        return value

    def node(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any] | None = None,
        outputs: int = 1,
        sizes: Iterable[Size] | None = None,
        domain: str = "",
    ) -> ir.Value:
        """Write a node; returns its first output."""
        node = ir.node(operator, inputs, attributes or {}, domain=domain, num_outputs=outputs)
        node.name = self._unique(operator)
        node.metadata_props.update(self.before.metadata_props)
        for index, value in enumerate(node.outputs):
            value.name = node.name if outputs == 1 else f"{node.name}.{index}"
        source = next((i for i in inputs if i is not None), None)
        if source is not None and source.dtype is not None:
            node.outputs[0].dtype = source.dtype
        if sizes is not None:
            node.outputs[0].shape = ir.Shape(sizes)
        self.graph.insert_before(self.before, node)
        return node.outputs[0]

    def _unique(self, role: str) -> str:
        while True:
            self._count += 1
            name = f"{self.prefix}.{role}{self._count}"
            if name not in self._taken:
                return name


def replace(graph: ir.Graph, node: ir.Node, value: ir.Value, keep_name: bool = False) -> None:
    """Let everyone who read the node's only output read `value`; the node goes.

    Args:
        graph: of the node.
        node: to remove.
        value: what to read instead.
        keep_name: `value` takes the name too, as it is the same quantity computed otherwise.
    """
    old = node.outputs[0]
    name = old.name
    named = keep_name or old in graph.outputs  # names of outputs are part of the interface
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if named:
        value.name = name
        if old.shape is not None:
            value.shape = old.shape
