"""Evaluation of a joint model against labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ser.audio import Preprocessing
from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit
from edge_ser.emotion.sphere import Partition, to_cartesian
from edge_ser.errors import DataError
from edge_ser.fidelity.metrics import ccc
from edge_ser_export.training.data import Corpus


@dataclass(frozen=True)
class SplitScores:
    """Scores of a model on one split.

    Attributes:
        count: utterances.
        ccc: concordance per dimension: arousal, dominance, valence.
        region_head: share of utterances whose region the head names; None without a head.
        region_geometric: share whose predicted point lies in the region of the label.
    """

    count: int
    ccc: tuple[float, float, float]
    region_head: float | None
    region_geometric: float

    @property
    def total(self) -> float:
        """Sum of the three CCCs, by which the best epoch is chosen."""
        return sum(self.ccc)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "count": self.count,
            "ccc": dict(zip(DIMENSIONS, self.ccc, strict=True)),
            "region_head": self.region_head,
            "region_geometric": self.region_geometric,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SplitScores:
        """The reverse of `to_dict`."""
        a, d, v = (float(data["ccc"][name]) for name in DIMENSIONS)
        return cls(data["count"], (a, d, v), data["region_head"], data["region_geometric"])

    def __str__(self) -> str:
        parts = [f"{d} {c:.3f}" for d, c in zip(DIMENSIONS, self.ccc, strict=True)]
        head = "" if self.region_head is None else f", head {self.region_head:.3f}"
        return (
            f"CCC {', '.join(parts)}; regions: geometric {self.region_geometric:.3f}{head}"
            f" ({self.count} utterances)"
        )


def score_split(
    model: nn.Module,
    corpus: Corpus,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    partition: Partition,
    batch_size: int = 32,
) -> SplitScores:
    """Run a model over utterances and compare with their labels.

    Args:
        model: a `JointModel` or `DeploymentModel`; put in evaluation mode.
        corpus: labels and audio.
        rows: utterances to use.
        preprocessing: the model's.
        partition: regions of head and labels.
        batch_size: utterances per run; does not change the result.

    Raises:
        DataError: the model gives numbers that are not finite.
    """
    model.eval()
    vad, regions, row_groups = [], [], []
    device = next(model.parameters()).device
    with torch.inference_mode():
        for group, samples, lengths in corpus.batches(rows, batch_size, preprocessing):
            outputs = model(samples.to(device), lengths.to(device))
            vad.append(outputs[0].cpu().numpy())
            if len(outputs) > 1 and outputs[1] is not None:
                regions.append(outputs[1].argmax(1).cpu().numpy())
            row_groups.append(group)
    order = np.concatenate(row_groups)
    predicted = np.concatenate(vad)
    if not np.isfinite(predicted).all():
        raise DataError(
            "evaluation",
            expected="finite predictions",
            found="NaN or infinity",
            advice="lower the learning rate",
        )
    truth = partition.index(to_cartesian(corpus.table.scores[order]))
    point = partition.index(to_cartesian(scores_from_unit(predicted)))
    a, d, v = ccc(predicted, corpus.unit[order])
    head = float((np.concatenate(regions) == truth).mean()) if regions else None
    return SplitScores(
        order.size, (float(a), float(d), float(v)), head, float((point == truth).mean())
    )
