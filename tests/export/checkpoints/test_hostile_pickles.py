"""Pickles that would run code, in every place where one is read: refused, and nothing is run."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import (
    MEAN,
    STD,
    WIDTH,
    Run,
    joint_config,
    random_joint,
    random_run,
    wavlm_config,
)
from torch import nn
from transformers import WavLMModel

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.safe_pickle import load_statistics
from edge_ser_export.training.build import build_model


class SystemCall:
    """Unpickles by running a shell command."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


class PathTouch:
    """Unpickles by creating a file, without a shell."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class Evaluated:
    """Unpickles through `eval`, which is neither of a file nor of a process."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({self.path!r}, 'w').close()",)


class ByState:
    """Unpickles as an innocent object whose state is the payload."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (), None, None, iter([("weight", PathTouch(self.path))])


PAYLOADS: tuple[type[Any], ...] = (SystemCall, PathTouch, Evaluated, ByState)


def save_zip(content: object, path: Path) -> None:
    torch.save(content, path)


def save_legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_plain(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


FORMATS: dict[str, Callable[[object, Path], None]] = {
    "zip": save_zip,
    "legacy": save_legacy,
    "plain": save_plain,
}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file whose existence says that a payload has run."""
    return tmp_path / "it-ran"


@pytest.fixture(scope="module")
def run() -> Run:
    return random_run()


def lay_run(folder: Path, run: Run) -> None:
    run.save(folder)


def lay_baseline(folder: Path, run: Run) -> None:
    folder.mkdir()
    config = {"model_type": "ser", "mean": MEAN, "std": STD}
    (folder / "config.json").write_text(json.dumps(config))


def lay_audeering(folder: Path, run: Run) -> None:
    folder.mkdir()
    config = wavlm_config().to_dict() | {"model_type": "wav2vec2"}
    (folder / "config.json").write_text(json.dumps(config))


def lay_own(folder: Path, run: Run) -> None:
    folder.mkdir()


# where a pickle is read -> how the rest of that checkpoint is laid out, and what is loaded
PLACES: dict[str, tuple[Callable[[Path, Run], None], str]] = {
    "best_ssl.pt": (lay_run, ""),
    "best_pool.pt": (lay_run, ""),
    "best_dim_ser.pt": (lay_run, ""),
    "best_sev_ser.pt": (lay_run, ""),
    "train_norm_stat.pkl": (lay_run, ""),
    "baseline/pytorch_model.bin": (lay_baseline, ""),
    "audeering/pytorch_model.bin": (lay_audeering, ""),
    "model.pt": (lay_own, "model.pt"),
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("save", FORMATS)
def test_payloads_are_real(tmp_path: Path, marker: Path, payload: Any, save: str) -> None:
    path = tmp_path / "x.pt"
    FORMATS[save]({"weight": payload(marker)}, path)
    assert not marker.exists()
    if save == "plain":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_run(
    tmp_path: Path, marker: Path, run: Run, place: str, nested: bool, save: str, payload: Any
) -> None:
    lay, target = PLACES[place]
    folder, name = tmp_path / "checkpoint", place.rpartition("/")[2]
    lay(folder, run)
    evil: object = payload(marker)
    if nested and name == "train_norm_stat.pkl":
        evil = (MEAN, evil)
    elif nested and name == "model.pt":
        config = joint_config("spectral")
        state = random_joint(config).state_dict()
        evil = {"format": "edge-ser", "version": 1, "config": config.to_dict(),
                "state_dict": {**state, "x": evil}}  # fmt: skip
    elif nested:
        evil = {"weight": torch.zeros(2), "x": evil}
    FORMATS[save](evil, folder / name)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder / target)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("protocol", range(6))
def test_statistics_run_nothing_in_any_protocol(
    tmp_path: Path, marker: Path, payload: Any, protocol: int
) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    for content in (payload(marker), (MEAN, payload(marker)), [payload(marker), STD]):
        path.write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(CheckpointError):
            load_statistics(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["numpy.core.multiarray", "numpy", "_codecs", "numpy.dtype"])
def test_statistics_admit_no_neighbour_of_what_they_need(tmp_path: Path, name: str) -> None:
    """Only the few names that numpy scalars are made of, not their modules."""
    path = tmp_path / "train_norm_stat.pkl"
    for function in ("fromfile", "load", "_reconstruct", "lookup", "type", "scalar.__class__"):
        path.write_bytes(b"\x80\x02c" + f"{name}\n{function}\n".encode() + b"U\x01a\x85R.")
        with pytest.raises(CheckpointError, match=r"train_norm_stat\.pkl"):
            load_statistics(path)


# sizes that a few bytes can claim: nothing may be reserved before it is there
CLAIMS = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b".",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".",
    "number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "memo": b"\x80\x04K\x01r\xff\xff\xff\xff.",
}
_UNDER_LIMIT = """
import resource, sys
from pathlib import Path
from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.safe_pickle import load_statistics
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
for name in sys.argv[2:]:
    try:
        load_statistics(path / name)
        print(name, "accepted")
    except CheckpointError:
        print(name, "refused")
    except BaseException as error:
        print(name, type(error).__name__)
"""


def test_statistics_reserve_no_memory_that_they_only_claim(tmp_path: Path) -> None:
    for name, content in CLAIMS.items():
        (tmp_path / name).write_bytes(content)
    # in a process of its own with a limit, for such a file may take all memory there is
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_LIMIT, str(tmp_path), *CLAIMS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == [f"{name} refused" for name in CLAIMS]


def test_torchscript_archives_are_refused(tmp_path: Path, run: Run) -> None:
    run.save(tmp_path)
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "best_pool.pt"))
    with pytest.raises(CheckpointError, match=r"best_pool\.pt"):
        load_checkpoint(tmp_path)


def test_zip_that_is_no_checkpoint_is_refused(tmp_path: Path, run: Run) -> None:
    run.save(tmp_path)
    with zipfile.ZipFile(tmp_path / "best_pool.pt", "w") as archive:
        archive.writestr("archive/notes.txt", "not a model")
    with pytest.raises(CheckpointError, match=r"best_pool\.pt"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("save", FORMATS)
def test_encoder_to_train_from_runs_nothing(
    tmp_path: Path, marker: Path, save: str, payload: Any
) -> None:
    folder = tmp_path / "encoder"
    WavLMModel(wavlm_config()).save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    evil = {"encoder.layer_norm.weight": torch.ones(WIDTH), "x": payload(marker)}
    FORMATS[save](evil, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        build_model(str(folder))
    assert not marker.exists()


def test_encoder_to_train_from_brings_no_code(tmp_path: Path, marker: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    config = {
        "model_type": "stranger",
        "auto_map": {"AutoConfig": "stranger.Config", "AutoModel": "stranger.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "stranger.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(CheckpointError):
        build_model(str(folder))
    assert not marker.exists()
