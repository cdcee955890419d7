"""The files that a calibration set is drawn from: a folder of audio, or a table that names some."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN
from edge_ser.errors import DataError, MissingPathError

# What `edge-ser predict` looks for inside a directory. The command line is out of this package's
# reach: it knows the runtimes.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64"}
)
# MSP-Podcast's columns; scores in the order of `labels.DIMENSIONS`.
_NAME, _SCORES = "FileName", ("EmoAct", "EmoDom", "EmoVal")

Scores = tuple[float, float, float]


@dataclass(frozen=True)
class Candidate:
    """A file that may be drawn.

    Attributes:
        name: what messages and the manifest call it; never an absolute path.
        path: where it lies, or should.
        scores: arousal, dominance, valence on 1..7 where the table has labels.
    """

    name: str
    path: Path
    scores: Scores | None = None


def list_candidates(source: Path) -> list[Candidate]:
    """All files of a folder with its subfolders, or of a table, sorted by name.

    Args:
        source: the folder; or a CSV with FileName (relative to its folder or to `audio` beside
            it) and perhaps EmoAct, EmoDom, EmoVal on 1..7.

    Raises:
        MissingPathError: neither a folder nor a file.
        DataError: a file that is no such table, labels out of range, or no audio.
    """
    asked = "a folder of audio or a CSV table"
    if source.is_dir():
        inside = (p for p in source.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        found = [Candidate(p.relative_to(source).as_posix(), p) for p in inside if not p.is_dir()]
    elif not source.is_file():
        raise MissingPathError(source, expected=asked, found="no such file or folder")
    elif source.suffix.lower() in AUDIO_SUFFIXES:
        raise DataError(
            source,
            expected=asked,
            found="one audio file",
            advice="name the folder it is in; one utterance is not enough to calibrate on",
        )
    else:
        found = _read_table(source)
    if not found:
        raise DataError(
            source,
            expected="audio files to calibrate on",
            found="none in it",
            advice="name a folder with recordings, or a CSV with their FileName",
        )
    return sorted(found, key=lambda candidate: (candidate.name, candidate.path))


def _read_table(path: Path) -> list[Candidate]:
    """Rows of a CSV; of several rows for one file the first."""
    found: dict[str, Candidate] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            labels = sum(c in columns for c in _SCORES)
            if _NAME not in columns or labels not in (0, len(_SCORES)):
                raise DataError(
                    path,
                    expected=f"a column {_NAME}, with {', '.join(_SCORES)} or none of them",
                    found=f"{', '.join(columns) or 'no'} columns",
                )
            for row in reader:
                line = f"{path}, line {reader.line_num}"
                name = (row[_NAME] or "").strip()
                if not name:
                    raise DataError(line, expected=f"a {_NAME}", found="an empty cell")
                scores = _read_scores(row, line) if labels else None
                if name not in found:
                    found[name] = _locate(path.parent, name, scores)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(path, expected="a CSV table in UTF-8", found=reason) from error
    return list(found.values())


def _locate(folder: Path, name: str, scores: Scores | None) -> Candidate:
    path = folder / name
    inside = folder / "audio" / name
    if not path.is_file() and inside.is_file():
        path = inside
    return Candidate(path.name if Path(name).is_absolute() else name, path, scores)


def _read_scores(row: dict[str, str], line: str) -> Scores | None:
    """Labels of one row; None if all three cells are empty."""
    cells = [(row[c] or "").strip() for c in _SCORES]
    if not any(cells):
        return None
    try:
        act, dom, val = (float(c) for c in cells)
    except ValueError as error:
        raise DataError(line, expected="three numbers", found=str(error)) from error
    if not all(SCORE_MIN <= s <= SCORE_MAX for s in (act, dom, val)):
        raise DataError(line, expected="scores in 1..7", found=f"{act:g}, {dom:g}, {val:g}")
    return act, dom, val
