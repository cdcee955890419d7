"""Kinds of audio files: how they are called, how they begin, and who reads them."""

from __future__ import annotations

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


class _Signature(NamedTuple):
    """How files of a kind begin.

    Attributes:
        start: their first bytes.
        place: of further bytes that set them apart.
        more: those bytes.
        is_for_ffmpeg: whether that program reads them, and libsndfile does not.
        is_audio: whether nothing else begins so: pictures, films.
    """

    start: bytes
    place: int = 0
    more: bytes = b""
    is_for_ffmpeg: bool = False
    is_audio: bool = True

    def begins(self, head: bytes) -> bool:
        """Whether a file with these first bytes begins so."""
        return head.startswith(self.start) and head.startswith(self.more, self.place)


_SIGNATURES = (
    _Signature(b"RIFF", 8, b"WAVE"),
    _Signature(b"RF64", 8, b"WAVE"),
    _Signature(b"riff"),
    _Signature(b"fLaC"),
    _Signature(b"OggS"),
    _Signature(b"ID3"),
    _Signature(b"\xff\xfb"),  # MP3
    _Signature(b"FORM", 8, b"AIF"),
    _Signature(b".snd"),
    _Signature(b"caff"),
    _Signature(b"Creative Voice File"),
    _Signature(b"NIST_1A"),
    _Signature(b"", 4, b"ftypM4A", is_for_ffmpeg=True),
    _Signature(b"", 4, b"ftyp3gp", is_for_ffmpeg=True),
    _Signature(b"", 4, b"ftyp", is_for_ffmpeg=True, is_audio=False),  # MP4
    _Signature(b"\x1aE\xdf\xa3", is_for_ffmpeg=True),  # WebM, Matroska
    _Signature(b"\xff\xf1", is_for_ffmpeg=True),  # AAC
    _Signature(b"#!AMR", is_for_ffmpeg=True),
    _Signature(b"\x0bw", is_for_ffmpeg=True, is_audio=False),  # AC-3, by two bytes
    _Signature(b"0&\xb2u\x8ef\xcf\x11", is_for_ffmpeg=True, is_audio=False),  # WMA, WMV
)
_HEAD_BYTES = 20


def begins_as_audio(path: Path) -> bool:
    """Whether the first bytes of a file are those of audio, whatever it is called."""
    if not path.is_file():  # a pipe would wait for its writer
        return False
    try:
        head = _head(path)
    except OSError:  # of no name that is taken, and of no known content
        return False
    return any(s.is_audio and s.begins(head) for s in _SIGNATURES)


def is_for_ffmpeg(path: Path) -> bool:
    """Whether a file that libsndfile does not read is of a kind that ffmpeg is for.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix.lower() in OTHER_SUFFIXES:
        return True
    head = _head(path)
    return any(s.is_for_ffmpeg and s.begins(head) for s in _SIGNATURES)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
