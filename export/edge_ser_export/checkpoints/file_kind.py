"""What a file is that was given for a checkpoint and is none, in words."""

from __future__ import annotations

import codecs
import pickletools
import zipfile
from pathlib import Path, PurePosixPath

_HEAD_BYTES = 4096
_ZIP = b"PK\x03\x04"
_POINTER = b"version https://git-lfs"
_FRAMEWORK_BYTES = 1 << 16
_CONVERT = "convert it to Transformers' layout first, or give the model that it was made from"
# Kind, names of files of which one lies in its folder, a word of that file if it must be in it, and
# what to do.
_FRAMEWORKS = (
    (
        "SpeechBrain", ("hyperparams.yaml",), "speechbrain",
        "its recipe is a program (hyperparams.yaml), which is not run; its output_norm mixes all"
        " frames, so that no batch gives what a row gives alone; train a head on the same encoder",
    ),
    (
        "FunASR (emotion2vec)", ("config.yaml", "configuration.json"), "emotion2vec",
        "its data2vec 2.0 encoder is not one of Transformers'; use a model of another encoder",
    ),
    ("NeMo", ("*.nemo",), "", _CONVERT),
    ("TensorFlow", ("tf_model.h5", "saved_model.pb"), "", "save it with Transformers for PyTorch"),
    ("Flax", ("flax_model.msgpack",), "", "save it with Transformers for PyTorch"),
)  # fmt: skip
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a file packed with gzip",
    b"7z\xbc\xaf": "a file packed with 7-Zip",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"RIFF": "a WAV or other RIFF file",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
}


def foreign_framework(content: object) -> str:
    """Which framework's checkpoint a file's content is that cannot be loaded; "" of any other."""
    if not isinstance(content, dict):
        return ""
    if "model" in content and ({"cfg", "args"} & set(content)):
        return "a fairseq checkpoint, whose layers are not Transformers'; convert it first"
    return ""


def foreign_folder(folder: Path) -> tuple[str, str]:
    """Which framework's checkpoint a directory is that cannot be loaded, and what to do.

    Returns:
        in words; twice "" for any other directory.
    """
    for kind, names, mark, advice in _FRAMEWORKS:
        for name in names:
            for path in sorted(folder.glob(name))[:1]:
                if not mark or mark in _head_of(path):
                    return f"a {kind} checkpoint ({path.name})", advice
    return "", ""


def _head_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_FRAMEWORK_BYTES).decode("utf-8", "replace").lower()


def foreign(path: Path) -> tuple[str, str]:
    """What a file is, and what to do about it; twice "" if it may be a damaged checkpoint."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "an empty file", "copy the file again"
    if head.startswith(_POINTER):
        return "a pointer to a file kept by Git LFS", "fetch the file itself: git lfs pull"
    if head.startswith(_ZIP) and _is_torchscript(path):
        return (
            "a TorchScript program",
            "give the state dict that it was made from: a program's weights have no known places",
        )
    kind = next((words for magic, words in _MAGIC.items() if head.startswith(magic)), "")
    if path.suffix == ".onnx":  # which has no mark of its own
        kind = "an ONNX graph"
    elif head.startswith(_ZIP) and not _may_be_torch(path):
        kind = "a zip file without a PyTorch checkpoint in it"
    elif _is_text(head) and not _is_pickle(head):
        kind = kind or "a text file"
    return kind, "give the file or the directory of a checkpoint" if kind else ""


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name).parts[1:] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # cut short
    return ("constants.pkl",) in names and any(parts[:1] == ("code",) for parts in names)


def _may_be_torch(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True  # cut short, as a copy may be


def _is_text(head: bytes) -> bool:
    try:
        # not the last decoding: a character may be cut in two at the end
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\n\r\f\ufeff" for c in text)


def _is_pickle(head: bytes) -> bool:
    """Whether it is a whole pickle: those of protocol 0 are text, and may be hostile."""
    try:
        list(pickletools.genops(head))
    except Exception:  # whatever the words of another language lead to
        return False
    return True
