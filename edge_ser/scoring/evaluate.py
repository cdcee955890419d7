"""`edge_ser.evaluate`: every clip of a labelled split through a bundle, and the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.batching import in_batches
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.decode import CATEGORY_LOGITS, Outputs
from edge_ser.emotion.heads import softmax
from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN, unit_from_scores
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import DataError, EdgeSerError, UsageError
from edge_ser.fidelity.compare import Fidelity, compare, concatenate, label_fidelity
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.label_table import CATEGORY_COLUMN
from edge_ser.load import load
from edge_ser.recognizer import Recognizer
from edge_ser.scoring.answers import answers_to, read_answers
from edge_ser.scoring.categories import CategoryScores, score_categories
from edge_ser.scoring.clips import LabelledClips, read_clips
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
        answers: `[n, 3]` arousal, dominance, valence on 1..7, not clipped; None without dimensions.
        dimensions: scores of arousal, dominance, valence; empty without dimensions or their labels.
        regions: names of the regions, in the order of the confusion matrices.
        geometric: of the regions that the points lie in; None without dimensions.
        head: of the regions that the classifier names; None without one.
        probabilities: `[n, categories]`; None without categories.
        categories: scores of the categories; None without them or their labels.
        reference: agreement with another model's answers, where they were given.
        unusable: "file: reason" of clips that could not be answered, and have no part in this.
    """

    bundle: str
    target: str
    clips: LabelledClips
    answers: Scores | None
    dimensions: dict[str, DimensionScores]
    regions: tuple[str, ...]
    geometric: RegionScores | None
    head: RegionScores | None
    reference: ReferenceScores | None
    unusable: tuple[str, ...]
    probabilities: Scores | None = None
    categories: CategoryScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without the answers themselves."""
        reference, categories = self.reference, self.categories
        data: dict[str, Any] = {
            "bundle": self.bundle,
            "target": self.target,
            "table": self.clips.table,
            "split": self.clips.split,
            "count": len(self.clips.files),
            "unusable": list(self.unusable),
        }
        if self.geometric is not None:
            data |= {
                "dimensions": {name: asdict(scores) for name, scores in self.dimensions.items()},
                "regions": list(self.regions),
                "geometric": asdict(self.geometric),
                "head": None if self.head is None else asdict(self.head),
            }
        if categories is not None:
            data["categories"] = asdict(categories)
        return data | {"reference": None if reference is None else asdict(reference)}


def evaluate(
    bundle: str | Path | Recognizer | None,
    labels: str | Path,
    audio: str | Path | None = None,
    split: str = "Test1",
    *,
    answers: str | Path | None = None,
    batch_size: int = BATCH_SIZE,
    category_column: str = CATEGORY_COLUMN,
) -> Evaluation:
    """Answer every clip of a labelled split, and compare with what people heard.

    Args:
        bundle: directory or .zip; None: the default model; or a recogniser, with its options.
        labels: table in MSP-Podcast's columns, or the root of a corpus in its layout.
        audio: folder that FileName is relative to; None: the corpus's own.
        split: as the table's Split_Set names it; "all": every row.
        answers: of a reference to the same clips, as CSV or JSON; see `answers.read_answers`.
        batch_size: clips per run of the model; does not change the result.
        category_column: of the labels of categories, for a model that tells some apart.

    Returns:
        the scores; clips that cannot be answered are in its `unusable`.

    Raises:
        MissingPathError: no such bundle, table, folder or file of answers.
        UsageError: `batch_size` is below 1.
        DataError: a table that cannot be used, or fewer than two clips that can be answered.
        BundleError: the bundle cannot be run.
    """
    place = None if audio is None else Path(audio)
    clips = read_clips(Path(labels), place, split, category_column)
    reference_answers = None if answers is None else read_answers(Path(answers))
    source = "" if answers is None else Path(answers).name
    if isinstance(bundle, Recognizer):
        return evaluate_clips(bundle, clips, batch_size, reference_answers, source)
    with load(bundle) as recognizer:
        return evaluate_clips(recognizer, clips, batch_size, reference_answers, source)


def evaluate_clips(
    recognizer: Recognizer,
    clips: LabelledClips,
    batch_size: int = BATCH_SIZE,
    answers: Mapping[str, Scores] | None = None,
    source: str = "",
    progress: Callable[[], object] = lambda: None,
) -> Evaluation:
    """As `evaluate`, of what was read already.

    A model of dimensions and categories is compared with the labels that there are.

    Args:
        recognizer: answers.
        clips: to be answered.
        batch_size: clips per run of the model.
        answers: of the reference, `[3]` on 1..7 by file name; see `answers.answers_to`.
        source: what the reference's answers are called.
        progress: called after each clip.

    Raises:
        UsageError: `batch_size` is below 1, or answers to compare with for a model without
            dimensions.
        DataError: fewer than two clips can be answered, or are by the reference, or labels are of
            another kind than the model's answers.
    """
    manifest = recognizer.manifest
    of_points, of_categories = _asked(manifest, clips)
    if answers is not None and not of_points:
        raise UsageError(
            source or "answers",
            expected="no other answers, which are of arousal, dominance and valence",
            found=f"some, for {manifest.name}, which is compared by its categories",
            advice="drop --answers",
        )
    answered, outputs, unusable = _answer(recognizer, clips, batch_size, progress)
    result = Evaluation(
        bundle=manifest.name, target=manifest.target, clips=answered, answers=None, dimensions={},
        regions=(), geometric=None, head=None, reference=None, unusable=unusable,
    )  # fmt: skip
    if of_points:
        result = _with_points(result, outputs, manifest.partition)
        if answers is not None:
            result = replace(result, reference=_against(recognizer, result, answers, source))
    if of_categories:
        shares = softmax(outputs.arrays[CATEGORY_LOGITS])
        result = replace(
            result,
            probabilities=shares,
            categories=score_categories(
                manifest.categories, answered.names(), shares.argmax(1), clips.table
            ),
        )
    return result


def _asked(manifest: Manifest, clips: LabelledClips) -> tuple[bool, bool]:
    """Whether dimensions, and whether categories, are compared: what model and labels both have.

    Raises:
        DataError: neither.
    """
    of_points = manifest.has_dimensions and clips.labels is not None
    of_categories = bool(manifest.categories) and clips.categories is not None
    if not of_points and not of_categories:
        clips.scores() if manifest.has_dimensions else clips.names()
    return of_points, of_categories


def _answer(
    recognizer: Recognizer,
    clips: LabelledClips,
    batch_size: int,
    progress: Callable[[], object],
) -> tuple[LabelledClips, Outputs, tuple[str, ...]]:
    """The clips that can be answered, their answers, and why the others cannot."""
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
    outputs = concatenate([o for o in outcomes if isinstance(o, Outputs)])
    return clips.some(answered), outputs, unusable


def _with_points(result: Evaluation, outputs: Outputs, partition: Partition) -> Evaluation:
    """The same with what is said of dimensions and regions."""
    labels = result.clips.scores()
    # not `scores_from_unit`, which clips: a model that overshoots is to be seen
    scores = outputs.vad.astype(np.float64) * (SCORE_MAX - SCORE_MIN) + SCORE_MIN
    truth = regions_of(labels, partition)
    head = None
    if outputs.region_logits is not None:
        head = score_regions(truth, outputs.region_logits.argmax(1), partition)
    return replace(
        result,
        answers=scores,
        dimensions=score_dimensions(labels, scores),
        regions=tuple(region.name for region in partition.regions),
        geometric=score_regions(truth, regions_of(scores, partition), partition),
        head=head,
    )


def _against(
    recognizer: Recognizer,
    result: Evaluation,
    answers: Mapping[str, Scores],
    source: str,
) -> ReferenceScores:
    """Compare with another model's answers, of the clips that it answered.

    Raises:
        DataError: of fewer than two.
    """
    clips, scores = result.clips, result.answers
    assert scores is not None  # the caller has asked
    matched = answers_to(clips.files, answers)
    names = list(matched)
    if len(names) < 2:
        raise DataError(
            source,
            expected="answers to the clips of the split",
            found=f"{len(names)} of {len(clips.files)} among {len(answers)} files",
        )
    reference_scores = np.stack(list(matched.values()))
    reference, candidate = (
        Outputs.of(unit_from_scores(s).astype(np.float32))
        for s in (reference_scores, scores[names])
    )
    manifest = recognizer.manifest
    return ReferenceScores(
        source,
        compare(reference, candidate, manifest.partition, manifest.limits.margin),
        label_fidelity(clips.scores()[names], reference, candidate),
    )
