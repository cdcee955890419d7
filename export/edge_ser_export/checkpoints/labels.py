"""Which output of a published model is which quantity: read from its `config.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import CATEGORIES, check_bound

# How corpora and papers call the dimensions, without case and punctuation.
_SPELLINGS = {
    "arousal": ("arousal", "activation", "act", "aro", "a", "emoact", "emoaro"),
    "dominance": ("dominance", "dom", "d", "emodom"),
    "valence": ("valence", "val", "v", "emoval"),
}
_DIMENSION = {spelling: name for name, all_ in _SPELLINGS.items() for spelling in all_}
_PLACEHOLDER = re.compile(r"label_?\d+")  # what Transformers writes where nobody named the outputs


def check_outputs(outputs: object, source: object, count: int = len(DIMENSIONS)) -> None:
    """Refuse a head that gives another number of outputs than there are names.

    Raises:
        CheckpointError: it does.
    """
    if outputs != count:
        dimensions = " (arousal, dominance, valence)" if count == len(DIMENSIONS) else ""
        raise CheckpointError(source, expected=f"{count} outputs{dimensions}", found=f"{outputs}")


def output_order(config: dict[str, Any], source: Path) -> tuple[list[int], list[str]]:
    """Where arousal, dominance and valence stand among the outputs.

    Args:
        config: content of `config.json`.
        source: its path, named in errors.

    Returns:
        the index of each of `DIMENSIONS` in the model's outputs, and what was assumed, in words:
        a model that names no output has the order of its kind's published models.

    Raises:
        CheckpointError: a classifier, labels that contradict each other, or other quantities.
    """
    problem = config.get("problem_type")
    if problem not in (None, "regression"):
        raise CheckpointError(
            source,
            expected="a regression of arousal, dominance and valence",
            found=f"problem_type {problem}",
            advice="give a model of dimensions: a classifier's outputs are scores of its classes",
        )
    for name in ("num_labels", "num_classes"):
        if config.get(name) is not None:
            check_outputs(config[name], f"{source}: {name}")
    by_index = _labels(config.get("id2label"), source, "id2label")
    by_name = config.get("label2id")
    if isinstance(by_name, dict):
        by_name = {str(index): label for label, index in by_name.items()}
    by_name = _labels(by_name, source, "label2id")
    if by_index and by_name and by_index != by_name:
        raise CheckpointError(
            source,
            expected="id2label and label2id that say the same",
            found=f"{by_index} and {by_name}",
        )
    labels = by_index or by_name
    if not labels:
        return list(range(3)), [f"outputs in the order {', '.join(DIMENSIONS)}"]
    dimensions = [_DIMENSION.get(re.sub(r"[^a-z0-9]", "", label)) for label in labels]
    if sorted(str(d) for d in dimensions) != sorted(DIMENSIONS):
        raise CheckpointError(
            source,
            expected="outputs called arousal (or activation, EmoAct), dominance (EmoDom) and"
            " valence (EmoVal), in any order",
            found=", ".join(labels),
        )
    return [dimensions.index(name) for name in DIMENSIONS], []


def category_names(config: dict[str, Any], source: Path, unnamed: bool = True) -> tuple[str, ...]:
    """Names of the categories of a classifier, in the order of its outputs; none of a regression.

    A model that does not say which it is tells categories apart, unless every output is called
    arousal, dominance or valence, in whatever spelling.

    Args:
        config: content of `config.json`.
        source: its path, named in errors.
        unnamed: whether outputs that nobody named are categories where nothing says what they are,
            and not dimensions.

    Raises:
        CheckpointError: labels that are no names of categories, or of another kind of problem.
    """
    problem = config.get("problem_type")
    if problem not in (None, "regression", "single_label_classification"):
        raise CheckpointError(
            source,
            expected="problem_type single_label_classification or regression",
            found=f"{problem!r:.60}",
            advice="a model of several labels at once has no distribution over them",
        )
    table = config.get("id2label")
    if problem == "regression" or (problem is None and not isinstance(table, dict)):
        return ()
    where = f"{source}: id2label"
    if isinstance(table, dict):
        check_bound("entries of id2label", len(table), CATEGORIES, source)
    try:
        if not isinstance(table, dict):
            raise TypeError
        names = {int(index): str(label).strip() for index, label in table.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            where, expected="a table of indices and labels", found=f"{table!r:.80}"
        ) from error
    spelled = {_DIMENSION.get(re.sub(r"[^a-z0-9]", "", name.lower())) for name in names.values()}
    placeholders = all(_PLACEHOLDER.fullmatch(name.lower()) for name in names.values())
    if problem is None and (None not in spelled or (placeholders and not unnamed)):
        return ()
    if sorted(names) != list(range(len(table))) or len(names) < 2 or len(names) < len(table):
        raise CheckpointError(
            where, expected="labels of outputs 0, 1, 2, ...", found=f"{table!r:.80}"
        )
    if len(set(names.values())) < len(names) or not all(names.values()):
        raise CheckpointError(
            where, expected="a label of its own for each output", found=f"{table!r:.80}"
        )
    _check_reverse(names, config.get("label2id"), source)
    return tuple(names[index] for index in sorted(names))


def _check_reverse(names: dict[int, str], table: object, source: Path) -> None:
    """Refuse a `label2id` that contradicts."""
    if not isinstance(table, dict) or not table:
        return
    reverse = {str(label).strip(): index for label, index in table.items()}
    if reverse != {name: index for index, name in names.items()}:
        raise CheckpointError(
            source,
            expected="id2label and label2id that say the same",
            found=f"{names} and {table}"[:160],
        )


def _labels(table: object, source: Path, name: str) -> list[str]:
    """Labels in lower case, by index; none where there is no table, or one of placeholders."""
    if table is None:
        return []
    where = f"{source}: {name}"
    try:
        if not isinstance(table, dict):
            raise TypeError
        labels = {int(index): str(label).strip().lower() for index, label in table.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            where, expected="a table of indices and labels", found=f"{table!r:.80}"
        ) from error
    if all(_PLACEHOLDER.fullmatch(label) for label in labels.values()):
        return []
    if sorted(labels) != list(range(len(DIMENSIONS))) or len(table) != len(labels):
        raise CheckpointError(
            where, expected="the labels of outputs 0, 1 and 2", found=f"{table!r:.80}"
        )
    return [labels[index] for index in sorted(labels)]


def reordered(tensors: dict[str, Tensor], layer: str, order: list[int]) -> dict[str, Tensor]:
    """The same tensors, with the outputs of the last layer in the order of `DIMENSIONS`.

    Args:
        tensors: by name.
        layer: name of the last linear layer, `[3, inputs]` and `[3]`.
        order: what `output_order` gave.
    """
    rows = {f"{layer}.{name}" for name in ("weight", "bias")}
    return {k: v[order] if k in rows and v.ndim and len(v) == 3 else v for k, v in tensors.items()}
