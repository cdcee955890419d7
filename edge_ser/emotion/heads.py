"""The heads of a model: what each kind gives, what it means, and how two answers of it compare.

A kind is an entry of `HEADS`; which heads a model has is data in its manifest, a `Head` each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.probabilities import Probabilities, RegionProbabilities
from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit
from edge_ser.emotion.sphere import Partition, Sphere, to_cartesian, to_spherical
from edge_ser.errors import UsageError

if TYPE_CHECKING:
    from edge_ser.fidelity.limits import Limits

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A head of one model, as its manifest describes it.

    Attributes:
        kind: key of `HEADS`.
        output: name of the graph's output, `[batch, names]` float32.
        names: of the numbers in a row, in their order.

    Raises:
        UsageError: a kind that this version does not know.
    """

    kind: str
    output: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise UsageError("kind", expected=f"one of {', '.join(HEADS)}", found=self.kind)


@dataclass(frozen=True)
class HeadKind:
    """What is the same for every model that has such a head.

    Attributes:
        title: for people, in the singular.
        output: name of the graph's output.
        names: of the numbers in a row, in their order, for a model's regions; None: every model
            has its own.
        fields: of `Emotion` that the head fills; None in a model without it.
        decode: from `[batch, names]`, the regions and the names to the values of `fields`, one
            tuple a row.
        figures: of `Fidelity` that the head fills; None in a model without it.
        compare: from reference and candidate, `[n, names]` each, and which utterances are judged,
            `[n]`, to the values of `figures`. The first is the largest difference, which `limit`
            judges; the second, which `mean_limit` judges, a mean: of the number where it is most,
            or of the divergence.
        measure: what differs, for people.
        differs: the start of the sentence which says that it is too large.
        limit: on the largest difference.
        mean_limit: on the mean difference; None: not judged.
        to_mean: what a mean over several utterances is taken of, from `[batch, names]`.
        from_mean: that mean as the numbers of a row.
    """

    title: str
    output: str
    names: Callable[[Partition], tuple[str, ...]] | None
    fields: tuple[str, ...]
    decode: Callable[[Rows, Partition, Sequence[str]], Iterable[tuple[Any, ...]]]
    figures: tuple[str, ...]
    compare: Callable[[Rows, Rows, NDArray[np.bool_]], tuple[float, ...]]
    measure: str
    differs: str
    limit: Callable[[Limits], float]
    mean_limit: Callable[[Limits], float | None]
    to_mean: Callable[[Rows], NDArray[np.float64]] = lambda rows: rows.astype(np.float64)
    from_mean: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda mean: mean

    def decoded(
        self,
        arrays: Mapping[str, Rows],
        partition: Partition,
        count: int,
        names: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """What the head says about each of `count` utterances, as fields of `Emotion`.

        Args:
            arrays: a model's outputs by name.
            partition: the regions.
            count: of utterances.
            names: of the numbers in a row, where every model has its own.
        """
        if self.output not in arrays:
            return [dict.fromkeys(self.fields)] * count
        rows = self.decode(arrays[self.output], partition, names)
        return [dict(zip(self.fields, row, strict=True)) for row in rows]

    def compared(
        self,
        reference: Mapping[str, Rows],
        candidate: Mapping[str, Rows],
        judged: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """How far two models' heads are apart, as fields of `Fidelity`."""
        if self.output not in reference:
            return dict.fromkeys(self.figures)
        values = self.compare(reference[self.output], candidate[self.output], judged)
        return dict(zip(self.figures, values, strict=True))


def describe_heads(
    outputs: Iterable[str], partition: Partition, categories: Sequence[str] = ()
) -> tuple[Head, ...]:
    """The heads of a model by the names of its graph's outputs.

    Args:
        outputs: of the graph; those that no head has are left out.
        partition: the regions.
        categories: their names, of a model that has a head of its own names.
    """
    present = set(outputs)
    return tuple(
        Head(name, kind.output, tuple(categories) if kind.names is None else kind.names(partition))
        for name, kind in HEADS.items()
        if kind.output in present
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Along the last axis, in float64."""
    x = logits.astype(np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def _logarithm(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits that stand for probabilities."""
    return np.log(np.maximum(shares, np.finfo(np.float32).tiny))


def _decode_dimensions(
    vad: Rows, partition: Partition, _: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    scores = scores_from_unit(vad)
    points = to_cartesian(scores)
    spherical = to_spherical(points).tolist()
    regions, margins = partition.index(points), partition.margin(points).tolist()
    for row, (a, d, v) in enumerate(scores.tolist()):
        region = partition.regions[regions[row]]
        yield a, d, v, Sphere(*spherical[row]), region, margins[row]


def _decode_regions(
    logits: Rows, partition: Partition, _: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    regions = partition.regions
    names = [region.name for region in regions]
    for shares in softmax(logits):
        yield regions[int(shares.argmax())], RegionProbabilities(names, shares.tolist())


def _decode_categories(
    logits: Rows, _: Partition, names: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    for shares in softmax(logits):
        positive = shares[shares > 0]
        entropy = float(-(positive * np.log2(positive)).sum())
        yield names[int(shares.argmax())], Probabilities(names, shares.tolist()), max(entropy, 0.0)


def _differences(reference: Rows, candidate: Rows) -> tuple[float, float, float]:
    """Largest, mean of the number where it is largest, and mean."""
    difference = np.abs(reference.astype(np.float64) - candidate)
    return float(difference.max()), float(difference.mean(0).max()), float(difference.mean())


def _compare_regions(
    reference: Rows, candidate: Rows, judged: NDArray[np.bool_]
) -> tuple[float, ...]:
    is_same = reference.argmax(1) == candidate.argmax(1)
    agreement = float(is_same[judged].mean()) if judged.any() else 0.0
    return *_differences(reference, candidate), int((~is_same).sum()), agreement


def _compare_categories(
    reference: Rows, candidate: Rows, judged: NDArray[np.bool_]
) -> tuple[float, ...]:
    a, b = softmax(reference), softmax(candidate)
    difference = np.abs(a - b)
    # in nats; from logits, as a probability that rounds to 0 has no logarithm
    divergence = (a * (_log_softmax(reference) - _log_softmax(candidate))).sum(1)
    judged_differences = difference.max(1)[judged]
    return (
        float(difference.max()),
        float(divergence[judged].mean()) if judged_differences.size else 0.0,
        float(difference.mean()),
        float(np.percentile(judged_differences, 99)) if judged_differences.size else 0.0,
        float((a.argmax(1) == b.argmax(1))[judged].mean()) if judged_differences.size else 0.0,
    )


def _log_softmax(logits: Rows) -> NDArray[np.float64]:
    x = logits.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


# By the kind that a manifest names. `Emotion` and `Fidelity` hold the fields named here.
HEADS: dict[str, HeadKind] = {
    "dimensions": HeadKind(
        title="VAD head",
        output="vad",
        names=lambda _: DIMENSIONS,
        fields=(*DIMENSIONS, "sphere", "region", "boundary_margin"),
        decode=_decode_dimensions,
        figures=("vad_max", "vad_mean_worst", "vad_mean"),
        compare=lambda reference, candidate, _: _differences(reference, candidate),
        measure="VAD",
        differs="VAD differs",
        limit=lambda limits: limits.vad,
        mean_limit=lambda limits: limits.vad_mean,
    ),
    "regions": HeadKind(
        title="region head",
        output="region_logits",
        names=lambda partition: tuple(region.name for region in partition.regions),
        fields=("region_head", "region_probabilities"),
        decode=_decode_regions,
        figures=("logits_max", "logits_mean_worst", "logits_mean", "head_flips", "head_agreement"),
        compare=_compare_regions,
        measure="region logits",
        differs="region logits differ",
        limit=lambda limits: limits.region_logits,
        mean_limit=lambda limits: limits.region_logits_mean,
    ),
    "categories": HeadKind(
        title="category head",
        output="category_logits",
        names=None,
        fields=("category", "categories", "entropy"),
        decode=_decode_categories,
        figures=(
            "probability_max",
            "divergence_mean",
            "probability_mean",
            "probability_p99",
            "category_agreement",
        ),
        compare=_compare_categories,
        measure="categories' divergence",
        differs="categories' probabilities differ",
        limit=lambda limits: limits.vad,
        mean_limit=lambda limits: limits.divergence,
        to_mean=softmax,
        from_mean=_logarithm,
    ),
}
