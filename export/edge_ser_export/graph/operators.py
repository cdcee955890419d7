"""Whether devices run the operators of a graph that was just written."""

from __future__ import annotations

from pathlib import Path

from edge_ser.bundle.onnx_graph import read_graph_file
from edge_ser.bundle.operators import foreign_operators
from edge_ser.errors import UsageError


def check_operators(graph: Path, kind: str) -> None:
    """Refuse a graph that no device would open, before the minutes of its proof.

    Args:
        graph: ONNX file.
        kind: of the encoder, named in the error.

    Raises:
        UsageError: the encoder is written with operators that are not run.
    """
    with graph.open("rb") as file:
        foreign = foreign_operators(read_graph_file(file, graph.name))
    if foreign:
        raise UsageError(
            f"encoder {kind}",
            expected="one of the operators that devices run",
            found=", ".join(foreign),
            advice="add what is harmless to edge_ser/bundle/operators.py",
        )
