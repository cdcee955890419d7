"""The labelled clips of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DataError
from edge_ser.label_table import CATEGORY_COLUMN, find_corpus, read_table

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledClips:
    """The clips of one split.

    Attributes:
        table: name of the label table.
        split: name of the split.
        audio: folder of the files.
        files: names in it.
        labels: `[n, 3]` arousal, dominance, valence on 1..7; None where the table has none.
        categories: of each, as the table spells them, "" where it has none; None where the table
            has no such column.
    """

    table: str
    split: str
    audio: Path
    files: tuple[str, ...]
    labels: Scores | None
    categories: tuple[str, ...] | None = None

    def missing(self) -> list[str]:
        """Files that are not there."""
        return [f for f in self.files if not (self.audio / f).is_file()]

    def some(self, rows: list[int]) -> LabelledClips:
        """Those at some positions."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            labels=None if self.labels is None else self.labels[rows],
            categories=None
            if self.categories is None
            else tuple(self.categories[row] for row in rows),
        )

    def scores(self) -> Scores:
        """Arousal, dominance and valence `[n, 3]` on 1..7.

        Raises:
            DataError: the table has none.
        """
        if self.labels is None:
            raise DataError(
                self.table,
                expected="columns of arousal, dominance and valence (EmoAct, EmoDom, EmoVal)",
                found="labels of categories alone",
            )
        return self.labels

    def names(self) -> tuple[str, ...]:
        """Categories.

        Raises:
            DataError: the table has none.
        """
        if self.categories is None:
            raise DataError(
                self.table,
                expected=f"a column of categories ({CATEGORY_COLUMN})",
                found="labels of arousal, dominance and valence alone",
                advice="name the column with --category-column",
            )
        return self.categories


def read_clips(
    labels: Path,
    audio: Path | None = None,
    split: str = "Test1",
    category_column: str = CATEGORY_COLUMN,
) -> LabelledClips:
    """The labelled clips of a split.

    Args:
        labels: the table, or the root of a corpus; see `label_table.find_corpus`.
        audio: folder of the files; None: the corpus's own.
        split: as the table's Split_Set names it; "all": every row.
        category_column: of the labels of categories, which a table need not have.

    Raises:
        MissingPathError: no such table or folder.
        DataError: columns, the split or labels are missing, or labels out of range.
    """
    place = find_corpus(labels, audio)
    table = read_table(place.table, category_column)
    rows = table.rows(split)
    return LabelledClips(
        place.table.name,
        split,
        place.audio,
        tuple(table.files[row] for row in rows),
        table.scores[rows] if table.has_scores else None,
        None if table.categories is None else tuple(table.categories[row] for row in rows),
    )
