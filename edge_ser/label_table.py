"""A corpus with labels: MSP-Podcast's columns, and where its table and its audio lie."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN
from edge_ser.errors import DataError, MissingPathError, did_you_mean

FILE_COLUMN, SPLIT_COLUMN = "FileName", "Split_Set"
# In the order of `emotion.scale.DIMENSIONS`, which is not that of the table.
SCORE_COLUMNS = ("EmoAct", "EmoDom", "EmoVal")
# Of the category that most listeners heard, where there is one.
CATEGORY_COLUMN = "EmoClass"
# Every row, whatever its split.
ALL_SPLITS = "all"

Scores = tuple[float, float, float]

# Below the root of MSP-Podcast as it is handed out.
_TABLE = Path("Labels", "labels_consensus.csv")
_AUDIO_FOLDERS = ("Audios", "Audio", "audio")


class CorpusPaths(NamedTuple):
    """Where a labelled corpus lies.

    Attributes:
        table: its labels.
        audio: folder that FileName is relative to.
    """

    table: Path
    audio: Path


def corpus_table(root: Path) -> Path:
    """Where the labels of a corpus in MSP-Podcast's layout lie."""
    return root / _TABLE


def holds_labels(folder: Path) -> bool:
    """Whether a folder is the root of a corpus in MSP-Podcast's layout."""
    return corpus_table(folder).is_file()


def find_corpus(given: Path, audio: Path | None = None) -> CorpusPaths:
    """The table and the folder of audio that belong together.

    Args:
        given: the table; or the root of a corpus in MSP-Podcast's layout, with
            `Labels/labels_consensus.csv` and `Audios/`.
        audio: the folder, where it is not the corpus's own: `Audios`, `Audio` or `audio` beside the
            table or beside the table's folder, or else the table's folder.

    Raises:
        MissingPathError: no such table, or no such folder.
    """
    table = given / _TABLE if given.is_dir() else given
    if not table.is_file():
        root = given.is_dir()
        raise MissingPathError(
            given,
            expected=f"{_TABLE.as_posix()} in it" if root else "a label table (CSV)",
            found="a folder without" if root else "no such file",
            advice="name the table itself" if root else "",
        )
    if audio is None:
        around = (table.parent.parent, table.parent) if table.parent.name == "Labels" else ()
        places = (p / name for p in (*around, table.parent) for name in _AUDIO_FOLDERS)
        audio = next((p for p in places if p.is_dir()), table.parent)
    if not audio.is_dir():
        raise MissingPathError(audio, expected="a folder of audio", found="no such folder")
    return CorpusPaths(table, audio)


class Row(NamedTuple):
    """One line of a table.

    Attributes:
        place: what errors call it: the file and the line.
        cells: text by column, without the white space around it; "" where the line ends early.
    """

    place: str
    cells: Mapping[str, str]

    def scores(self) -> Scores | None:
        """Arousal, dominance, valence on 1..7; None where all three cells are empty.

        Raises:
            DataError: no numbers, or out of range.
        """
        cells = [self.cells.get(c, "") for c in SCORE_COLUMNS]
        if not any(cells):
            return None
        try:
            act, dom, val = (float(c) for c in cells)
        except ValueError as error:
            raise DataError(self.place, expected="three numbers", found=str(error)) from error
        if not all(SCORE_MIN <= s <= SCORE_MAX for s in (act, dom, val)):
            found = f"{act:g}, {dom:g}, {val:g}"
            raise DataError(self.place, expected="scores in 1..7", found=found)
        return act, dom, val


