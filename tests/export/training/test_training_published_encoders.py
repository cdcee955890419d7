"""Training around published encoders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import noise, run_one, same, wavlm_config
from helpers.training_runs import Train, same_weights, weights_of
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model, WavLMModel

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.training.build import build_model
from edge_ser_export.training.data import Corpus


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny WavLM in Transformers' own format."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("encoder") / "wavlm"
    WavLMModel(wavlm_config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def published(encoder: Path, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "published"
    assert train(out, "--encoder", str(encoder), "--epochs", "1") == 0
    return out


def test_published_encoder_is_trained_but_for_its_front_end(encoder: Path, published: Path) -> None:
    before = WavLMModel.from_pretrained(encoder).state_dict()
    after = weights_of(published)
    prefix = "encoder.model."
    assert {k.removeprefix(prefix) for k in after if k.startswith(prefix)} == set(before)
    front = [k for k in before if k.startswith("feature_extractor.")]
    assert len(front) > 10
    for name, weight in before.items():
        kept = torch.equal(after[prefix + name], weight)
        assert kept == (name in front), name


@pytest.mark.parametrize(
    ("masked", "options", "shortest", "words"),
    [
        (0.0, (), 0.058125, "expected 0, or 0.058125 up (0.0290625, one frame"),
        (0.0, ("--no-bfloat16",), 0.0290625, "expected 0, or 0.058125 up (0.0290625, one frame"),
        (0.05, (), 0.1190625, "expected 0, or 0.119063 up, found"),
    ],
)
def test_the_shortest_crop_follows_from_the_encoder(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    masked: float, options: tuple[str, ...], shortest: float, words: str,
) -> None:  # fmt: skip
    """A frame of this one sees 465 samples, the next is 160 on; spans of ten frames are masked."""
    config = wavlm_config(
        conv_dim=[8] * 5, conv_kernel=[10, 8, 4, 4, 4], conv_stride=[5, 4, 2, 2, 2],
        mask_time_prob=masked,
    )  # fmt: skip
    folder = tmp_path / "wavlm"
    WavLMModel(config).save_pretrained(folder)
    arguments = ("--encoder", str(folder), "--epochs", "1", *options)
    assert train(tmp_path / "run", *arguments, f"--crop-seconds={shortest - 1e-4}") == 2
    assert words in capsys.readouterr().err
    assert train(tmp_path / "run", *arguments, f"--crop-seconds={shortest}") == 0
    assert all(torch.isfinite(w).all() for w in weights_of(tmp_path / "run").values())


def test_published_encoder_follows_the_seed(
    encoder: Path, published: Path, train: Train, tmp_path: Path
) -> None:
    """Everything random follows the seed: weights, order, dropout, and the encoder's masking."""
    np.random.seed(12345)
    assert train(tmp_path / "run", "--encoder", str(encoder), "--epochs", "1") == 0
    again = weights_of(tmp_path / "run")
    assert same_weights(again, weights_of(published))


def test_trained_published_encoder_can_be_loaded(published: Path) -> None:
    checkpoint = load_checkpoint(published / "best.safetensors")
    assert checkpoint.config.encoder.kind == "wavlm"
    assert run_one(checkpoint.model, noise(5000))[0].shape == (1, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask_time_prob": 0.0},
        {"apply_spec_augment": False},
        {"mask_time_prob": 0.0, "mask_feature_prob": 0.1},
        {"max_bucket_distance": 20},
        {"conv_bias": True},
        {"layer_norm_eps": 1e-3},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["wavlm-layer", "wavlm-group", "wav2vec2"])
def test_models_around_published_encoders_survive_saving(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    """Otherwise a long training would end in a checkpoint that cannot be loaded."""
    if kind == "wav2vec2":
        shared = wavlm_config("group", **changes).to_dict()
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                 "conv_dim", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
                 *changes)  # fmt: skip
        source: Any = Wav2Vec2Model(Wav2Vec2Config(**{n: shared[n] for n in names}))
    else:
        source = WavLMModel(wavlm_config(kind.removeprefix("wavlm-"), **changes))
    source.save_pretrained(tmp_path / "encoder")
    model = build_model(str(tmp_path / "encoder")).eval()
    save_checkpoint(model, tmp_path / "best.safetensors")
    x = noise(9000)
    expected = run_one(model, x)
    loaded = load_checkpoint(tmp_path / "best.safetensors").model
    assert same_weights(loaded.state_dict(), model.state_dict())
    # not to the bit: kernels differ with the alignment that the file gives its tensors in memory
    assert same(run_one(loaded, x), expected)


@pytest.mark.parametrize(
    "changes", [{"hidden_act": "relu"}, {"feat_extract_activation": "relu"}, {"add_adapter": True}],
    ids=str,
)  # fmt: skip
def test_encoders_that_cannot_be_exported_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    WavLMModel(wavlm_config(**changes)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError):
        build_model(str(tmp_path))


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_encoder_that_would_start_in_part_at_random_is_refused(
    encoder: Path, tmp_path: Path, change: str
) -> None:
    shutil.copytree(encoder, tmp_path / "encoder")
    file = tmp_path / "encoder" / "model.safetensors"
    state = load_file(file)
    name = "encoder.layers.1.attention.k_proj.weight"
    state[name] = torch.zeros(3, 3)
    if change == "missing":
        del state[name]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"k_proj|size mismatch"):
        build_model(str(tmp_path / "encoder"))


@pytest.mark.parametrize("name", ["nonsense/nothing-of-this-name", "directory"])
def test_nonsense_encoder_is_refused_at_once(
    labels: Path, clips: Path, cache: Path, corpus: Corpus, tmp_path: Path, name: str
) -> None:
    if name == "directory":
        (tmp_path / name).mkdir()
        name = str(tmp_path / name)
    command = ["train", str(labels), "--audio", str(clips), "--cache", str(cache),
               "-o", str(tmp_path / "run"), "--encoder", name]  # fmt: skip
    # in a process of its own, which Transformers is told from the start to stay offline in
    code = "import sys; from edge_ser.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"edge-ser: error: {name}: expected a preset")
    assert not done.stdout
    assert not (tmp_path / "run").exists()
