"""Activations in terms of what ONNX Runtime computes fast."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, replace

# Beyond it tanh(softplus(x)) is 1 to the last bit of float32, and exp(x)^2 is still finite.
_LARGE = 20.0


def mish_by_exponential(model: ir.Model) -> bool:
    """Rewrite x tanh(ln(1 + e^x)) as x n / (n + 2) with n = e^x (e^x + 2).

    tanh(ln(1 + e^x)) = ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1). The runtime's logarithm is computed
    element by element; its exponential is vectorised.

    Ensures: no Mish is left.
    """
    changed = False
    for node in list(model.graph):
        if node.op_type != "Mish" or node.inputs[0] is None:
            continue
        x = node.inputs[0]
        write = Writer(model.graph, node)
        sizes = node.outputs[0].shape
        two = write.constant(np.array(2, np.float32), "two")
        small = write.node("Min", [x, write.constant(np.array(_LARGE, np.float32), "large")])
        e = write.node("Exp", [small], sizes=sizes)
        n = write.node("Mul", [e, write.node("Add", [e, two], sizes=sizes)], sizes=sizes)
        share = write.node("Div", [n, write.node("Add", [n, two], sizes=sizes)], sizes=sizes)
        replace(model.graph, node, write.node("Mul", [x, share], sizes=sizes))
        changed = True
    return changed
