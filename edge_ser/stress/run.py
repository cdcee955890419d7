"""Whether a bundle holds: its answers to every clip, clean and under each condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.sphere import Partition
from edge_ser.errors import DataError, UsageError
from edge_ser.recognizer import Recognizer
from edge_ser.stress.answering import Answering
from edge_ser.stress.clips import Clips
from edge_ser.stress.perturbations import CONDITIONS, Condition
from edge_ser.stress.scores import Scores, Vad, by_group, scores_of, unit_labels

BATCH_SIZE = 8
CLEAN = "clean"
_FEWEST_CLIPS = 2


@dataclass(frozen=True)
class Outcome:
    """What became of the answers under one condition.

    Attributes:
        name: of the condition; `clean` for none.
        scores: of all clips.
        groups: of the clips of each group.
        vad: `[n, 3]` answers on 0..1; NaN where a clip was not answered.
    """

    name: str
    scores: Scores
    groups: dict[str, Scores]
    vad: Vad


@dataclass(frozen=True)
class Stress:
    """How far the answers of a bundle move.

    Attributes:
        bundle: name of the model.
        target: that it was exported for.
        fingerprint: of the bundle.
        against: name and target of the other bundle; "" without one.
        clips: that were answered when they were clean.
        seconds: of them together.
        clean: of the clean clips.
        outcomes: of each condition, in the order of the table.
        not_tried: why, by the name of the condition.
        unusable: "file: reason" of clips that have no part, or none under one condition.
        partition: the regions of the sphere.
    """

    bundle: str
    target: str
    fingerprint: str
    against: str
    clips: Clips
    seconds: float
    clean: Outcome
    outcomes: tuple[Outcome, ...]
    not_tried: dict[str, str]
    unusable: tuple[str, ...]
    partition: Partition

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without the answers themselves."""
        return {
            "bundle": self.bundle,
            "target": self.target,
            "fingerprint": self.fingerprint,
            "against": self.against,
            "clips": len(self.clips.files),
            "seconds": round(self.seconds, 3),
            "conditions": {o.name: _plain(o) for o in (self.clean, *self.outcomes)},
            "not_tried": self.not_tried,
            "unusable": list(self.unusable),
        }


def _plain(outcome: Outcome) -> dict[str, Any]:
    groups = {name: asdict(scores) for name, scores in outcome.groups.items()}
    return {**asdict(outcome.scores), "groups": groups}


def stress(
    recognizer: Recognizer,
    clips: Clips,
    conditions: Sequence[Condition] = CONDITIONS,
    against: Recognizer | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[], object] = lambda: None,
) -> Stress:
    """Answer every clip, clean and under each condition, and compare.

    Args:
        recognizer: that is judged.
        clips: of speech.
        conditions: to try.
        against: of another bundle of the same model, such as its float32 one; None: none.
        batch_size: versions of a clip per run of the model; does not change the answers.
        progress: called after each clip.

    Raises:
        UsageError: a model without dimensions; `against` prepares audio or divides the sphere
            otherwise; or `batch_size` is below 1.
        DataError: fewer than two clips can be answered.
        BundleError: a bundle cannot be run.
    """
    _check_alike(recognizer, against)
    both = [recognizer] if against is None else [recognizer, against]
    answering = Answering(both, conditions, clips, batch_size)
    indices: list[int] = []
    rows: list[NDArray[np.float32]] = []
    seconds = 0.0
    for index in range(len(clips.files)):
        answered = answering.take(index)
        if answered is not None:
            indices.append(index)
            rows.append(answered[0])
            seconds += answered[1]
        progress()
    if len(indices) < _FEWEST_CLIPS:
        raise DataError(
            "clips",
            expected=f"at least {_FEWEST_CLIPS} that can be answered",
            found="; ".join([str(len(indices)), *answering.unusable[:1]]),
        )
    names = [CLEAN, *(condition.name for condition in conditions)]
    tried = [i for i, name in enumerate(names) if name not in answering.not_tried]
    some = clips.some(indices)
    answers = np.stack(rows, axis=2)  # [recognisers, 1 + conditions, clips, 3]
    outcomes = [_outcome(names[i], answers[:, i], answers[0, 0], some, recognizer) for i in tried]
    return Stress(
        bundle=recognizer.manifest.name,
        target=recognizer.manifest.target,
        fingerprint=recognizer.bundle.fingerprint,
        against="" if against is None else _called(against),
        clips=some,
        seconds=seconds,
        clean=outcomes[0],
        outcomes=tuple(outcomes[1:]),
        not_tried=answering.not_tried,
        unusable=tuple(answering.unusable),
        partition=recognizer.manifest.partition,
    )


def _check_alike(recognizer: Recognizer, against: Recognizer | None) -> None:
    if not recognizer.manifest.has_dimensions:
        raise UsageError(
            "stress",
            expected="a model of arousal, dominance and valence",
            found=f"{recognizer.manifest.name}, which tells categories apart",
            advice="give another bundle",
        )
    if against is None:
        return
    ours, others = recognizer.manifest, against.manifest
    if (ours.preprocessing, ours.partition) != (
        others.preprocessing,
        others.partition,
    ) or not others.has_dimensions:
        raise UsageError(
            "--against",
            expected=f"another bundle of the same model as {_called(recognizer)}",
            found=f"{_called(against)}, with other pre-processing, heads or regions",
        )


def _outcome(
    name: str,
    answers: NDArray[np.float32],
    clean: Vad,
    clips: Clips,
    recognizer: Recognizer,
) -> Outcome:
    """Compare `[recognisers, n, 3]` answers under one condition."""
    ours = answers[0]
    other = answers[1] if len(answers) > 1 else None
    labels = None if clips.labels is None else unit_labels(clips.labels, len(clips.files))

    def scores(some: NDArray[np.bool_] | slice) -> Scores:
        return scores_of(
            None if name == CLEAN else clean[some],
            ours[some],
            None if other is None else other[some],
            None if labels is None else labels[some],
            recognizer.manifest.partition,
        )

    groups = {group: scores(some) for group, some in by_group(clips.groups).items()}
    return Outcome(name, scores(slice(None)), groups, ours)


def _called(recognizer: Recognizer) -> str:
    return f"{recognizer.manifest.name} ({recognizer.manifest.target})"
