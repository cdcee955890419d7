"""Table lookups that copy rows instead of single numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edge_ser_export.graph.edit import Writer, attribute, constant, replace


def lookups_to_rows(model: ir.Model) -> bool:
    """Rewrite Gather of columns of a constant matrix as Gather of rows, transposed.

    WavLM's relative position bias is such a lookup, of frames x frames columns: eight times as fast
    by rows, each of which holds all heads.

    Requires: a constant table `[rows, columns]` and axis 1.
    Ensures: no such Gather with a list of indices is left.
    """
    changed = False
    for node in list(model.graph):
        if node.op_type != "Gather" or attribute(node, "axis", 0) not in (1, -1):
            continue
        table, index = constant(node.inputs[0]), node.inputs[1]
        if table is None or table.ndim != 2 or index is None or index.shape is None:
            continue
        if len(index.shape) != 1:
            continue
        write = Writer(model.graph, node)
        rows = write.constant(np.ascontiguousarray(table.T), "rows")
        picked_rows = write.node("Gather", [rows, index], {"axis": 0}, sizes=[None, table.shape[0]])
        sizes = node.outputs[0].shape
        y = write.node("Transpose", [picked_rows], {"perm": [1, 0]}, sizes=sizes)
        replace(model.graph, node, y)
        changed = True
    return changed
