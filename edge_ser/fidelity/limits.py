"""What counts as the same answer: limits, those of every precision, and limits in words."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace

from edge_ser.errors import UsageError

# Below it, numbers read better as powers of ten.
SMALL = 0.01
# Regions that a model is sure of, of the limit's margin.
FAR_FROM_BOUNDARY = "farther than {:.2g} from a boundary"
# A group is judged as a whole from this many utterances on. Of fewer, a correlation says more about
# how far apart they happen to lie than about the candidate, and one changed region weighs too much.
MIN_JUDGED = 8


# Limits of a group as a whole, besides the share of changed regions.
OF_THE_WHOLE = (
    "ccc", "pearson", "vad_p99", "angle_mean_degrees", "vad_mean", "region_logits_mean"
)  # fmt: skip
# Of these the larger limit is the stricter one.
_AT_LEAST = ("ccc", "pearson")


@dataclass(frozen=True)
class Limits:
    """What counts as the same answer as the reference's.

    The first two hold for every utterance. The others, None where there is no such limit, are about
    a group as a whole: see `fidelity.verdict.Verdict`.

    Attributes:
        vad: largest difference of arousal, dominance, valence on 0..1, and of a category's
            probability, absolute.
        region_logits: largest difference of the region head's logits, absolute.
        ccc: least concordance with the reference, of each dimension.
        pearson: least correlation with the reference, of each dimension.
        vad_p99: as `vad`, but of the 99th percentile of the utterances.
        angle_mean_degrees: largest mean angle between both points, seen from neutral.
        flip_rate: largest share of changed regions among the utterances outside the margin; with 0
            not a single one, in a group of any size.
        vad_mean: largest mean difference of a dimension, on 0..1, absolute.
        region_logits_mean: as `vad_mean`, of a region's logits.
        boundary_margin: distance from a region boundary, where each dimension spans [-1, 1], beyond
            which an utterance is outside the margin; None: `distance`.

    Raises:
        UsageError: a limit that no difference can keep, or a share above 1.
    """

    vad: float
    region_logits: float
    ccc: float | None = None
    pearson: float | None = None
    vad_p99: float | None = None
    angle_mean_degrees: float | None = None
    flip_rate: float | None = 0.0
    boundary_margin: float | None = None
    vad_mean: float | None = None
    region_logits_mean: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.to_dict().items():
            if limit is None:
                continue
            if not 0 <= limit < math.inf:
                raise UsageError(name, expected="a finite limit >= 0", found=f"{limit}")
            if name in (*_AT_LEAST, "flip_rate") and limit > 1:
                raise UsageError(name, expected="at most 1", found=f"{limit:g}")

    @property
    def distance(self) -> float:
        """How far a point may move in the space of X, Y, Z, whose axes span [-1, 1]."""
        return float(2 * 3**0.5 * self.vad)

    @property
    def margin(self) -> float:
        """Distance from a boundary beyond which a changed region counts as a wrong answer."""
        return self.distance if self.boundary_margin is None else self.boundary_margin

    @property
    def divergence(self) -> float:
        """Largest mean divergence of the categories' probabilities (Kullback-Leibler, in nats).

        It grows with the square of small differences, so that a tenth of the largest one is much,
        unless what is rare is lost.
        """
        return 0.1 * self.vad

    @property
    def of_each(self) -> Limits:
        """Without agreement as a whole: for utterances that are there for their length or form."""
        return replace(self, **dict.fromkeys(OF_THE_WHOLE))  # type: ignore[arg-type]

    @property
    def has_agreement(self) -> bool:
        """Whether a group is judged as a whole."""
        return any(getattr(self, name) is not None for name in OF_THE_WHOLE)

    def of_count(self, judged: int) -> Limits:
        """What of them can be judged on so many utterances."""
        if judged >= MIN_JUDGED:
            return self
        return replace(self.of_each, flip_rate=None if self.flip_rate else self.flip_rate)

    def to_dict(self) -> dict[str, float | None]:
        """As JSON-ready data, without the limits that are not set."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        }


# float32 against float32: a different order of additions, and no more than that.
FP32_LIMITS = Limits(vad=1e-4, region_logits=1e-3)
# float16 has 11 bits: rounding shows in the third digit, and in no answer.
FP16_LIMITS = Limits(vad=5e-3, region_logits=5e-2, ccc=0.9999, boundary_margin=0.02)
# bfloat16 has 8 bits, three fewer than float16: eight times its rounding error.
BF16_LIMITS = Limits(vad=4e-2, region_logits=0.4, ccc=0.999, boundary_margin=0.05)
# Eight bits move every answer a little: what must hold is that they agree as a whole, and that
# hardly any region changes that was not about to.
INT8_LIMITS = Limits(
    vad=0.15,
    region_logits=1.5,
    ccc=0.995,
    pearson=0.995,
    vad_p99=0.05,
    angle_mean_degrees=2.0,
    flip_rate=0.01,
    boundary_margin=0.05,
)
# By the precision that a target asks for.
LIMITS: dict[str, Limits] = {
    "fp32": FP32_LIMITS,
    "fp16": FP16_LIMITS,
    "bf16": BF16_LIMITS,
    "int8": INT8_LIMITS,
    "fp8": INT8_LIMITS,  # eight bits too, of which the noise is larger and the range wider
}


