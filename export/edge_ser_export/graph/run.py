"""Graphs under construction, run by ONNX Runtime: answers, and what was computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import concatenate
from edge_ser.host.offline import import_onnxruntime
from edge_ser.measure.parts import of_encoder
from edge_ser.measure.products import products
from edge_ser.session import pad_batch

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ort = import_onnxruntime()
Samples = NDArray[np.float32]


def open_graph(path: Path, threads: int = 1, in_order: bool = False) -> InferenceSession:
    """A session as a device opens it.

    Args:
        path: of the ONNX file.
        threads: for one operator.
        in_order: run nodes in the order in which they are written.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if in_order:
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feed(rows: list[Samples]) -> dict[str, NDArray[Any]]:
    """Inputs of a graph for a batch of utterances `[n]`."""
    samples, lengths = pad_batch(rows)
    return {"samples": samples, "lengths": lengths}


def answers(session: InferenceSession, utterances: Iterable[Samples]) -> Outputs:
    """Outputs for utterances, run one by one."""
    names = [o.name for o in session.get_outputs()]
    parts = []
    for x in utterances:
        parts.append(Outputs(dict(zip(names, session.run(None, feed([x])), strict=True))))
    return concatenate(parts)


def answers_in_pairs(session: InferenceSession, utterances: Iterable[Samples]) -> Outputs:
    """Outputs for utterances, run two at a time, each padded to the longer one of its batch.

    Where scales are measured in the run, one row's are measured on its neighbour too.
    """
    names = [o.name for o in session.get_outputs()]
    parts = []
    several = iter(utterances)
    while rows := list(itertools.islice(several, 2)):
        parts.append(Outputs(dict(zip(names, session.run(None, feed(rows)), strict=True))))
    return concatenate(parts)


# --- what was computed


@dataclass(frozen=True)
class Multiplications:
    """One operator of one run.

    Attributes:
        node: its name, which begins with its module.
        operator: type.
        kind: of the arithmetic: "int8", "float16" or "float32".
        macs: multiply-accumulates.
    """

    node: str
    operator: str
    kind: str
    macs: int


def multiplications(path: Path, seconds: float) -> list[Multiplications]:
    """What the runtime really multiplied in one run, after its own rewriting of the graph.

    Args:
        path: of the graph.
        seconds: length of the utterance, 16 kHz.
    """
    executed = products(path, feed([np.zeros(int(seconds * 16_000), np.float32)]))
    return [
        Multiplications(p.node, p.operator, "float32" if p.kind == "float" else p.kind, p.macs)
        for p in executed
    ]


@dataclass(frozen=True)
class Share:
    """How much of a model is computed in a kind of arithmetic.

    Attributes:
        encoder: share of the encoder's multiply-accumulates, without the log-mel front end.
        everything: share of all of them.
        macs: all of them, for `seconds` of speech.
        seconds: length of the utterance.
        rest: modules that compute otherwise, with their shares of everything, largest first.
    """

    encoder: float
    everything: float
    macs: int
    seconds: float
    rest: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def share_of(kind: str, path: Path, seconds: float = 5.0) -> Share:
    """The share of a graph's multiply-accumulates that the runtime does in `kind`.

    The log-mel front end of the spectral models is audio pre-processing that happens to be in the
    graph: it is not counted as the encoder's, but is in `everything` and in `other_macs`.

    Args:
        kind: "int8" or "float16".
        path: of the graph.
        seconds: length of the utterance, 16 kHz.
    """
    executed = multiplications(path, seconds)
    encoder = [m for m in executed if of_encoder(m.node)]
    total = sum(m.macs for m in executed)
    other_macs: dict[str, int] = {}
    for m in executed:
        if m.kind != kind:
            module = m.node.split("/")[0]
            other_macs[module] = other_macs.get(module, 0) + m.macs
    ranked = sorted(other_macs.items(), key=lambda item: -item[1])

    def share(products: list[Multiplications]) -> float:
        return sum(m.macs for m in products if m.kind == kind) / max(
            1, sum(m.macs for m in products)
        )

    return Share(
        encoder=share(encoder),
        everything=share(executed),
        macs=total,
        seconds=seconds,
        rest={name: macs / total for name, macs in ranked[:12]},
    )
