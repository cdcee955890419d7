"""Which graphs are run: of the operators that exports write, between the tensors of the manifest.

What is not listed is not run: loops and branches hang or end a process, sequences and text have no
use here, and operators of other domains are code of others. The list is what the exports of every
target and encoder write, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.bundle.onnx_graph import GraphFacts, Tensor
from edge_ser.errors import BundleError

# By domain, "" being ONNX's own.
OPERATORS = {
    "": {
        "Add", "Cast", "Clip", "Concat", "Conv", "DequantizeLinear", "Div",
        "DynamicQuantizeLinear", "Exp", "Expand", "Gather", "Gelu", "Gemm", "GreaterOrEqual",
        "LayerNormalization", "LessOrEqual", "Log", "MatMul", "MatMulInteger", "Min", "Mish",
        "Mul", "Neg", "Pad", "QuantizeLinear", "Range", "Reciprocal", "ReduceMean", "ReduceSum",
        "Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze",
        "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where",
    },
    "com.microsoft": {"MatMulIntegerToFloat"},
}  # fmt: skip


def foreign_operators(facts: GraphFacts) -> list[str]:
    """Operators and domains of a graph that are not listed, in words."""
    foreign = sorted(_name(d, n) for d, n in facts.operators if n not in OPERATORS.get(d, ()))
    return foreign + sorted(f"domain {d}" for d in facts.domains if d not in OPERATORS)


def check_graph(facts: GraphFacts, manifest: Manifest, where: object) -> None:
    """Refuse a graph with other operators, or with other inputs and outputs than its manifest's.

    Args:
        facts: of the graph.
        manifest: of the bundle.
        where: named in errors.

    Raises:
        BundleError: saying which.
    """
    foreign = foreign_operators(facts)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise BundleError(
            where,
            expected="a graph of the operators that exports write",
            found=f"{foreign[0]:.60}{more}",
            advice="do not use this bundle, or upgrade edge-ser if it is of a later version",
        )
    _check_tensors("inputs", manifest.inputs, facts.inputs, where)
    # what a manifest does not name is not asked for
    named = {spec.name for spec in manifest.outputs}
    outputs = {name: tensor for name, tensor in facts.outputs.items() if name in named}
    _check_tensors("outputs", manifest.outputs, outputs, where)


def _check_tensors(
    kind: str, specs: Sequence[TensorSpec], tensors: Mapping[str, Tensor], where: object
) -> None:
    expected = {spec.name: Tensor(spec.dtype, _sizes(spec.shape)) for spec in specs}
    if expected != tensors:
        raise BundleError(
            where,
            expected=f"{kind} {_words(expected)}",
            found=_words(tensors) or "none",
            advice="do not use this bundle",
        )


def _sizes(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _words(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(
        f"{name} {dtype} [{', '.join('any' if s is None else str(s) for s in shape)}]"
        for name, (dtype, shape) in tensors.items()
    )


def _name(domain: str, operator: str) -> str:
    return f"{domain}.{operator}" if domain else operator
