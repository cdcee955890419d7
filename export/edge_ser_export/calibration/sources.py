"""The files that a calibration set is drawn from: a folder of audio, or a table that names some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ser.errors import DataError, MissingPathError
from edge_ser.label_table import FILE_COLUMN, SCORE_COLUMNS, Scores, read_rows

# What `edge-ser predict` looks for inside a directory. The command line is out of this package's
# reach: it knows the runtimes.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64"}
)


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
    columns, rows = read_rows(path)
    labels = sum(c in columns for c in SCORE_COLUMNS)
    if FILE_COLUMN not in columns or labels not in (0, len(SCORE_COLUMNS)):
        raise DataError(
            path,
            expected=f"a column {FILE_COLUMN}, with {', '.join(SCORE_COLUMNS)} or none of them",
            found=f"{', '.join(columns) or 'no'} columns",
        )
    candidates: dict[str, Candidate] = {}
    for row in rows:
        name = row.cells[FILE_COLUMN]
        if not name:
            raise DataError(row.place, expected=f"a {FILE_COLUMN}", found="an empty cell")
        scores = row.scores() if labels else None
        if name not in candidates:
            candidates[name] = _locate(path.parent, name, scores)
    return list(candidates.values())


def _locate(folder: Path, name: str, scores: Scores | None) -> Candidate:
    path = folder / name
    inside = folder / "audio" / name
    if not path.is_file() and inside.is_file():
        path = inside
    return Candidate(path.name if Path(name).is_absolute() else name, path, scores)