# The same bundle on another machine. Of integers, other versions and runtimes were seen to move one
# of sixteen clips by up to 0.012 and their mean by 0.002 (a large untrained model: 0.017, 0.008). A
# tenth of a point on 1..7 is 0.017.
_OWN_VAD, _OWN_LOGITS = 0.02, 0.4
_OWN_VAD_MEAN, _OWN_LOGITS_MEAN = 0.01, 0.2
# TensorRT chooses kernels and roundings itself: of an engine, the gate judges the largest.
_ENGINE_VAD_MEAN, _ENGINE_LOGITS_MEAN = 0.015, 0.3


def ceiling(target: str) -> Limits:
    """The loosest limits that a bundle of a target may be judged by.

    Args:
        target: its name, which ends with a precision; of one that is not known, the loosest of all.
    """
    return LIMITS.get(target.rpartition("-")[2], INT8_LIMITS)


def own_limits(target: str, is_engine: bool) -> Limits:
    """How far a bundle may be from its own answers, as they were where it was exported.

    Args:
        target: its name.
        is_engine: whether TensorRT runs it.
    """
    gate = ceiling(target)
    if is_engine:
        vad, logits = gate.vad, gate.region_logits
        vad_mean, logits_mean = _ENGINE_VAD_MEAN, _ENGINE_LOGITS_MEAN
    else:
        vad, logits = min(gate.vad, _OWN_VAD), min(gate.region_logits, _OWN_LOGITS)
        vad_mean, logits_mean = _OWN_VAD_MEAN, _OWN_LOGITS_MEAN
    return Limits(
        vad,
        logits,
        # no mean is larger than the largest
        vad_mean=vad_mean if vad_mean < vad else None,
        region_logits_mean=logits_mean if logits_mean < logits else None,
    )


def stricter(a: Limits, b: Limits) -> Limits:
    """Of two sets of limits the stricter of each."""
    strictest: dict[str, float] = {}
    for name in (f.name for f in dataclasses.fields(Limits)):
        values = [v for v in (getattr(a, name), getattr(b, name)) if v is not None]
        if values:
            strictest[name] = max(values) if name in _AT_LEAST else min(values)
    if "boundary_margin" in strictest:
        strictest["boundary_margin"] = min(a.margin, b.margin)
    return Limits(**strictest)


def weaker_words(limits: Limits, allowed: Limits) -> str:
    """Which limits are weaker than they may be, each with what it may be; empty if none is."""
    strict = stricter(limits, allowed)
    return ", ".join(
        f"{name} {_word(getattr(limits, name))} (at {'least' if name in _AT_LEAST else 'most'} "
        f"{_word(getattr(strict, name))})"
        for name in (f.name for f in dataclasses.fields(Limits))
        if getattr(strict, name) != getattr(limits, name)
    )


def _word(limit: float | None) -> str:
    return "none" if limit is None else brief(limit)


def limit_words(limits: Limits, has_dimensions: bool = True, has_categories: bool = False) -> str:
    """All limits that are set, in one line for people.

    Args:
        limits: that were set.
        has_dimensions: whether they judge dimensions.
        has_categories: whether they judge categories.
    """
    both = (
        _point_limits(limits) if has_dimensions else "",
        _category_limits(limits) if has_categories else "",
    )
    return "; ".join(words for words in both if words)


def _point_limits(limits: Limits) -> str:
    words = [f"VAD {brief(limits.vad)} on 0..1", f"logits {brief(limits.region_logits)}"]
    if limits.vad_p99 is not None:
        words.append(f"99 % of VAD {brief(limits.vad_p99)}")
    if limits.ccc is not None:
        words.append(f"CCC at least {limits.ccc:g}")
    if limits.pearson is not None:
        words.append(f"Pearson at least {limits.pearson:g}")
    if limits.angle_mean_degrees is not None:
        words.append(f"mean angle {limits.angle_mean_degrees:g}°")
    if limits.vad_mean is not None:
        words.append(f"mean of VAD {brief(limits.vad_mean)}")
    if limits.region_logits_mean is not None:
        words.append(f"mean of logits {brief(limits.region_logits_mean)}")
    if limits.flip_rate is not None:
        many = _flip_words(limits.flip_rate, "region", "regions")
        words.append(f"{many} changed {FAR_FROM_BOUNDARY.format(limits.margin)}")
    return ", ".join(words)


def _category_limits(limits: Limits) -> str:
    words = [
        f"probabilities {brief(limits.vad)}",
        f"mean divergence {brief(limits.divergence)} nats",
    ]
    if limits.vad_p99 is not None:
        words.append(f"99 % of probabilities {brief(limits.vad_p99)}")
    if limits.flip_rate is not None:
        many = _flip_words(limits.flip_rate, "category", "categories")
        words.append(f"{many} changed where the first was ahead by more than {limits.margin:.2g}")
    return ", ".join(words)


def _flip_words(rate: float, one: str, many: str) -> str:
    return f"at most {percent(rate)} of {many}" if rate else f"no {one}"


def percent(share: float) -> str:
    """A share in few characters, such as 1 % or 0.5 %."""
    return f"{100 * share:.4g} %"


def brief(value: float) -> str:
    """A limit in few characters that lose nothing, such as 1e-04 or 0.15."""
    if value == 0 or value >= SMALL:
        return f"{value:g}"
    return next(text for digits in range(18) if float(text := f"{value:.{digits}e}") == value)
