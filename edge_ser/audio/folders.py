"""The audio inside folders: what is taken by its name, and what is not but looks like audio."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

# What libsndfile reads; but for those without a header, instruments,
# and Matlab's files.
SNDFILE_SUFFIXES = frozenset({
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2",
    ".mpga", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".voc", ".sph", ".nist", ".avr",
    ".htk", ".sf", ".ircam", ".paf", ".fap", ".pvf", ".sds", ".svx", ".8svx", ".iff", ".wve",
})  # fmt: skip
# What a program has to decode: phones, browsers and meeting software record it.
OTHER_SUFFIXES = frozenset({
    ".m4a", ".m4b", ".3gp", ".aac", ".adts", ".amr", ".awb", ".webm", ".mka", ".wma", ".ac3",
})  # fmt: skip
AUDIO_SUFFIXES = SNDFILE_SUFFIXES | OTHER_SUFFIXES
# How files of audio begin: bytes at their start, and further bytes, which set them apart from
# pictures and films in the same container.
_SIGNATURES = (
    (b"RIFF", (8, b"WAVE")), (b"RF64", (8, b"WAVE")), (b"riff", (0, b"")), (b"fLaC", (0, b"")),
    (b"OggS", (0, b"")), (b"ID3", (0, b"")), (b"FORM", (8, b"AIF")), (b".snd", (0, b"")),
    (b"caff", (0, b"")), (b"Creative Voice File", (0, b"")), (b"NIST_1A", (0, b"")),
    (b"\xff\xfb", (0, b"")), (b"\xff\xf1", (0, b"")), (b"#!AMR", (0, b"")),
    (b"\x1aE\xdf\xa3", (0, b"")), (b"", (4, b"ftypM4A")), (b"", (4, b"ftyp3gp")),
)  # fmt: skip
_SIGNATURE_BYTES = 20


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
    taken = frozenset(suffixes)
    for place, _, names in os.walk(folder, onerror=errors.append):
        for path in (Path(place, name) for name in names):
            if path.suffix.lower() in taken:
                files.append(path)
            elif begins_as_audio(path):
                skipped.append(path)
    unreadable = ((Path(e.filename), str(e.strerror).lower()) for e in errors)
    return FolderAudio(tuple(sorted(files)), tuple(sorted(skipped)), tuple(sorted(unreadable)))


def begins_as_audio(path: Path) -> bool:
    """Whether the first bytes of a file are those of audio, whatever it is called."""
    if not path.is_file():  # a pipe would wait for its writer
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_SIGNATURE_BYTES)
    except OSError:  # of no name that is taken, and of no known content
        return False
    return any(
        head.startswith(start) and head.startswith(more, place)
        for start, (place, more) in _SIGNATURES
    )
