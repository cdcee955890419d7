"""Scores of categories against labels: which label means which, and how often answers name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DataError

# How corpora and models call the same, without case; the letters are MSP-Podcast's.
_SPELLINGS = {
    "angry": ("a", "ang", "anger"),
    "sad": ("s", "sadness"),
    "happy": ("h", "hap", "happiness", "joy"),
    "surprise": ("u", "sur", "surprised", "ps", "pleasant surprise"),
    "fear": ("f", "fea", "fearful", "scared"),
    "disgust": ("d", "dis", "disgusted"),
    "contempt": ("c", "con"),
    "neutral": ("n", "neu"),
    "calm": ("cal",),
    "excited": ("exc", "excitement"),
    "frustrated": ("fru", "frustration"),
}
_MEANT = {word: name for name, words in _SPELLINGS.items() for word in (name, *words)}
# Of the interval: percentiles of so many draws of as many clips, with replacement.
_OUTSIDE, _DRAWS, _SEED = 0.025, 1000, 7
_SHOWN = 6  # labels listed in a sentence

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CategoryScore:
    """How often one category is named rightly.

    Attributes:
        clips: with this label.
        recall: share of them that are answered with it; None where there are none.
        precision: share of the answers of it that are right; None where there are none.
        f1: harmonic mean of both; None without a label.
    """

    clips: int
    recall: float | None
    precision: float | None
    f1: float | None


@dataclass(frozen=True)
class CategoryScores:
    """How often answers name the category of the label.

    Means are over the categories that have a label: an answer of another one is wrong, too.

    Attributes:
        names: of the model's categories, in the order of `confusion`.
        clips: whose label is one of them; the others have no part in this.
        uar: unweighted average recall.
        uar_low: lower end of its 95 % bootstrap interval, clips drawn independently.
        uar_high: upper end.
        macro_f1: mean of F1.
        accuracy: share of clips that are answered with their label.
        confusion: `[names, names]` clips: a row for each label, in it a count for each answer.
        each: scores of each category by its name.
        others: clips by labels that the model does not know.
    """

    names: tuple[str, ...]
    clips: int
    uar: float
    uar_low: float
    uar_high: float
    macro_f1: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    each: dict[str, CategoryScore]
    others: dict[str, int]


def score_categories(
    names: Sequence[str], labels: Sequence[str], answers: NDArray[np.int64], subject: object
) -> CategoryScores:
    """Compare answers with labels.

    Args:
        names: of the model's categories.
        labels: of the clips, as their table spells them; "" where it has none.
        answers: `[clips]`, positions in `names`.
        subject: named in errors.

    Raises:
        DataError: fewer than two clips have a label that the model knows.
    """
    meanings = meaning(names)
    truth = np.array([meanings.get(_folded(label), -1) for label in labels], np.int64)
    counted = truth >= 0
    other_labels = Counter(
        label or "none" for label, ok in zip(labels, counted, strict=True) if not ok
    )
    if counted.sum() < 2:
        listed = ", ".join(f"{name!r}" for name, _ in other_labels.most_common(_SHOWN))
        raise DataError(
            subject,
            expected=f"labels of the model's categories, {', '.join(names)}",
            found=f"{counted.sum()} of {len(labels)} clips with one, others {listed or 'none'}",
            advice="name the column of the labels with --category-column",
        )
    confusion = _confusion(truth[counted], answers[counted], len(names))
    low, high = _interval(truth[counted], answers[counted], len(names))
    each = _each(names, confusion)
    f1 = [score.f1 for score in each.values() if score.f1 is not None]
    return CategoryScores(
        names=tuple(names),
        clips=int(counted.sum()),
        uar=float(_uar(confusion)),
        uar_low=low,
        uar_high=high,
        macro_f1=float(np.mean(f1)),
        accuracy=float(np.trace(confusion) / confusion.sum()),
        confusion=tuple(map(tuple, confusion.tolist())),
        each=each,
        others=dict(other_labels.most_common()),
    )


def meaning(names: Sequence[str]) -> dict[str, int]:
    """Position of a model's category by every spelling that a label may have, in lower case.

    Spellings that mean two of them (a model may have `happy` and `joy`) stand for none but those
    that are written so.
    """
    meant = [_MEANT.get(_folded(name), _folded(name)) for name in names]
    shared = {name for name, count in Counter(meant).items() if count > 1}
    known = {
        word: position
        for position, name in enumerate(meant)
        if name not in shared
        for word in (name, *_SPELLINGS.get(name, ()))
    }
    return known | {_folded(name): position for position, name in enumerate(names)}


def _folded(label: str) -> str:
    return label.strip().casefold()


def _confusion(truth: Counts, answers: Counts, count: int) -> Counts:
    return np.bincount(truth * count + answers, minlength=count * count).reshape(count, count)


def _uar(confusion: Counts) -> float:
    labelled = confusion.sum(1)
    occurs = labelled > 0
    return float((confusion.diagonal()[occurs] / labelled[occurs]).mean())


def _interval(truth: Counts, answers: Counts, count: int) -> tuple[float, float]:
    """Ends of the bootstrap interval of the UAR; the same for the same clips."""
    rng = np.random.default_rng(_SEED)
    draws = []
    for _ in range(_DRAWS):
        drawn = rng.integers(0, truth.size, truth.size)
        draws.append(_uar(_confusion(truth[drawn], answers[drawn], count)))
    low, high = np.quantile(draws, [_OUTSIDE, 1 - _OUTSIDE])
    return float(low), float(high)


def _each(names: Sequence[str], confusion: Counts) -> dict[str, CategoryScore]:
    scores = {}
    for position, name in enumerate(names):
        right = int(confusion[position, position])
        labelled, answered = int(confusion[position].sum()), int(confusion[:, position].sum())
        scores[name] = CategoryScore(
            labelled,
            right / labelled if labelled else None,
            right / answered if answered else None,
            2 * right / (labelled + answered) if labelled else None,
        )
    return scores
