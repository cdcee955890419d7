"""Options that say where a command writes: what they must not replace is refused before any work.

Declared as an `Output`, such an option is compared with everything else that was given: nobody who
mistypes a path loses a recording, a key or a table of labels.
"""

from __future__ import annotations

import argparse
import codecs
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge_ser.audio.kinds import AUDIO_SUFFIXES, begins_as_audio
from edge_ser.errors import UsageError
from edge_ser.label_table import corpus_table

STDOUT = "-"
_MODEL_SUFFIXES = frozenset({
    ".onnx", ".data", ".engine", ".plan", ".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pkl",
    ".npz", ".npy", ".zip",
})  # fmt: skip
_KEY_SUFFIXES = frozenset({".pem", ".key", ".pub", ".der", ".p8", ".sig"})
# How the files begin that are written here and are no text.
_WRITTEN = {".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}
_HEAD_BYTES = 1 << 16


class Output(argparse.Action):
    """An option that names what is written.

    Args:
        folder: whether that is a folder.
        files: names of those files in the folder that are replaced; none: the folder as a whole.
        shares: destination of the input that it may be, because the command continues that file or
            leaves it alone; "" for none.
        **declared: as of any action.
    """

    def __init__(
        self, *, folder: bool = False, files: Sequence[str] = (), shares: str = "", **declared: Any
    ) -> None:
        super().__init__(**{"metavar": "DIR" if folder else "FILE", "type": Path, **declared})
        self.folder, self.files, self.shares = folder, files, shares

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Take the path."""
        setattr(namespace, self.dest, values)


class _Given(NamedTuple):
    """A path of the command line, and what the user calls the argument that it was given for."""

    label: str
    path: Path


def names_path(action: argparse.Action) -> bool:
    """Whether what is given for an argument may be a path."""
    words = ("BUNDLE", "CKPT", "FILE")
    return action.type is Path or any(word in str(action.metavar) for word in words)


def refuse_overwriting(actions: Sequence[argparse.Action], arguments: argparse.Namespace) -> None:
    """Refuse to write over what the command reads, and over what nobody wants replaced.

    Args:
        actions: everything that the command declares.
        arguments: as they were read.

    Raises:
        UsageError: an output is an input, through links too; lies in a bundle, or in a checkpoint
            that is read; is a recording, a model, a key or other data that no command writes; or
            is another output, too.
    """
    written: list[_Given] = []
    read = [a for a in actions if not isinstance(a, Output) and names_path(a)]
    for output in (action for action in actions if isinstance(action, Output)):
        inputs = [
            (action, given) for action in read if action.dest != output.shares
            for given in _given(action, arguments)
        ]  # fmt: skip
        for given in _given(output, arguments):
            whole_folder = output.folder and not output.files
            places = [given._replace(path=given.path / name) for name in output.files] or [given]
            for place in places:
                _refuse_bundle(place, whole_folder)
            if output.folder and given.path.is_file():
                raise _refusal(given, "a new directory", "a file")
            if not whole_folder:
                _refuse_inputs(places, inputs)
            if not output.folder:
                _refuse_precious(given)
                _refuse_twice(given, written)
                written.append(given)


def _given(action: argparse.Action, arguments: argparse.Namespace) -> Iterator[_Given]:
    """The paths that were given for an argument; streams are none."""
    value = getattr(arguments, action.dest, None)
    label = "/".join(action.option_strings) or str(action.metavar)
    for word in value if isinstance(value, (list, tuple)) else [value]:
        if word is not None and str(word) != STDOUT:
            yield _Given(label, Path(word))


def _refusal(output: _Given, expected: str, found: str, more: str = "") -> UsageError:
    advice = f"choose another place for {output.label}{more}"
    return UsageError(output.path, expected=expected, found=found, advice=advice)


def _refuse_bundle(output: _Given, whole_folder: bool) -> None:
    """Nothing is written into a bundle, but a whole one may replace it."""
    from edge_ser.bundle.writing import is_bundle_of_ours  # most commands write no file

    place = Path(os.path.realpath(output.path))
    around = place.parents if whole_folder else (place, *place.parents)
    for folder in around:
        if (folder.is_dir() or folder.is_file()) and is_bundle_of_ours(folder):
            raise _refusal(output, "a file outside the bundle", f"a place in the bundle {folder}")


def _refuse_inputs(
    places: Sequence[_Given], inputs: Sequence[tuple[argparse.Action, _Given]]
) -> None:
    for place in places:
        for action, given in inputs:
            if _is_same(place.path, given.path) or _is_read_from(place.path, action, given.path):
                found = f"its {given.label}, which would be replaced"
                raise _refusal(place, "a file that the command does not read", found)


def _refuse_twice(output: _Given, written: Sequence[_Given]) -> None:
    for other in written:
        if _is_same(output.path, other.path):
            raise _refusal(output, f"another file than for {other.label}", "the same")


def _is_read_from(path: Path, action: argparse.Action, folder: Path) -> bool:
    """Whether a file is one that an input stands for: of a checkpoint, or a corpus's table."""
    if not folder.is_dir() or not path.exists():
        return False
    if "CKPT" in str(action.metavar):
        return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents
    return _is_same(path, corpus_table(folder))


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths name one file, or would once it is written."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is not there
        return os.path.realpath(one) == os.path.realpath(other)


def _refuse_precious(output: _Given) -> None:
    """A file is replaced where it is of a kind that commands write; pipes are written to."""
    kind = _precious_kind(output.path) if output.path.is_file() else ""
    if kind:
        found = f"{kind}, which would be replaced"
        raise _refusal(output, "a new file, or one that a command wrote", found, ", or remove it")


def _precious_kind(path: Path) -> str:
    """What a file is that no command writes; "" of text, and of a picture or page by its name."""
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES or begins_as_audio(path):
        return "a recording"
    if suffix in _MODEL_SUFFIXES:
        return "a model, or numbers of one"
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if suffix in _KEY_SUFFIXES or head.startswith(b"-----BEGIN "):
        return "a key or a signature"
    if suffix in _WRITTEN and head.startswith(_WRITTEN[suffix]):
        return ""
    return "" if _is_text(head) else "no text"


def _is_text(head: bytes) -> bool:
    """Whether the beginning of a file is text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
