"""The audio inside folders: what is taken by its name, and what is not but looks like audio."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edge_ser.audio.kinds import AUDIO_SUFFIXES, begins_as_audio


class FolderAudio(NamedTuple):
    """What lies in a folder and its subfolders.

    Attributes:
        files: of audio, by their names; sorted.
        skipped: that begin as audio does, under other names; sorted.
        unreadable: subfolders that cannot be looked into, each with the reason.
    """

    files: tuple[Path, ...]
    skipped: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]


def find_audio(folder: Path, suffixes: Iterable[str] = AUDIO_SUFFIXES) -> FolderAudio:
    """Look through a folder and its subfolders; links to folders are not followed.

    Args:
        folder: where to look.
        suffixes: of names that are taken, in lower case.
    """
    errors: list[OSError] = []
    files: list[Path] = []
    skipped: list[Path] = []
    taken_suffixes = frozenset(suffixes)
    for place, _, names in os.walk(folder, onerror=errors.append):
        for path in (Path(place, name) for name in names):
            if path.suffix.lower() in taken_suffixes:
                files.append(path)
            elif begins_as_audio(path):
                skipped.append(path)
    unreadable = ((Path(e.filename), str(e.strerror).lower()) for e in errors)
    return FolderAudio(tuple(sorted(files)), tuple(sorted(skipped)), tuple(sorted(unreadable)))
