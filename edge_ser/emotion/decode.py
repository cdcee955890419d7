"""From a model's numbers to an emotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.sound import Sound
from edge_ser.emotion.heads import HEADS
from edge_ser.emotion.probabilities import RegionProbabilities
from edge_ser.emotion.sphere import Partition, Region, Sphere

# Names of the graph's outputs.
VAD, REGION_LOGITS = HEADS["dimensions"].output, HEADS["regions"].output


@dataclass(frozen=True)
class Outputs:
    """What one run of a model gives.

    Attributes:
        arrays: `[batch, width]` float32 of every output, by the name that the manifest gives it.
    """

    arrays: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(
        cls, vad: NDArray[np.float32], region_logits: NDArray[np.float32] | None = None
    ) -> Outputs:
        """The outputs of a model of emotion: `[batch, 3]` and `[batch, regions]`, or None."""
        return cls({VAD: vad} | ({} if region_logits is None else {REGION_LOGITS: region_logits}))

    @property
    def vad(self) -> NDArray[np.float32]:
        """`[batch, 3]`: arousal, dominance, valence on 0..1, not clipped."""
        return self.arrays[VAD]

    @property
    def region_logits(self) -> NDArray[np.float32] | None:
        """`[batch, regions]`; None where the model has no region head."""
        return self.arrays.get(REGION_LOGITS)

    def rows(self, some: slice | NDArray[np.bool_]) -> Outputs:
        """The outputs of some utterances."""
        return Outputs({name: array[some] for name, array in self.arrays.items()})


@dataclass(frozen=True)
class Emotion:
    """The emotion of one utterance.

    Attributes:
        arousal: calm 1 .. active 7.
        dominance: weak 1 .. strong 7.
        valence: negative 1 .. positive 7.
        sphere: the same point as radius and angles around neutral (4, 4, 4).
        region: the region that the point lies in.
        boundary_margin: distance of the point to the nearest region boundary, where each
            dimension spans [-1, 1]. A small margin says that the region could be another.
        region_head: the region that the model's classifier names; None without one. The published
            recipe stops training the classifier early, so where the two differ trust `region`.
        region_probabilities: of the classifier, by the name of the region; None without one.
        seconds: of audio that were used, padding not counted.
        source: file name, or empty for samples in memory.
        sound: level, clipping, silence and offset of the recording, and in words what is poor about
            it; None where nobody listened.
    """

    arousal: float
    dominance: float
    valence: float
    sphere: Sphere
    region: Region
    boundary_margin: float
    region_head: Region | None
    region_probabilities: RegionProbabilities | None
    seconds: float
    source: str = ""
    sound: Sound | None = None

    @property
    def regions_agree(self) -> bool | None:
        """Whether point and classifier name the same region; None without a classifier."""
        return None if self.region_head is None else self.region_head.index == self.region.index

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "source": self.source,
            "seconds": self.seconds,
            "arousal": self.arousal,
            "dominance": self.dominance,
            "valence": self.valence,
            "sphere": self.sphere.to_dict(),
            "region": self.region.to_dict(),
            "boundary_margin": self.boundary_margin,
            "region_head": None if self.region_head is None else self.region_head.to_dict(),
            "region_probabilities": None
            if self.region_probabilities is None
            else dict(self.region_probabilities),
            "regions_agree": self.regions_agree,
            "sound": None if self.sound is None else self.sound.to_dict(),
        }

    def __repr__(self) -> str:
        head = "" if self.region_head is None else f", region_head={str(self.region_head)!r}"
        return (
            f"Emotion(arousal={self.arousal:.2f}, dominance={self.dominance:.2f}, "
            f"valence={self.valence:.2f}, region={str(self.region)!r}, "
            f"boundary_margin={self.boundary_margin:.3f}{head})"
        )


def decode(
    outputs: Outputs,
    partition: Partition,
    seconds: Sequence[float],
    sources: Sequence[str],
    sounds: Sequence[Sound | None] | None = None,
) -> list[Emotion]:
    """Read the outputs of one run.

    Args:
        outputs: of `batch` utterances.
        partition: the regions.
        seconds: of audio per utterance.
        sources: name per utterance.
        sounds: what each is like, if anybody listened.

    Returns:
        one emotion per utterance.
    """
    fields: list[dict[str, Any]] = [{} for _ in seconds]
    for kind in HEADS.values():
        said = kind.decoded(outputs.arrays, partition, len(fields))
        fields = [{**one, **more} for one, more in zip(fields, said, strict=True)]
    return [
        Emotion(**one, seconds=length, source=source, sound=sound)
        for one, length, source, sound in zip(
            fields, seconds, sources, sounds or [None] * len(fields), strict=True
        )
    ]
