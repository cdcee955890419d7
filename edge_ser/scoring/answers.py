"""Answers to the clips of a corpus, in files: of another model, or of this one for later."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import DataError, MissingPathError
from edge_ser.label_table import CATEGORY_COLUMN, FILE_COLUMN, SCORE_COLUMNS, read_rows
from edge_ser.printable import csv_cells
from edge_ser.report.files import write_whole

# Which columns hold the file and its three scores: a label table's, and those of `predict`.
_LAYOUTS = ((FILE_COLUMN, SCORE_COLUMNS), ("source", DIMENSIONS))

Scores = NDArray[np.float64]


def is_json(path: Path) -> bool:
    """Whether a file of answers is read as JSON, by its name."""
    return path.suffix.lower() in (".json", ".jsonl")


def read_answers(path: Path) -> dict[str, Scores]:
    """Answers by the name of the file, as it is given there; `answers_to` finds those of clips.

    Args:
        path: CSV, or JSON (an array, or a line each, as `edge-ser predict --json` prints them).
            Either with FileName, EmoAct, EmoDom, EmoVal, or with source, arousal, dominance,
            valence; on 1..7.

    Returns:
        `[3]` arousal, dominance, valence by name.

    Raises:
        MissingPathError: no such file.
        DataError: neither; no numbers; on another scale; a file twice, with different answers.
    """
    if not path.is_file():
        raise MissingPathError(path, expected="answers as CSV or JSON", found="no such file")
    rows = _read_json(path) if is_json(path) else _read_csv(path)
    answers: dict[str, Scores] = {}
    for place, cells in rows:
        file, columns = _layout(place, cells)
        try:
            scores = np.array([float(cells[c]) for c in columns])
        except (TypeError, ValueError) as error:
            raise DataError(place, expected="three numbers", found=str(error)) from error
        if not np.isfinite(scores).all():
            raise DataError(place, expected="finite numbers", found=f"{scores.tolist()}")
        name = str(cells[file])
        if name in answers and not np.array_equal(answers[name], scores):
            raise DataError(place, expected="one answer a file", found=f"another one for {name}")
        answers[name] = scores
    if not answers:
        raise DataError(path, expected="answers", found="none")
    highest = max(float(scores.max()) for scores in answers.values())
    if highest <= 1:
        raise DataError(
            path,
            expected="scores on 1..7",
            found=f"none above {highest:g}",
            advice="turn 0..1 into 6 y + 1",
        )
    return answers


def answers_to(files: Sequence[str], answers: Mapping[str, Scores]) -> dict[int, Scores]:
    """The answers to some clips, each by its name or, where it is the only one, without folders.

    Args:
        files: names of the clips, as a label table has them.
        answers: `[3]` by name, such as those of a folder elsewhere.

    Returns:
        the answers by position in `files`, in order; clips without one are left out.
    """
    return {index: answers[name] for index, name in match_names(files, answers).items()}


def match_names(files: Sequence[str], names: Iterable[str]) -> dict[int, str]:
    """The name in another table of each clip: its own, or the only one without folders.

    Args:
        files: names of the clips.
        names: in the other table.

    Returns:
        names by position in `files`, in order; clips without one are left out.
    """
    wanted_names = dict.fromkeys(names)
    by_last_part: dict[str, list[str]] = {}
    for name in wanted_names:
        by_last_part.setdefault(PurePath(name).name, []).append(name)
    clips = Counter(PurePath(file).name for file in set(files))
    matched = {}
    for index, file in enumerate(files):
        last = PurePath(file).name
        alike = by_last_part.get(last, [])
        if file in wanted_names:
            matched[index] = file
        elif len(alike) == 1 and clips[last] == 1:
            matched[index] = alike[0]
    return matched


def _read_csv(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    _, rows = read_rows(path)
    return [(row.place, row.cells) for row in rows]


def _read_json(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """One array of objects, or an object a line."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            entries = json.loads(text)
            places = [f"{path}, entry {i + 1}" for i in range(len(entries))]
        else:
            lines = [(i + 1, line) for i, line in enumerate(text.splitlines()) if line.strip()]
            entries = [json.loads(line) for _, line in lines]
            places = [f"{path}, line {number}" for number, _ in lines]
    except (OSError, ValueError) as error:
        raise DataError(path, expected="JSON, an array or a line each", found=str(error)) from error
    for place, entry in zip(places, entries, strict=True):
        if not isinstance(entry, dict):
            raise DataError(place, expected="an object", found=f"{entry!r:.40}")
    return list(zip(places, entries, strict=True))


def _layout(place: str, cells: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    for file, columns in _LAYOUTS:
        if all(c in cells for c in (file, *columns)):
            return file, columns
    kinds = " or ".join(f"{file}, {', '.join(columns)}" for file, columns in _LAYOUTS)
    raise DataError(place, expected=kinds, found=", ".join(cells) or "nothing")


def write_answers(path: Path, files: Sequence[str], scores: Scores) -> None:
    """Write answers as a label table's columns, which `read_answers` reads with the same numbers.

    Args:
        path: the CSV.
        files: `n` names, as the label table has them.
        scores: `[n, 3]` arousal, dominance, valence on 1..7, not clipped.

    Raises:
        UsageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((FILE_COLUMN, *SCORE_COLUMNS))
    writer.writerows([name, *row] for name, row in zip(files, scores.tolist(), strict=True))
    write_whole(path, text.getvalue())


def write_choices(
    path: Path, files: Sequence[str], names: Sequence[str], probabilities: Scores
) -> None:
    """Write the most probable category of each clip, and the probability of all.

    Args:
        path: the CSV.
        files: `n` names, as the label table has them.
        names: of the categories.
        probabilities: `[n, names]`.

    Raises:
        UsageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_cells([FILE_COLUMN, CATEGORY_COLUMN, *(f"p({name})" for name in names)]))
    for file, shares in zip(files, probabilities, strict=True):
        writer.writerow(csv_cells([file, names[int(shares.argmax())], *shares.tolist()]))
    write_whole(path, text.getvalue())
