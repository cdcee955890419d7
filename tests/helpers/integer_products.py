"""Products in integers, as tests of the passes ask for them on this machine."""

from edge_ser.host.cpu import integer_preset
from edge_ser_export.graph.integers import Extremes, Scheme
from helpers.small_graphs import Array

INTEGER = {"MatMulIntegerToFloat", "MatMulInteger"}
QUANTIZERS = {"QuantizeLinear", "DynamicQuantizeLinear"}
# what this machine adds up without saturating
BITS = 7 if integer_preset() == "x86" else 8


def everything(_: str) -> bool:
    """Every product."""
    return True


def scheme(
    extremes: dict[str, Extremes] | None = None, migration: dict[str, Array] | None = None
) -> Scheme:
    """A scheme of this machine's bits."""
    return Scheme(extremes, migration or {}, BITS)
