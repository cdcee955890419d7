"""From a model's numbers to an emotion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.sound import Sound
from edge_ser.emotion.heads import HEADS
from edge_ser.emotion.probabilities import Probabilities, RegionProbabilities
from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN
from edge_ser.emotion.sphere import Partition, Region, Sphere

# Names of the graph's outputs.
VAD, REGION_LOGITS = HEADS["dimensions"].output, HEADS["regions"].output
CATEGORY_LOGITS = HEADS["categories"].output
# Of a point, where each dimension spans [-1, 1]: what INT8 may move it by.
_NEAR_BOUNDARY = 0.05
_NEUTRAL = (SCORE_MIN + SCORE_MAX) / 2
_HIGH_ENTROPY = 0.75


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
        """`[batch, 3]`: arousal, dominance, valence on 0..1, not clipped.

        Raises:
            KeyError: the model has no dimensions.
        """
        return self.arrays[VAD]

    @property
    def region_logits(self) -> NDArray[np.float32] | None:
        """`[batch, regions]`; None where the model has no region head."""
        return self.arrays.get(REGION_LOGITS)

    @property
    def count(self) -> int:
        """Utterances."""
        return len(next(iter(self.arrays.values()), ()))

    def rows(self, some: slice | NDArray[np.bool_]) -> Outputs:
        """The outputs of some utterances."""
        return Outputs({name: array[some] for name, array in self.arrays.items()})


@dataclass(frozen=True)
class Emotion:
    """The emotion of one utterance.

    A model has dimensions, categories or both; what it has not is None.

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
        category: the most probable one.
        categories: probability of each by its name.
        entropy: of these, in bits: 0 is sure, log2 of their number knows nothing.
        intervals: of each dimension, in which the label of a clip lies as often as the bundle says;
            None where the bundle has none, see docs/how-to/read-scores.md.
        percentiles: of each dimension, the share of the bundle's reference answers below it.
    """

    arousal: float | None
    dominance: float | None
    valence: float | None
    sphere: Sphere | None
    region: Region | None
    boundary_margin: float | None
    region_head: Region | None
    region_probabilities: RegionProbabilities | None
    seconds: float
    source: str = ""
    sound: Sound | None = None
    category: str | None = None
    categories: Probabilities | None = None
    entropy: float | None = None
    intervals: Mapping[str, tuple[float, float]] | None = None
    percentiles: Mapping[str, float] | None = None

    @property
    def regions_agree(self) -> bool | None:
        """Whether point and classifier name the same region; None without one of them."""
        if self.region_head is None or self.region is None:
            return None
        return self.region_head.index == self.region.index

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the answer is uncertain, in words; empty where it is not.

        It is where the point is nearer to a region's boundary than 0.05, where the intervals of
        all dimensions hold neutral, or where the entropy of categories is above three quarters of
        the most that it can be.
        """
        words = []
        if self.boundary_margin is not None and self.boundary_margin < _NEAR_BOUNDARY:
            words.append(
                f"region: its boundary is {self.boundary_margin:.3f} away, less than "
                f"{_NEAR_BOUNDARY:g}"
            )
        intervals = self.intervals
        if intervals and all(low <= _NEUTRAL <= high for low, high in intervals.values()):
            words.append(f"scores: neutral, {_NEUTRAL:g}, lies in the interval of each")
        if self.entropy is not None and self.categories is not None:
            most = math.log2(len(self.categories))
            if self.entropy > _HIGH_ENTROPY * most:
                words.append(
                    f"category: {self.entropy:.2f} bits of entropy, above {_HIGH_ENTROPY:.0%} of "
                    f"{most:.2f}"
                )
        return tuple(words)

    @property
    def is_uncertain(self) -> bool:
        """Whether there are `doubts`."""
        return bool(self.doubts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without dimensions or categories where the model has none."""
        return {
            "source": self.source,
            "seconds": self.seconds,
            **self._dimensions(),
            **self._categories(),
            "doubts": list(self.doubts),
            "sound": None if self.sound is None else self.sound.to_dict(),
        }

    def _dimensions(self) -> dict[str, Any]:
        if self.sphere is None or self.region is None:
            return {}
        return {
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
            "intervals": None
            if self.intervals is None
            else {name: list(ends) for name, ends in self.intervals.items()},
            "percentiles": None if self.percentiles is None else dict(self.percentiles),
        }

    def _categories(self) -> dict[str, Any]:
        if self.categories is None:
            return {}
        return {
            "category": self.category,
            "categories": dict(self.categories),
            "entropy": self.entropy,
        }

    def __repr__(self) -> str:
        parts = []
        for name, form in (("arousal", ".2f"), ("dominance", ".2f"), ("valence", ".2f")):
            if (value := getattr(self, name)) is not None:
                parts.append(f"{name}={value:{form}}")
        if self.region is not None:
            parts.append(f"region={str(self.region)!r}")
        if self.boundary_margin is not None:
            parts.append(f"boundary_margin={self.boundary_margin:.3f}")
        if self.region_head is not None:
            parts.append(f"region_head={str(self.region_head)!r}")
        if self.category is not None and self.categories is not None:
            parts.append(f"category={self.category!r} ({self.categories[self.category]:.2f})")
        return f"Emotion({', '.join(parts)})"


def decode(
    outputs: Outputs,
    partition: Partition,
    seconds: Sequence[float],
    sources: Sequence[str],
    sounds: Sequence[Sound | None] | None = None,
    categories: Sequence[str] = (),
) -> list[Emotion]:
    """Read the outputs of one run.

    Args:
        outputs: of `batch` utterances.
        partition: the regions.
        seconds: of audio per utterance.
        sources: name per utterance.
        sounds: what each is like, if anybody listened.
        categories: their names, of a model that has some.

    Returns:
        one emotion per utterance.
    """
    fields: list[dict[str, Any]] = [{} for _ in seconds]
    for kind in HEADS.values():
        head_fields = kind.decoded(outputs.arrays, partition, len(fields), categories)
        fields = [{**one, **more} for one, more in zip(fields, head_fields, strict=True)]
    return [
        Emotion(**one, seconds=length, source=source, sound=sound)
        for one, length, source, sound in zip(
            fields, seconds, sources, sounds or [None] * len(fields), strict=True
        )
    ]
