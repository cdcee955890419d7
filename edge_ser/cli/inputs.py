"""Which of the words of `edge-ser predict` is the bundle, and which are audio.

What looks like a bundle and is none is refused before anything is answered: the default model's
answer would look like that bundle's.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edge_ser.audio.inputs import Source
from edge_ser.audio.kinds import AUDIO_SUFFIXES, begins_as_audio
from edge_ser.audio.sound_file import import_soundfile
from edge_ser.bundle.bundle import is_bundle, near_bundle
from edge_ser.bundle.foreign import describe_foreign
from edge_ser.cli.folders import audio_files
from edge_ser.data import sample_utterances
from edge_ser.errors import BundleError, MissingPathError, UsageError

_STDIN = "-"


class Inputs(NamedTuple):
    """What is to be answered.

    Attributes:
        bundle: None: the default one.
        sources: audio, in the order given.
        unreadable: folders that could not be looked into; each was told.
    """

    bundle: Path | None
    sources: list[Source]
    unreadable: int


def read_inputs(words: Sequence[str], bundle: Path | None) -> Inputs:
    """Tell the bundle from the audio.

    Args:
        words: an optional bundle, if there is none yet, then files, directories or `-`; none: the
            sample utterances.
        bundle: of an option; None: the first word may be one.

    Raises:
        UsageError: a bundle in another place, a directory without audio, stdin twice or closed.
        MissingPathError: nothing is where the first word says, and it is not named as audio is.
        BundleError: a word is neither a bundle nor audio.
    """
    audio = list(words)
    if bundle is None and audio and _names_bundle(audio[0]):
        bundle = Path(audio.pop(0))
    for word in audio:
        if word != _STDIN:
            _refuse_model(Path(word), words, bundle)
    if audio.count(_STDIN) > 1:
        raise UsageError("-", expected="stdin once", found="twice")
    sources: list[Source] = [] if audio else [*sample_utterances()]
    unreadable = 0
    for word in audio:
        if word == _STDIN:
            sources.append(_stdin())
        else:
            files, missed = audio_files([Path(word)])
            sources += files
            unreadable += missed
    return Inputs(bundle, sources, unreadable)


def _is_audio_name(path: Path) -> bool:
    """Whether a file is called as audio is."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def _names_bundle(word: str) -> bool:
    """Whether the first word is a bundle; what can be nothing else is opened, which refuses it."""
    path = Path(word)
    if word == _STDIN or _is_audio_name(path):
        return False
    if is_bundle(path):
        return True
    if not path.exists():
        raise MissingPathError(
            path,
            expected="a bundle, an audio file or a folder",
            found="nothing there",
            advice=near_bundle(path),
        )
    if path.is_file() and not describe_foreign(path)[0] and not _is_audio(path):
        raise BundleError(path, expected="a bundle or an audio file", found="neither")
    return False


def _refuse_model(path: Path, words: Sequence[str], bundle: Path | None) -> None:
    """Refuse what is or was a model where audio is expected."""
    if is_bundle(path):
        if bundle is not None:
            raise UsageError(
                "command line",
                expected="one bundle",
                found=f"two, {bundle} and {path}",
                advice="run one after the other",
            )
        rest = [word for word in words if word != str(path)]
        raise UsageError(
            "command line",
            expected="the bundle first",
            found=f"{path} after the audio",
            advice=f"run: edge-ser predict {shlex.join([str(path), *rest])}",
        )
    if _is_audio_name(path) or not path.exists():
        return
    found, advice = describe_foreign(path)
    if found and not (path.is_dir() and any(_is_audio_name(p) for p in path.rglob("*"))):
        raise BundleError(path, expected="a bundle or audio", found=found, advice=advice)


def _is_audio(path: Path) -> bool:
    """Whether a file that is not called as audio is begins so, or libsndfile reads it."""
    if begins_as_audio(path):
        return True
    soundfile = import_soundfile()
    try:
        with path.open("rb") as file:
            soundfile.info(file)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return False
    return True


def _stdin() -> Source:
    if sys.stdin is None:
        raise UsageError("-", expected="audio on stdin", found="a closed stream")
    return sys.stdin.buffer
