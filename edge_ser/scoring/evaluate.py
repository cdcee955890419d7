"""`edge_ser.evaluate`: every clip of a labelled split through a bundle, and the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.batching import in_batches
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN, unit_from_scores
from edge_ser.errors import DataError, EdgeSerError, UsageError
from edge_ser.fidelity.compare import Fidelity, compare, concatenate, label_fidelity
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.label_table import find_corpus, read_labels
from edge_ser.load import load
from edge_ser.recognizer import Recognizer
from edge_ser.scoring.answers import answers_to, read_answers
from edge_ser.scoring.scores import (
    DimensionScores,
    RegionScores,
    regions_of,
    score_dimensions,
    score_regions,
)
from edge_ser.utterance import Utterance

Scores = NDArray[np.float64]
# Of a run of the model. The result does not depend on it.
BATCH_SIZE = 8


@dataclass(frozen=True)
class LabelledClips:
    """The clips of one split.

    Attributes:
        table: name of the label table.
        split: name of the split.
        audio: folder of the files.
        files: names in it.
        labels: `[n, 3]` arousal, dominance, valence on 1..7.
    """

    table: str
    split: str
    audio: Path
    files: tuple[str, ...]
    labels: Scores

    def missing(self) -> list[str]:
        """Files that are not there."""
        return [f for f in self.files if not (self.audio / f).is_file()]


@dataclass(frozen=True)
class ReferenceScores:
    """Agreement with another model's answers to the same clips.

    Attributes:
        source: name of the file that holds them.
        fidelity: how far these answers are from those.
        labels: concordance with the labels, before (the reference) and after.
    """

    source: str
    fidelity: Fidelity
    labels: LabelFidelity


@dataclass(frozen=True)
class Evaluation:
    """What a bundle's answers to a labelled split are worth.

    Attributes:
        bundle: name of the model.
        target: that it was exported for.
        clips: that were answered; files and labels are theirs.
        answers: `[n, 3]` arousal, dominance, valence on 1..7, not clipped.
        dimensions: scores of arousal, dominance, valence.
        regions: names of the regions, in the order of the confusion matrices.
        geometric: of the regions that the points lie in.
        head: of the regions that the classifier names; None without one.
        reference: agreement with another model's answers, where they were given.
        unusable: "file: reason" of clips that could not be answered, and have no part in this.
    """

    bundle: str
    target: str
    clips: LabelledClips
    answers: Scores
    dimensions: dict[str, DimensionScores]
    regions: tuple[str, ...]
    geometric: RegionScores
    head: RegionScores | None
    reference: ReferenceScores | None
    unusable: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without the answers themselves."""
        reference = self.reference
        return {
            "bundle": self.bundle,
            "target": self.target,
            "table": self.clips.table,
            "split": self.clips.split,
            "count": len(self.clips.files),
            "unusable": list(self.unusable),
            "dimensions": {name: asdict(scores) for name, scores in self.dimensions.items()},
            "regions": list(self.regions),
            "geometric": asdict(self.geometric),
            "head": None if self.head is None else asdict(self.head),
            "reference": None if reference is None else asdict(reference),
        }


def read_clips(labels: Path, audio: Path | None = None, split: str = "Test1") -> LabelledClips:
    """The labelled clips of a split.

    Args:
        labels: the table, or the root of a corpus; see `label_table.find_corpus`.
        audio: folder of the files; None: the corpus's own.
        split: as the table's Split_Set names it; "all": every row.

    Raises:
        MissingPathError: no such table or folder.
        DataError: columns, the split or labels are missing, or labels out of range.
    """
    place = find_corpus(labels, audio)
    table = read_labels(place.table)
    rows = table.rows(split)
    files = tuple(table.files[row] for row in rows)
    return LabelledClips(place.table.name, split, place.audio, files, table.scores[rows])


