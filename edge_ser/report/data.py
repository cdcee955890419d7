"""What a report is drawn from: the comparisons of `parity.json` and what `sensitivity.json` tells.

Both were written by another machine, so nothing in them is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import PARITY, SENSITIVITY
from edge_ser.bundle.parity_record import (
    EVIDENCE_READER,
    ParityRecord,
    SpeechFiles,
    SpeechRecord,
    read_evidence_file,
)
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import BundleError, UsageError
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import Limits

# Longer than any utterance, and than any difference of VAD.
_LARGEST = 1e9

Measures = dict[str, float]
# Measures of the largest difference of what is on 0..1.
UNIT = ("vad_max", "probability_max")
Vad = tuple[float, float, float]
# One group's measures: numbers, or numbers per dimension.
_Table = dict[str, float | dict[str, float] | None]


@dataclass(frozen=True)
class Utterance:
    """One comparison.

    Attributes:
        group: that it belongs to.
        name: of the utterance.
        reference_vad: arousal, dominance, valence on 0..1, of the reference; None without them.
        candidate_vad: the same of the candidate; None if it gave no answer, or it was not recorded.
        seconds: of audio; None where the exporter did not say.
        extreme: a signal that is hardly speech.
        vad_max: largest difference of VAD; None if there was no answer, or none of it.
        probability_max: the same of the categories' probabilities.
        failure: why there was no answer; empty if there was.

    Raises:
        UsageError: a length or a difference that has no place on a log scale, and is not 0; or a
            difference to nothing.
    """

    group: str
    name: str
    reference_vad: Vad | None = None
    candidate_vad: Vad | None = None
    seconds: float | None = None
    extreme: bool = False
    vad_max: float | None = None
    failure: str = ""
    probability_max: float | None = None

    @property
    def largest(self) -> float | None:
        """Largest difference of what is on 0..1; None if there was no answer."""
        differences = [v for v in (self.vad_max, self.probability_max) if v is not None]
        return max(differences, default=None)

    def __post_init__(self) -> None:
        for name in ("seconds", "vad_max", "probability_max"):
            size = getattr(self, name)
            if size is not None and not 0 <= size < _LARGEST:
                raise UsageError(name, expected="a number >= 0", found=f"{size!r:.60}")
        if self.vad_max is not None and self.reference_vad is None:
            raise UsageError("reference_vad", expected="a list of 3", found="null")


@dataclass(frozen=True)
class Evidence:
    """The comparison with the reference, as recorded.

    Attributes:
        passed: whether no limit was broken.
        failures: broken limits, in words.
        not_judged: limits that a group was too small for, in words.
        judged: what decided: limits by name of the group; a limit that is None there was not
            judged, and a group that is not there is only shown.
        groups: per group its measures by name; those per dimension as `ccc.arousal`.
        labels: agreement with labels; None without labels.
        utterances: the comparisons one by one.
        speech: that they were made on; empty: not told.
    """

    passed: bool
    failures: tuple[str, ...]
    not_judged: tuple[str, ...]
    judged: dict[str, Limits]
    groups: dict[str, Measures]
    labels: LabelFidelity | None
    utterances: tuple[Utterance, ...]
    speech: tuple[SpeechFiles, ...] = ()

    @property
    def largest(self) -> float | None:
        """Largest difference of any comparison, on 0..1; None: nothing was answered."""
        return max((g[k] for g in self.groups.values() for k in UNIT if k in g), default=None)

    @property
    def least_ccc(self) -> float | None:
        """Concordance of the worst dimension, on speech if it has a group; None: not told."""
        for name in ("speech", "single"):
            group = self.groups.get(name, {})
            values = [group[key] for d in DIMENSIONS if (key := f"ccc.{d}") in group]
            if values:
                return min(values)
        return None


@dataclass(frozen=True, kw_only=True)
class _Parity(ParityRecord):
    """All of `parity.json`; earlier versions wrote fewer measures."""

    passed: bool
    failures: tuple[str, ...]
    groups: dict[str, _Table]
    utterances: tuple[Utterance, ...]
    not_judged: tuple[str, ...] = ()
    labels: LabelFidelity | None = None


@dataclass(frozen=True)
class Damage:
    """What lower precision of one part of a model costs.

    Attributes:
        name: of the part.
        vad_p99: 99th percentile of the largest difference of VAD, on 0..1; of the probabilities in
            a model without.
        vad_mean: mean difference of the same.
        flips: changed regions or categories.
        macs: multiplications that it saves.
        kept: precision that the part has in the bundle, such as `int8` or `float32`.
    """

    name: str
    vad_p99: float
    vad_mean: float
    flips: int
    macs: int
    kept: str


@dataclass(frozen=True)
class _Sensitivity:
    """As `sensitivity.json` has it."""

    groups: tuple[Damage, ...]


def load_evidence(bundle: Bundle) -> Evidence:
    """The comparison that was made when a bundle was exported.

    Raises:
        BundleError: the bundle has none, or it is damaged.
    """
    recorded = read_evidence_file(bundle, PARITY, _Parity)
    if recorded is None:
        raise BundleError(bundle.root, expected=PARITY, found="none", advice="export again")
    return _evidence(recorded)


def read_evidence(data: object, source: str) -> Evidence:
    """The content of a `parity.json`.

    Args:
        data: as JSON gives it; those of earlier versions, which say less, are read too.
        source: named in errors.

    Raises:
        BundleError: a field that is missing or wrong.
    """
    return _evidence(EVIDENCE_READER.read(_Parity, data, source))


def _evidence(recorded: _Parity) -> Evidence:
    groups = {name: measures(group) for name, group in recorded.groups.items()}
    judged, speech = recorded.judged, recorded.speech
    if judged is None:
        judged = {} if recorded.limits is None else _judged_earlier(groups, recorded.limits)
    return Evidence(
        passed=recorded.passed,
        failures=recorded.failures,
        not_judged=recorded.not_judged,
        judged=judged,
        groups=groups,
        labels=recorded.labels,
        utterances=recorded.utterances,
        speech=_speech_files(speech) if speech else (),
    )


def _speech_files(speech: SpeechRecord) -> tuple[SpeechFiles, ...]:
    """All speech that something was judged on; what served twice is named once."""
    everything = (speech.lengths, speech.agreement, speech.recorded)
    return tuple(dict.fromkeys(files for files in everything if files))


def _judged_earlier(groups: Mapping[str, Measures], limits: Limits) -> dict[str, Limits]:
    """What decided in versions that do not tell: they judged agreement on speech, if any."""
    each = limits.of_each if "speech" in groups else limits
    return {
        name: (limits if name == "speech" else each).of_count(int(values.get("judged", 0)))
        for name, values in groups.items()
    }


def load_damage(bundle: Bundle) -> tuple[Damage, ...]:
    """What a bundle says about lower precision of its parts; nothing if it has no such file.

    Raises:
        BundleError: the file is damaged.
    """
    recorded = read_evidence_file(bundle, SENSITIVITY, _Sensitivity)
    return () if recorded is None else recorded.groups


def measures(table: Mapping[str, Any]) -> Measures:
    """Numbers by name, those of an inner table as `outer.inner`; what is None is left out."""
    flat: Measures = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": number for inner, number in value.items()}
        elif value is not None:
            flat[name] = value
    return flat
