"""What a draw of utterances is balanced over: the classes that a model's answers fall into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import CATEGORY_LOGITS, VAD
from edge_ser.emotion.heads import Head
from edge_ser.emotion.scale import scores_from_unit
from edge_ser.emotion.sphere import Partition, to_cartesian
from edge_ser.label_table import Scores


class Classes(Protocol):
    """Classes of utterances, by number."""

    @property
    def output(self) -> str:
        """Name of the model's output that tells the class."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in their order."""

    def of_scores(self, scores: Scores) -> int | None:
        """By arousal, dominance and valence on 1..7; None where those do not tell it."""

    def of_answer(self, answer: NDArray[Any]) -> int:
        """By a row of the output, of finite numbers."""


@dataclass(frozen=True)
class Regions:
    """Of the emotion sphere, in a model of arousal, dominance and valence."""

    partition: Partition
    output: str = VAD

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions."""
        return tuple(region.name for region in self.partition.regions)

    def of_scores(self, scores: Scores) -> int:
        """The region that the point lies in."""
        return int(self.partition.index(to_cartesian(scores)))

    def of_answer(self, answer: NDArray[Any]) -> int:
        """The region of arousal, dominance and valence `[3]` on 0..1."""
        return int(self.partition.index(to_cartesian(scores_from_unit(answer.reshape(3)))))


@dataclass(frozen=True)
class Categories:
    """That a model tells apart."""

    names: tuple[str, ...]
    output: str = CATEGORY_LOGITS

    def of_scores(self, _: Scores) -> None:
        """Scores name no category."""

    def of_answer(self, answer: NDArray[Any]) -> int:
        """The most probable one, of logits `[categories]`."""
        return int(np.asarray(answer).argmax())


def classes_of(heads: Sequence[Head], partition: Partition) -> Classes:
    """What calibration speech for a model is balanced over: regions where it has dimensions.

    Args:
        heads: of the model.
        partition: its regions.
    """
    by_kind = {head.kind: head for head in heads}
    if "dimensions" in by_kind:
        return Regions(partition)
    return Categories(by_kind["categories"].names)
