"""The files that a calibration set is drawn from: a folder of audio, or a table that names some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ser.audio.folders import find_audio
from edge_ser.audio.kinds import AUDIO_SUFFIXES
from edge_ser.errors import DataError, MissingPathError, did_you_mean
from edge_ser.label_table import (
    FILE_COLUMN,
    SCORE_COLUMNS,
    SPLIT_COLUMN,
    Row,
    Scores,
    find_corpus,
    holds_labels,
    read_rows,
)


@dataclass(frozen=True)
class Candidate:
    """A file that may be drawn.

    Attributes:
        name: what messages and the manifest call it; never an absolute path.
        path: where it lies, or should.
        scores: arousal, dominance, valence on 1..7 where the table has labels.
        split: that the table puts it in; "" where there is none.
    """

    name: str
    path: Path
    scores: Scores | None = None
    split: str = ""


def list_candidates(
    source: Path, audio: Path | None = None, split: str | None = None
) -> list[Candidate]:
    """All files of a folder with its subfolders, or of a table, sorted by name.

    Args:
        source: the folder; or a CSV with FileName, and perhaps EmoAct, EmoDom, EmoVal on 1..7 and
            Split_Set; or the root of a corpus in MSP-Podcast's layout.
        audio: folder that FileName is relative to; None: the table's, or as
            `label_table.find_corpus` finds it.
        split: of the table's Split_Set; None: all but those for testing, whose names start with
            "Test".

    Raises:
        MissingPathError: neither a folder nor a file.
        DataError: a file that is no such table, labels out of range, or no audio; a split or a
            folder of audio of what is no table.
    """
    asked = "a folder of audio or a CSV table"
    is_table = source.is_file() or holds_labels(source)
    if source.exists() and not is_table and (audio is not None or split is not None):
        raise DataError(
            source,
            expected="a table with FileName and Split_Set beside --audio and --split",
            found="a folder of audio",
            advice="drop them, or name the table",
        )
    if is_table and source.suffix.lower() not in AUDIO_SUFFIXES:
        found = _read_table(source, audio, split)
    elif source.is_dir():
        inside = find_audio(source).files
        found = [Candidate(p.relative_to(source).as_posix(), p) for p in inside]
    elif not source.is_file():
        raise MissingPathError(source, expected=asked, found="no such file or folder")
    else:
        raise DataError(
            source,
            expected=asked,
            found="one audio file",
            advice="name the folder it is in; one utterance is not enough to calibrate on",
        )
    if not found:
        raise DataError(
            source,
            expected="audio files to calibrate on",
            found="none in it",
            advice="name a folder with recordings, or a CSV with their FileName",
        )
    return sorted(found, key=lambda candidate: (candidate.name, candidate.path))


def _read_table(source: Path, audio: Path | None, split: str | None) -> list[Candidate]:
    """Rows of a CSV that may be calibrated on; of several rows for one file the first."""
    path, folder = find_corpus(source, audio)
    columns, rows = read_rows(path)
    labels = sum(c in columns for c in SCORE_COLUMNS)
    if FILE_COLUMN not in columns or labels not in (0, len(SCORE_COLUMNS)):
        raise DataError(
            path,
            expected=f"a column {FILE_COLUMN}, with {', '.join(SCORE_COLUMNS)} or none of them",
            found=f"{', '.join(columns) or 'no'} columns",
        )
    # beside the table, too, unless the folder is told
    folders = (folder,) if audio is not None else (path.parent, folder)
    candidates: dict[str, Candidate] = {}
    for row in _of_split(path, rows, split):
        name = row.cells[FILE_COLUMN]
        if not name:
            raise DataError(row.place, expected=f"a {FILE_COLUMN}", found="an empty cell")
        scores = row.scores() if labels else None
        if name not in candidates:
            places = [f / name for f in folders]
            place = next((p for p in places if p.is_file()), places[0])
            shown = place.name if Path(name).is_absolute() else name
            candidates[name] = Candidate(shown, place, scores, row.cells.get(SPLIT_COLUMN, ""))
    return list(candidates.values())


def _of_split(path: Path, rows: list[Row], split: str | None) -> list[Row]:
    """Rows of the split; of none but those for testing, where none is asked for.

    Raises:
        DataError: the table has no rows of it, or no other ones than for testing.
    """
    there = sorted({row.cells.get(SPLIT_COLUMN, "") for row in rows})
    if split is not None:
        chosen = [row for row in rows if row.cells.get(SPLIT_COLUMN) == split]
        if not chosen:
            raise DataError(
                path,
                expected=f"rows with {SPLIT_COLUMN} = {split}",
                found=f"splits {', '.join(there)}" if any(there) else f"no {SPLIT_COLUMN}",
                advice=did_you_mean(split, there),
            )
        return chosen
    chosen = [r for r in rows if not r.cells.get(SPLIT_COLUMN, "").lower().startswith("test")]
    if rows and not chosen:
        raise DataError(
            path,
            expected="clips that are not for testing, to calibrate on",
            found=f"splits {', '.join(there)} alone",
            advice="name one with --split if these may be calibrated on",
        )
    return chosen
