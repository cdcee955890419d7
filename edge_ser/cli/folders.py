"""Folders as arguments: the audio in them, and what is said about the rest."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_ser.audio.folders import find_audio
from edge_ser.cli.console import print_error, print_warning
from edge_ser.errors import MissingPathError, UsageError

# Files that are named; more are counted.
_NAMED = 5
_WINDOWS = os.name == "nt"


def audio_files(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Files as given, and the audio files inside folders, sorted.

    Returns:
        the files, and how many subfolders could not be looked into; each is told.

    Raises:
        UsageError: a folder without audio.
    """
    files: list[Path] = []
    unreadable = 0
    for path in _expanded(paths):
        if not path.is_dir():
            files.append(path)
            continue
        inside = find_audio(path)
        for folder, reason in inside.unreadable:
            expected = "a folder that can be looked into"
            print_error(MissingPathError(folder, expected=expected, found=reason))
        unreadable += len(inside.unreadable)
        if inside.skipped:
            print_warning(_skipped_words(path, inside.skipped))
        if not inside.files:
            raise UsageError(path, expected="a folder with audio files", found="none in it")
        files += inside.files
    return files, unreadable


def _expanded(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths that patterns mean: the shells of Windows leave `*.wav` to the program."""
    for path in paths:
        # such names cannot be files there
        matches = sorted(glob.glob(str(path))) if _WINDOWS and "*" in path.name else []
        yield from map(Path, matches) if matches else (path,)


def _skipped_words(folder: Path, skipped: Sequence[Path]) -> str:
    count = len(skipped)
    names = ", ".join(p.relative_to(folder).as_posix() for p in skipped[:_NAMED])
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    are = "files that are audio by their" if count > 1 else "file that is audio by its"
    sentence = f"skipped {count} {are} content, not by name: {names}{more}"
    return f"{folder}: {sentence}; name them outright"
