import os

# read when Transformers is first imported; nothing here may wait for a network
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
from helpers.export_sessions import Speech, sabotaged
from helpers.tiny_models import (
    Published,
    Run,
    encoder_config,
    half_exact,
    joint_config,
    published_baseline,
    random_joint,
    random_run,
)
from helpers.training_runs import Train, split_rows, write_labels

from edge_ser.bundle.files import MANIFEST
from edge_ser.cli import main
from edge_ser.errors import GateError
from edge_ser_export import pipeline
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.labels import read_training_labels


@pytest.fixture(scope="session")
def clips() -> Path:
    """Folder of sixteen clips of two voices, with `samples.csv`."""
    return default_calibration_samples()


@pytest.fixture(scope="session")
def speech(clips: Path) -> tuple[Path, ...]:
    """A few of the clips."""
    return tuple(sorted(clips.glob("*.flac"))[::5])


# --- checkpoints


@pytest.fixture(scope="module")
def run() -> Run:
    return random_run()


@pytest.fixture(scope="module")
def baseline() -> Published:
    return published_baseline()


# --- exports


@pytest.fixture(scope="module", autouse=True)
def _share_traces(traced_once: None) -> None:
    """Here every export does."""


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest model that can be exported; float16 would hold its float32 weights."""
    encoder = encoder_config("spectral", num_hidden_layers=1, hidden_size=64)
    model = random_joint(joint_config(encoder, pooling="mean", head="tanh", region_count=0))
    half_exact(model)
    path = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    save_checkpoint(model, path)
    return path


@pytest.fixture(scope="session")
def kept(plain: Path, tmp_path_factory: pytest.TempPathFactory, speech: Speech) -> Path:
    """A bundle that failed the gate, kept as asked, where a good-looking one was before."""
    out = tmp_path_factory.mktemp("exports") / "kept"
    out.mkdir()
    (out / MANIFEST).write_text('{"schema": 1, "graph": "model.onnx", "files": []}')
    options = pipeline.ExportOptions(str(plain), out=out, speech=speech, keep_failed=True)
    with pytest.raises(GateError, match="kept as asked and replaced the one that was") as caught:
        pipeline.export(options, sabotaged)
    assert caught.value.exit_code == 1
    return out


# --- training


@pytest.fixture(scope="session")
def labels(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("labels") / "labels.csv", split_rows(clips))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def corpus(labels: Path, clips: Path, cache: Path) -> Corpus:
    return Corpus(read_training_labels(labels, clips), clips, cache, 12.0)


@pytest.fixture(scope="session")
def train(labels: Path, clips: Path, cache: Path) -> Train:
    """Runs the command with settings that a few clips can be learnt with."""

    def command(out: Path, *more: str, table: Path = labels) -> int:
        settings = ["--batch-size", "8", "--accumulate", "1", "--learning-rate", "3e-4"]
        return main([
            "train", str(table), "--audio", str(clips), "-o", str(out), "--cache", str(cache),
            "--device", "cpu", *settings, *more,
        ])  # fmt: skip

    return command


@pytest.fixture(scope="session")
def spectral(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, without interruption."""
    out = tmp_path_factory.mktemp("runs") / "spectral"
    assert train(out, "--encoder", "spectral", "--epochs", "2", "--licence", "CC0-1.0") == 0
    return out
