"""The labels that a model is trained on; reading them takes no torch."""

from __future__ import annotations

from pathlib import Path

from edge_ser.errors import DataError
from edge_ser.label_table import ALL_SPLITS, SPLIT_COLUMN, LabelTable, find_corpus, read_labels


def read_training_labels(path: Path, audio: Path) -> LabelTable:
    """Read a label table, of which every row has labels and a file.

    Args:
        path: see `edge_ser.label_table.read_labels`.
        audio: the folder that FileName is relative to.

    Raises:
        MissingPathError: the table or the folder is missing.
        DataError: columns, numbers or audio files are missing or out of range.
    """
    table = read_labels(find_corpus(path, audio).table)
    if not table.splits:
        raise DataError(
            path, expected=f"a column {SPLIT_COLUMN}, to train by", found=f"no {SPLIT_COLUMN}"
        )
    table.rows(ALL_SPLITS)
    absent = [f for f in table.files if not (audio / f).is_file()]
    if absent:
        raise DataError(
            audio,
            expected=f"the {len(table.files)} files of {path.name}",
            found=f"{len(absent)} missing, first {absent[0]}",
        )
    return table
