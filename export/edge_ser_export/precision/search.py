"""Which parts of a model go back to a higher precision: the worst ones, until the answers hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge_ser.measure.parts import of_encoder
from edge_ser_export.graph.run import multiplications

Parts = tuple[str, ...]


class Outcome(Enum):
    """Of a graph with some parts left in a higher precision."""

    PASSES = "the answers hold"
    FAILS = "they do not"
    TOO_LITTLE = "less than the gate asks for is left in the lower precision"


def give_back(
    worst: Sequence[str], attempt: Callable[[Parts], Outcome], doubling: bool = False
) -> Parts | None:
    """Leave more and more of the worst parts in a higher precision, until the answers hold.

    Args:
        worst: parts of the model, the one to give up first at the beginning.
        attempt: tries a graph without the parts.
        doubling: give up twice as many each time, where an attempt is dear.

    Returns:
        the parts that were given up in the attempt that passed; None: none did.
    """
    # of one that doubles, the last step leaves something to lower; the other tries all of them
    steps = (2**i for i in itertools.count()) if doubling else itertools.count(1)
    max_parts = len(worst) - 1 if doubling else len(worst)
    for count in itertools.takewhile(lambda n: n <= max_parts, steps):
        parts = tuple(worst[:count])
        outcome = attempt(parts)
        if outcome is Outcome.PASSES:
            return parts
        if outcome is Outcome.TOO_LITTLE:
            return None
    return None


@dataclass(frozen=True)
class Multiplied:
    """Multiplications of one run of a model, by its parts.

    Attributes:
        parts: of each part, all of them.
        encoder: of each part, those of the encoder, as gates on precision count them.
        encoder_total: of the encoder, whatever part they are in.
    """

    parts: Mapping[str, int]
    encoder: Mapping[str, int]
    encoder_total: int

    def encoder_share(self, parts: Sequence[str]) -> float:
        """Share of the encoder's multiplications that are in some parts."""
        return sum(self.encoder.get(p, 0) for p in parts) / max(1, self.encoder_total)


def count_multiplications(graph: Path, part_of: Mapping[str, str], seconds: float) -> Multiplied:
    """Count what the runtime multiplies.

    Args:
        graph: in float32.
        part_of: node -> the part of the model that it belongs to.
        seconds: length of the utterance, 16 kHz.
    """
    parts: dict[str, int] = {}
    encoder: dict[str, int] = {}
    total = 0
    for m in multiplications(graph, seconds):
        total += m.macs if of_encoder(m.node) else 0
        # the runtime adds to a name what it fused the node with
        names = (m.node, m.node.rsplit("/", 1)[0], m.node.rsplit("/", 2)[0])
        part = next((part_of[n] for n in names if n in part_of), None)
        if part is not None:
            parts[part] = parts.get(part, 0) + m.macs
            encoder[part] = encoder.get(part, 0) + (m.macs if of_encoder(m.node) else 0)
    return Multiplied(parts, encoder, total)
