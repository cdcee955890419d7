"""Which clips are perturbed, and what tables say of them: their group, their labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DataError, MissingPathError
from edge_ser.label_table import FILE_COLUMN, read_rows
from edge_ser.scoring.answers import answers_to, match_names, read_answers

_FILE_COLUMNS, _GROUP_COLUMN = ("file", FILE_COLUMN), "group"


@dataclass(frozen=True)
class Clips:
    """What is perturbed.

    Attributes:
        files: of audio.
        names: of each below its folder, as tables have them; they also seed what is random.
        groups: of each; "" where it has none.
        labels: `[3]` arousal, dominance, valence on 1..7 by the position of the file; None: no
            labels.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Mapping[int, NDArray[np.float64]] | None = None

    def some(self, indices: Sequence[int]) -> Clips:
        """Those at some positions, in this order."""
        labels = self.labels
        if labels is not None:
            labels = {new: labels[old] for new, old in enumerate(indices) if old in labels}
        return Clips(
            tuple(self.files[i] for i in indices),
            tuple(self.names[i] for i in indices),
            tuple(self.groups[i] for i in indices),
            labels,
        )


def describe_clips(
    folder: Path, files: Sequence[Path], groups: Path | None = None, labels: Path | None = None
) -> Clips:
    """Files with what tables say of them.

    Args:
        folder: that the names in tables are relative to.
        files: of audio.
        groups: CSV with the columns file and group.
        labels: CSV with FileName, EmoAct, EmoDom, EmoVal on 1..7.

    Raises:
        MissingPathError: no such table.
        DataError: a table that cannot be used, or that names none of the files, or of a group.

    Warns:
        UserWarning: clips without a group, or names in the table of groups without a clip.
    """
    names = tuple(_name(file, folder) for file in files)
    scores = None
    if labels is not None:
        scores = answers_to(names, read_answers(labels))
        if not scores:
            raise _names_none(labels, names)
    return Clips(tuple(files), names, _groups(names, groups), scores)


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _groups(names: Sequence[str], table: Path | None) -> tuple[str, ...]:
    """The group of each clip; "" where the table has none."""
    if table is None:
        return ("",) * len(names)
    group_of = _read_groups(table)
    matched = match_names(names, group_of)
    if not matched:
        raise _names_none(table, names)
    absent = sorted(set(group_of.values()) - {group_of[name] for name in matched.values()})
    if absent:  # a budget of groups would hold, as nobody is judged by it
        raise DataError(
            table,
            expected="a clip of every group",
            found=f"none of {', '.join(absent)}",
            advice=f"names are as below the folder, such as {names[0]}",
        )
    without = [name for index, name in enumerate(names) if index not in matched]
    if without:
        warnings.warn(
            f"{table} names no group of {len(without)} clips, such as {without[0]}", stacklevel=3
        )
    others = [name for name in group_of if name not in set(matched.values())]
    if others:
        warnings.warn(
            f"{table} names {len(others)} files that are not there, such as {others[0]}",
            stacklevel=3,
        )
    return tuple(group_of[matched[i]] if i in matched else "" for i in range(len(names)))


def _read_groups(table: Path) -> dict[str, str]:
    """Groups by the name of a file."""
    if not table.is_file():
        raise MissingPathError(table, expected="a table of groups (CSV)", found="no such file")
    columns, rows = read_rows(table)
    file = next((c for c in _FILE_COLUMNS if c in columns), None)
    if file is None or _GROUP_COLUMN not in columns:
        raise DataError(
            table, expected="columns file and group", found=", ".join(columns) or "none"
        )
    groups: dict[str, str] = {}
    for row in rows:
        name, group = row.cells[file], row.cells[_GROUP_COLUMN]
        if groups.setdefault(name, group) != group:
            raise DataError(
                row.place, expected=f"one group of {name}", found=f"{groups[name]} and {group}"
            )
    return groups


def _names_none(table: Path, names: Sequence[str]) -> DataError:
    return DataError(
        table, expected=f"names of the {len(names)} clips, such as {names[0]}", found="none of them"
    )