def read_rows(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and lines of a CSV table.

    Raises:
        DataError: no CSV table in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = tuple(reader.fieldnames or ())
            rows = [
                Row(
                    f"{path}, line {reader.line_num}",
                    {c: (line[c] or "").strip() for c in columns},
                )
                for line in reader
            ]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(path, expected="a CSV table in UTF-8", found=reason) from error
    return columns, rows


@dataclass(frozen=True)
class LabelTable:
    """Labels of a corpus.

    Attributes:
        path: of the table.
        files: names, relative to the folder of audio.
        scores: `[n, 3]` arousal, dominance, valence on 1..7; NaN where the table has none.
        splits: of each file; empty where the table has no such column.
        places: of each row, for errors.
        categories: of each file, "" where the table has none; None without such a column.
        has_scores: whether it has columns of scores.
    """

    path: Path
    files: tuple[str, ...]
    scores: NDArray[np.float64]
    splits: tuple[str, ...]
    places: tuple[str, ...]
    categories: tuple[str, ...] | None = None
    has_scores: bool = True

    def rows(self, split: str, least: int = 1) -> NDArray[np.int64]:
        """Indices of one split.

        Args:
            split: its name; "all": every row.
            least: fewest rows that will do.

        Raises:
            DataError: the split has fewer than `least` rows, or one without labels.
        """
        chosen = np.arange(len(self.files))
        if split != ALL_SPLITS:
            chosen = np.flatnonzero(np.array(self.splits) == split)
        if not chosen.size:
            there = sorted(set(self.splits))
            raise DataError(
                self.path,
                expected=f"rows with {SPLIT_COLUMN} = {split}",
                found=f"splits {', '.join(there)}" if there else f"no column {SPLIT_COLUMN}",
                advice=did_you_mean(split, there) if there else "take every row: --split all",
            )
        if chosen.size < least:
            raise DataError(
                self.path,
                expected=f"at least {least} rows with {SPLIT_COLUMN} = {split}",
                found=f"{chosen.size}",
            )
        unlabelled = chosen[np.isnan(self.scores[chosen]).any(1)]
        if unlabelled.size and self.has_scores:
            raise DataError(
                self.places[unlabelled[0]],
                expected=f"labels of every row of split {split}, three numbers",
                found=f"{unlabelled.size} of {chosen.size} rows without, this one first",
            )
        return chosen


def read_labels(path: Path) -> LabelTable:
    """Read a label table in MSP-Podcast's columns.

    Args:
        path: CSV with FileName, EmoAct, EmoVal, EmoDom (1..7) and, where splits are asked for,
            Split_Set.

    Raises:
        DataError: columns are missing, or numbers are none or out of range.
    """
    columns, rows = read_rows(path)
    _check_columns(path, columns, (FILE_COLUMN, *SCORE_COLUMNS))
    return _table(path, columns, rows)


def read_table(path: Path, category_column: str = CATEGORY_COLUMN) -> LabelTable:
    """Read a label table of scores, of categories or of both.

    Args:
        path: CSV with FileName, and EmoAct, EmoVal, EmoDom (1..7) or the column of categories; and,
            where splits are asked for, Split_Set.
        category_column: its name.

    Raises:
        DataError: it has neither, or numbers are none or out of range.
    """
    columns, rows = read_rows(path)
    if category_column not in columns:
        asked = (category_column,) if category_column != CATEGORY_COLUMN else SCORE_COLUMNS
        _check_columns(path, columns, (FILE_COLUMN, *asked))
        return _table(path, columns, rows)
    _check_columns(path, columns, (FILE_COLUMN,))
    return replace(
        _table(path, columns, rows),
        categories=tuple(row.cells[category_column] for row in rows),
        has_scores=set(SCORE_COLUMNS) <= set(columns),
    )


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [c for c in needed if c not in columns]
    if missing:
        raise DataError(
            path,
            expected=f"columns {', '.join(needed)}",
            found=f"no {', '.join(missing)} among {', '.join(columns) or 'none'}",
            advice=" ".join(filter(None, (did_you_mean(c, columns) for c in missing))),
        )


def _table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> LabelTable:
    if not rows:
        raise DataError(path, expected="labelled rows", found="a header only")
    scores = [row.scores() or (np.nan,) * 3 for row in rows]
    return LabelTable(
        path,
        tuple(row.cells[FILE_COLUMN] for row in rows),
        np.array(scores, dtype=np.float64),
        tuple(row.cells[SPLIT_COLUMN] for row in rows if SPLIT_COLUMN in columns),
        tuple(row.place for row in rows),
    )
