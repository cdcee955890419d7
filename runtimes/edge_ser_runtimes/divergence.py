"""Where two computations of a model part: their graphs' tensors, compared one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.samples import from_int16
from edge_ser.bundle.onnx_graph import GraphNode, read_nodes
from edge_ser.errors import UsageError
from edge_ser_runtimes.exposed import Side, parts

# How far apart tensors may be, as a share of the largest magnitude: a hundred times what another
# order of additions gives, or what the coarser arithmetic does to the first layers. The same graph
# in eight bits rounds to the same integers, but for those on an edge.
_TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 0.1}
_EIGHT_BITS, _SAME_EIGHT_BITS = 0.3, 0.05


@dataclass(frozen=True)
class TensorDifference:
    """A tensor, computed twice.

    Attributes:
        tensor: its name.
        node: name of the node that writes it.
        operator: of that node.
        reads: tensors and weights that the node reads.
        read_by: nodes that read the tensor.
        shape: of the tensor.
        difference: the largest, as a share of the reference's largest magnitude.
    """

    tensor: str
    node: str
    operator: str
    reads: tuple[str, ...]
    read_by: tuple[str, ...]
    shape: tuple[int, ...]
    difference: float


@dataclass(frozen=True)
class Divergence:
    """A graph's tensors against those of another computation, in the order of the graph.

    Attributes:
        ours: what was computed with which, in words.
        reference: what it was compared with, in words.
        utterance: name of the recorded one.
        tolerance: see `TensorDifference.difference`; what is beyond it differs.
        tensors: that both have, and that hold floating-point numbers.
        answers: the largest difference of the answers, in the same measure.
    """

    ours: str
    reference: str
    utterance: str
    tolerance: float
    tensors: tuple[TensorDifference, ...]
    answers: float

    @property
    def first(self) -> TensorDifference | None:
        """The first tensor that differs; None: none does."""
        return next((t for t in self.tensors if not t.difference <= self.tolerance), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        first = self.first
        tensors = [asdict(t) | {"difference": _number(t.difference)} for t in self.tensors]
        named = None if first is None else first.tensor
        answers = _number(self.answers)
        return asdict(self) | {"tensors": tensors, "first": named, "answers": answers}


def find_divergence(ours: Side, reference: Side) -> Divergence:
    """Compare two computations on the recorded utterance whose answers are farthest apart.

    Args:
        ours: what is in question.
        reference: what is trusted.

    Raises:
        BundleError: there is no recorded utterance, or a runtime cannot compute a graph.
        UsageError: the two graphs have no tensor in common but their answers, or give answers of
            other sizes.
    """
    nodes = read_nodes(ours.graph())
    theirs = {name for node in read_nodes(reference.graph()) for name in node.outputs}
    common = [name for node in nodes for name in node.outputs if name in theirs]
    answers = [o.name for o in ours.bundle.manifest.outputs if o.name in theirs]
    if not answers or len(common) <= len(answers):
        raise UsageError(
            reference.words,
            expected="a graph of the same model, whose tensors have the same names",
            found="none that both have",
            advice="export both with the same version of edge-ser",
        )
    utterance, samples = _utterance(ours, reference, answers)
    tensors: list[TensorDifference] = []
    for names in parts(common):
        (here,), (there,) = (side.tensors(names, [samples]) for side in (ours, reference))
        tensors += _compare(here, there, nodes)
    return Divergence(
        ours.words,
        reference.words,
        utterance,
        tolerance_of(ours, reference),
        tuple(tensors),
        max(t.difference for t in tensors if t.tensor in answers),
    )


def _compare(
    here: Mapping[str, NDArray[Any]], there: Mapping[str, NDArray[Any]], nodes: Sequence[GraphNode]
) -> list[TensorDifference]:
    """What holds floating-point numbers of one shape on both sides, in the order of the nodes."""
    return [
        TensorDifference(
            tensor=name,
            node=node.name,
            operator=node.operator,
            reads=node.inputs,
            read_by=tuple(reader.name for reader in nodes if name in reader.inputs),
            shape=here[name].shape,
            difference=_difference(here[name], there[name]),
        )
        for node in nodes
        for name in node.outputs
        if name in here and _is_comparable(here[name], there[name])
    ]


def tolerance_of(ours: Side, reference: Side) -> float:
    """How far apart tensors of two computations may be."""
    precisions = [side.bundle.manifest.precision for side in (ours, reference)]
    if all(precision in _TOLERANCES for precision in precisions):
        return max(_TOLERANCES[precision] for precision in precisions)
    return _SAME_EIGHT_BITS if ours.graph() == reference.graph() else _EIGHT_BITS


def _utterance(
    ours: Side, reference: Side, answers: Sequence[str]
) -> tuple[str, NDArray[np.float32]]:
    """The recorded utterance whose answers differ most, normalised."""
    golden = ours.bundle.golden()
    preprocessing = ours.bundle.manifest.preprocessing
    rows = [preprocessing.normalize(from_int16(x)) for x in golden.samples]
    here, there = (side.tensors(answers, rows) for side in (ours, reference))
    for name in answers:
        sizes = [side[0][name].shape[-1] for side in (here, there)]
        if sizes[0] != sizes[1]:
            raise UsageError(
                reference.words,
                expected=f"a graph of the same model, with {sizes[0]} numbers of {name}",
                found=str(sizes[1]),
            )
    apart = [
        max(_difference(a[name], b[name]) for name in answers)
        for a, b in zip(here, there, strict=True)
    ]
    worst = int(np.argmax(np.nan_to_num(apart, nan=np.inf)))
    return golden.names[worst], rows[worst]


def _number(difference: float) -> float | None:
    """As JSON has it, which knows neither NaN nor infinity."""
    return difference if np.isfinite(difference) else None


def _is_comparable(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether both are floating-point numbers of one shape."""
    return a.dtype.kind == "f" and b.dtype.kind == "f" and a.shape == b.shape and a.size > 0


def _difference(value: NDArray[Any], reference: NDArray[Any]) -> float:
    """The largest difference, as a share of the reference's largest finite magnitude."""
    a, b = value.astype(np.float64), reference.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.where(same, 0.0, a - b)).max()
    finite = np.abs(b[np.isfinite(b)])
    largest = finite.max() if finite.size else 0.0
    if apart == 0 or largest == 0:
        return float(apart)
    return float(apart / largest)