def evaluate(
    bundle: str | Path | Recognizer | None,
    labels: str | Path,
    audio: str | Path | None = None,
    split: str = "Test1",
    *,
    answers: str | Path | None = None,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Answer every clip of a labelled split, and compare with what people heard.

    Args:
        bundle: directory or .zip; None: the default model; or a recogniser, with its options.
        labels: table in MSP-Podcast's columns, or the root of a corpus in its layout.
        audio: folder that FileName is relative to; None: the corpus's own.
        split: as the table's Split_Set names it; "all": every row.
        answers: of a reference to the same clips, as CSV or JSON; see `answers.read_answers`.
        batch_size: clips per run of the model; does not change the result.

    Returns:
        the scores; clips that cannot be answered are in its `unusable`.

    Raises:
        MissingPathError: no such bundle, table, folder or file of answers.
        UsageError: `batch_size` is below 1.
        DataError: a table that cannot be used, or fewer than two clips that can be answered.
        BundleError: the bundle cannot be run.
    """
    clips = read_clips(Path(labels), None if audio is None else Path(audio), split)
    other = None if answers is None else read_answers(Path(answers))
    source = "" if answers is None else Path(answers).name
    if isinstance(bundle, Recognizer):
        return evaluate_clips(bundle, clips, batch_size, other, source)
    with load(bundle) as recognizer:
        return evaluate_clips(recognizer, clips, batch_size, other, source)


def evaluate_clips(
    recognizer: Recognizer,
    clips: LabelledClips,
    batch_size: int = BATCH_SIZE,
    answers: Mapping[str, Scores] | None = None,
    source: str = "",
    progress: Callable[[], object] = lambda: None,
) -> Evaluation:
    """As `evaluate`, of what was read already.

    Args:
        recognizer: answers.
        clips: to be answered.
        batch_size: clips per run of the model.
        answers: of the reference, `[3]` on 1..7 by file name; see `answers.answers_to`.
        source: what the reference's answers are called.
        progress: called after each clip.

    Raises:
        UsageError: `batch_size` is below 1, or a model without dimensions.
        DataError: fewer than two clips can be answered, or are by the reference.
    """
    if not recognizer.manifest.has_dimensions:
        raise UsageError(
            "evaluation",
            expected="a model of arousal, dominance and valence, as the labels are",
            found=f"{recognizer.manifest.name}, which tells categories apart",
            advice="give another bundle",
        )
    outcomes: list[Outputs | EdgeSerError | None] = [None] * len(clips.files)
    paths = [clips.audio / f for f in clips.files]

    def run(utterances: list[Utterance]) -> list[Outputs]:
        outputs = recognizer.infer(utterances)
        return [outputs.rows(slice(i, i + 1)) for i in range(len(utterances))]

    for index, outcome in in_batches(
        len(paths), lambda i: recognizer.prepare(paths[i]), run, batch_size
    ):
        outcomes[index] = outcome
        progress()
    answered = [i for i, o in enumerate(outcomes) if isinstance(o, Outputs)]
    unusable = tuple(
        f"{clips.files[i]}: expected {o.expected}, found {o.found}"
        for i, o in enumerate(outcomes)
        if isinstance(o, EdgeSerError)
    )
    if len(answered) < 2:
        raise DataError(
            clips.audio,
            expected="at least two clips that can be answered",
            found=f"{len(answered)} of {len(paths)}" + (f" ({unusable[0]})" if unusable else ""),
        )
    manifest = recognizer.manifest
    outputs = concatenate([o for o in outcomes if isinstance(o, Outputs)])
    some = LabelledClips(
        clips.table,
        clips.split,
        clips.audio,
        tuple(clips.files[i] for i in answered),
        clips.labels[answered],
    )
    partition = manifest.partition
    # not `scores_from_unit`, which clips: a model that overshoots is to be seen
    scores = outputs.vad.astype(np.float64) * (SCORE_MAX - SCORE_MIN) + SCORE_MIN
    truth = regions_of(some.labels, partition)
    head = None
    if outputs.region_logits is not None:
        head = score_regions(truth, outputs.region_logits.argmax(1), partition)
    return Evaluation(
        bundle=manifest.name,
        target=manifest.target,
        clips=some,
        answers=scores,
        dimensions=score_dimensions(some.labels, scores),
        regions=tuple(region.name for region in partition.regions),
        geometric=score_regions(truth, regions_of(scores, partition), partition),
        head=head,
        reference=None if answers is None else _against(recognizer, some, scores, answers, source),
        unusable=unusable,
    )


def _against(
    recognizer: Recognizer,
    clips: LabelledClips,
    scores: Scores,
    answers: Mapping[str, Scores],
    source: str,
) -> ReferenceScores:
    """Compare with another model's answers, of the clips that it answered.

    Raises:
        DataError: of fewer than two.
    """
    matched = answers_to(clips.files, answers)
    both = list(matched)
    if len(both) < 2:
        raise DataError(
            source,
            expected="answers to the clips of the split",
            found=f"{len(both)} of {len(clips.files)} among {len(answers)} files",
        )
    others = np.stack(list(matched.values()))
    reference, candidate = (
        Outputs.of(unit_from_scores(s).astype(np.float32)) for s in (others, scores[both])
    )
    manifest = recognizer.manifest
    return ReferenceScores(
        source,
        compare(reference, candidate, manifest.partition, manifest.limits.margin),
        label_fidelity(clips.labels[both], reference, candidate),
    )
