"""The manifest's evidence: how the bundle agrees with its reference, and how it was lowered.

All of it is told, and none of it needed to run a bundle: what an earlier version did not write has
a default, and what a later one adds is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_ser.errors import BundleError
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.typed_json import OpenEnded, Reader


@dataclass(frozen=True)
class Agreement(OpenEnded):
    """How one group of utterances agrees as a whole; see `fidelity.compare.Fidelity`."""

    group: str
    judged: int | None = None
    ccc: dict[str, float] | None = None
    pearson: dict[str, float] | None = None
    vad_p99: float | None = None
    angle_mean_degrees: float | None = None
    angle_p99_degrees: float | None = None
    radius_mean: float | None = None
    flip_rate: float | None = None
    flip_rate_near: float | None = None
    head_agreement: float | None = None


@dataclass(frozen=True)
class ParitySummary(OpenEnded):
    """The comparison with the reference at export time.

    Attributes:
        passed: whether every limit held.
        utterances: runs that were compared.
        vad_max: largest difference of VAD, on 0..1; None: no answer at all.
        logits_max: largest difference of the region logits; None without a region head.
        probability_max: largest difference of a category's probability; None without categories.
        radius_max: largest difference of the radius.
        region_flips: utterances that changed region.
        category_flips: utterances that changed category; None without categories.
        not_judged: limits that a group was too small for, in words.
        judged: what decided, as `Limits.to_dict` of each group by its name; empty: not told.
        labels: agreement with labels; None without them.
        agreement: of the group that tells most; None: no group was answered.
        runtimes: the same comparison in other runtimes, by their names.
    """

    passed: bool = False
    utterances: int | None = None
    vad_max: float | None = None
    logits_max: float | None = None
    radius_max: float | None = None
    region_flips: int | None = None
    probability_max: float | None = None
    category_flips: int | None = None
    not_judged: tuple[str, ...] = ()
    judged: dict[str, dict[str, float | None]] = field(default_factory=dict)
    labels: LabelFidelity | None = None
    agreement: Agreement | None = None
    runtimes: dict[str, RuntimeProof] = field(default_factory=dict)

    @property
    def differences(self) -> str:
        """The largest ones, for people."""
        largest = [
            f"{name} within {value:.1e}" for name, value in self._largest if value is not None
        ]
        return ", ".join(largest) or "no answers"

    @property
    def _largest(self) -> tuple[tuple[str, float | None], ...]:
        return ("VAD", self.vad_max), ("probabilities", self.probability_max)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        data = asdict(self)
        data["runtimes"] = {name: proof.to_dict() for name, proof in self.runtimes.items()}
        unsaid = [k for k in ("agreement", "judged", "runtimes") if not data[k]]
        unsaid += [k for k in ("probability_max", "category_flips") if data[k] is None]
        return {k: v for k, v in data.items() if k not in unsaid}


@dataclass(frozen=True)
class RuntimeProof(ParitySummary):
    """The comparison in another runtime than ONNX Runtime.

    Attributes:
        precision: of what is not integers there: "bf16" or "f32"; None: not told.
        times_onnx: how many times as fast it was as ONNX Runtime where it was made.
        speed: the same with its interval, ONNX Runtime's as the baseline; None: not told.
    """

    precision: str | None = None
    times_onnx: float | None = None
    speed: SpeedRecord | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        data = super().to_dict() | {"speed": None}
        if self.speed is not None:
            data["speed"] = asdict(self.speed, dict_factory=_without_none)
        return {k: v for k, v in data.items() if k != "speed" or v}


# --- how precision was lowered


@dataclass(frozen=True)
class GraphSize(OpenEnded):
    """Operators of a graph by type, and its bytes with weights."""

    operators: dict[str, int] = field(default_factory=dict)
    bytes: int | None = None


@dataclass(frozen=True)
class Calibration(OpenEnded):
    """Speech that ranges were measured and recipes judged on; see `calibration.draw`."""

    source: str | None = None
    default: bool | None = None
    fit: int | None = None
    judge: int | None = None
    seconds: float | None = None
    regions: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    fingerprint: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class MadeFor(OpenEnded):
    """The processor that integers were made for: its preset, instructions, and bits of weights."""

    name: str | None = None
    instructions: str | None = None
    weight_bits: int | None = None


@dataclass(frozen=True)
class LoweredShare(OpenEnded):
    """Share of the multiply-accumulates in lower precision.

    Attributes:
        encoder: of the encoder's, without the log-mel front end.
        everything: of all.
        macs: all of them, for `seconds` of speech.
        seconds: length of the utterance.
        rest: modules that compute otherwise, with their shares of everything.
    """

    encoder: float | None = None
    everything: float | None = None
    macs: int | None = None
    seconds: float | None = None
    rest: dict[str, float] | None = None


@dataclass(frozen=True)
class SpeedRecord(OpenEnded):
    """The float32 graph against the lowered one, on one thread where the bundle was made.

    Attributes:
        seconds: of the utterance.
        baseline_ms: median time of float32.
        candidate_ms: median time of the lowered graph.
        speedup: median of the ratios, above 1 where the lowered graph is faster.
        spread: half the distance between the quartiles of those ratios; earlier versions told it.
        low: of the interval that holds the true ratio.
        high: of it.
        repetitions: rounds that were timed.
        outcome: what the ratio allows to say, in words.
        why: it could not be judged; empty where it could.
    """

    seconds: float | None = None
    baseline_ms: float | None = None
    candidate_ms: float | None = None
    speedup: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    repetitions: int | None = None
    outcome: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Loud(OpenEnded):
    """A value of the graph, and its largest magnitude over the speech that was measured."""

    value: str
    magnitude: float


@dataclass(frozen=True)
class Attempt(OpenEnded):
    """A recipe of lower precision that was tried; None where it was not measured.

    Attributes:
        recipe: in words.
        scales: of integers, "run": measured in every run, or "constant"; None: there are none, or
            an earlier version made it.
        kept_in_float32: parts of the model that it leaves there.
        bytes: of its graph.
        passed: whether the calibration's judged speech bore it.
        failures: why not, in words.
        integer_share: computed in integers.
        speed: against float32.
        ccc: concordance with the reference on the judged speech, per dimension.
        angle_mean_degrees: mean angle between both points there, seen from neutral.
        vad_p99: 99th percentile of the difference of VAD there, on 0..1; of the probabilities in a
            model without.
        vad_max: the largest, one utterance a run.
        vad_max_padded: the largest, in padded batches.
    """

    recipe: str | None = None
    scales: str | None = None
    kept_in_float32: tuple[str, ...] | None = None
    bytes: int | None = None
    passed: bool | None = None
    failures: tuple[str, ...] | None = None
    integer_share: LoweredShare | None = None
    speed: SpeedRecord | None = None
    ccc: dict[str, float] | None = None
    angle_mean_degrees: float | None = None
    vad_p99: float | None = None
    vad_max: float | None = None
    vad_max_padded: float | None = None


@dataclass(frozen=True)
class Lowering(Attempt):
    """How precision was lowered, with the evidence.

    Attributes:
        passes: over the graph, in their order.
        graph: "before" and "after".
        calibration: speech that decided.
        cpu: that integers were made for.
        kept_in_float16: parts that eight bits were too few for.
        float16_share: computed in float16.
        gain: what the form is good for, in words.
        loudest: values of the graph with the largest magnitudes.
        candidates: every recipe that was tried.
    """

    passes: tuple[str, ...] | None = None
    graph: dict[str, GraphSize] | None = None
    calibration: Calibration | None = None
    cpu: MadeFor | None = None
    kept_in_float16: tuple[str, ...] | None = None
    float16_share: LoweredShare | None = None
    gain: str | None = None
    loudest: tuple[Loud, ...] | None = None
    candidates: tuple[Attempt, ...] | None = None

    @property
    def scales_in_the_run(self) -> bool:
        """Whether scales of integers are measured in every run, as each runtime does it."""
        if self.scales is None:  # earlier versions say it by the recipe's first word alone
            return self.recipe is not None and self.recipe.split(",")[0] == "dynamic"
        return self.scales == "run"

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Lowering:
        """A record that was just made.

        Raises:
            BundleError: a field that this class has no place for.
        """
        plain = _plain(record)
        lowering = _READER.read(cls, plain, "lowered")
        read_back = _plain(lowering.to_dict())
        if read_back != plain:
            lost = [name for name, value in plain.items() if read_back.get(name) != value]
            raise BundleError("lowered", expected="known fields only", found=", ".join(lost))
        return lowering

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without what was not measured."""
        return asdict(self, dict_factory=_without_none)


_READER = Reader(BundleError)


def _plain(value: Any) -> Any:
    """As JSON would give it back, without what is None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _without_none(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if value is not None}
