"""Files that are no checkpoint: told in words what they are."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import Run, encoder_config, joint_config, random_joint

from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.file_kind import foreign
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import read_safetensors, save_checkpoint
from edge_ser_export.checkpoints.safe_pickle import load_torch


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("word/document.xml", "a thesis")
    return content.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"
OTHERS = {
    # torch's reader takes the first letters for words of a pickle, each for others
    "notes.txt": (b"export these notes.\n", "a text file"),
    "letter.txt": (("Grüße, 4000 mal\n" * 4000).encode(), "a text file"),
    "table.csv": (b"FileName,EmoAct\na.wav,4.0\n", "a text file"),
    "best.pt": (b"", "an empty file"),
    "pointer.pt": (POINTER, "a pointer to a file kept by Git LFS"),
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    "speech.wav": (b"RIFF\x24\0\0\0WAVEfmt ", "a WAV or other RIFF file"),
    "thesis.zip": (zipped(), "a zip file without a PyTorch checkpoint in it"),
    "model.onnx": (b"\x08\x0a\x12\x07pytorch", "an ONNX graph"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_kinds_are_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = OTHERS[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert main(["export", str(path), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"edge-ser: error: {path}: expected a PyTorch checkpoint, found {words}")
    assert line.count("; ") == 1  # advice
    renamed = path.rename(tmp_path / "x.safetensors")
    if words != "an ONNX graph":  # known by its name alone
        with pytest.raises(CheckpointError, match=f"expected a safetensors file, found {words}"):
            read_safetensors(renamed)


def test_any_bytes_are_refused_in_words(tmp_path: Path) -> None:
    """Each first byte is another word to a reader of pickles, and fails in another way."""
    path = tmp_path / "x.pt"
    rng = np.random.default_rng(0)
    for first in range(256):
        path.write_bytes(bytes([first]) + rng.bytes(50))
        with pytest.raises(CheckpointError, match=r"x\.pt: expected .+, found a"):
            load_torch(path)


def test_a_whole_module_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(CheckpointError, match=r"a whole module, .+model\.state_dict\(\)"):
        load_torch(path)


class Call:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize("protocol", range(6))
def test_hostile_pickles_are_no_text_files(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps(Call(), protocol))
    with pytest.raises(CheckpointError, match=r"calls code .+; do not open this file elsewhere"):
        load_torch(path)


def test_checkpoints_are_not_foreign(tmp_path: Path, run: Run) -> None:
    run.save(tmp_path)
    model = random_joint(joint_config(encoder_config("spectral", num_hidden_layers=1)))
    for name in ("a.pt", "a.safetensors"):
        save_checkpoint(model, tmp_path / name)
    torch.save({"x": torch.zeros(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for path in list(tmp_path.iterdir()):
        assert foreign(path) == ("", "")
        cut = tmp_path / "cut.pt"  # a damaged one is not called something else
        cut.write_bytes(path.read_bytes()[:-30])
        assert foreign(cut) == ("", "")


def test_directories_without_anything_known_tell_what_is_in_them(tmp_path: Path) -> None:
    for name in ("notes.txt", "golden.npz"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CheckpointError, match=r"expected a run directory .+, found golden\.npz, "):
        load_checkpoint(tmp_path)


def test_a_bundle_is_called_one() -> None:
    with pytest.raises(CheckpointError, match=r"expected a checkpoint, found a bundle, .+predict "):
        load_checkpoint(DEFAULT_BUNDLE)
