"""Checkpoints of our own format: written, read again, and refused where they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import Run, half_exact, joint_config, noise, random_joint, run_one

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoint import load_checkpoint
from edge_ser_export.store import save_checkpoint


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", ["spectral", "wavlm-layer", "wav2vec2-group"])
@pytest.mark.parametrize("half", [False, True])
def test_own_format(tmp_path: Path, name: str, suffix: str, half: bool) -> None:
    config = joint_config(
        name, pooling="attentive-statistics", region_count=19, azimuth_step_degrees=60,
        polar_step_degrees=60, neutral_radius=0.2, weights_licence="CC0-1.0",
    )  # fmt: skip
    model = random_joint(config)
    if half:
        half_exact(model)
    path = tmp_path / f"best{suffix}"
    save_checkpoint(model, path, half=half)
    checkpoint = load_checkpoint(path)
    x = noise(9000)
    assert all(
        torch.equal(a, b) for a, b in zip(run_one(checkpoint.model, x), run_one(model, x),
                                          strict=True)
    )  # fmt: skip
    assert checkpoint.config == config
    assert checkpoint.half == half
    assert checkpoint.kind == "edge-ser"
    assert not checkpoint.model.training
    assert all(p.dtype == torch.float32 for p in checkpoint.model.parameters())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no partial file stays


def test_half_halves_the_file(tmp_path: Path) -> None:
    model = random_joint(joint_config("wavlm-layer"))
    sizes = []
    for half in (False, True):
        save_checkpoint(model, tmp_path / "x.safetensors", half=half)
        sizes.append((tmp_path / "x.safetensors").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]  # names take their part of a file this small


def test_half_refuses_weights_that_it_cannot_hold(tmp_path: Path) -> None:
    model = random_joint(joint_config("spectral"))
    model.vad_head.out[0].weight[0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"vad_head\.out\.0\.weight"):
        save_checkpoint(model, tmp_path / "x.safetensors", half=True)
    assert not list(tmp_path.iterdir())


def test_save_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"\.onnx"):
        save_checkpoint(random_joint(joint_config("spectral")), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def write_own(path: Path, **changes: Any) -> Path:
    """A checkpoint of our format with some of its header changed."""
    model = random_joint(joint_config("spectral"))
    header: dict[str, Any] = {"format": "edge-ser", "version": 1, "config": model.config.to_dict()}
    header |= changes
    if path.suffix == ".pt":
        torch.save({**header, "state_dict": model.state_dict()}, path)
    else:
        texts = {
            k: v if isinstance(v, str) else json.dumps(v)
            for k, v in header.items()
            if v is not None
        }
        save_file(model.state_dict(), path, metadata=texts)
    return path


@pytest.fixture(params=[".pt", ".safetensors"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"model{request.param}"


def test_header_written_here_is_the_right_one(own: Path) -> None:
    assert load_checkpoint(write_own(own)).kind == "edge-ser"


def test_newer_version_is_refused(own: Path) -> None:
    with pytest.raises(CheckpointError, match=r"version 2.*upgrade"):
        load_checkpoint(write_own(own, version=2))


def test_other_format_is_refused(own: Path) -> None:
    with pytest.raises(CheckpointError, match="without edge-ser's configuration"):
        load_checkpoint(write_own(own, format="other"))


def test_state_dict_as_a_file_is_refused_with_advice(run: Run, tmp_path: Path) -> None:
    torch.save(run.states["ssl"], tmp_path / "best_ssl.pt")
    with pytest.raises(CheckpointError, match="run directory"):
        load_checkpoint(tmp_path / "best_ssl.pt")


def changed_config(**changes: Any) -> dict[str, Any]:
    config = joint_config("spectral").to_dict()
    for key, value in changes.items():
        table, _, name = key.rpartition("__")
        (config[table] if table else config)[name] = value
    return config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"whisper": 1}, "whisper"),
        ({"encoder__rotary": True}, "rotary"),
        ({"encoder__hidden_size": "32"}, "hidden_size"),
        ({"encoder__conv_dim": 8}, "conv_dim"),
        ({"encoder__conv_bias": 1}, "conv_bias"),
        ({"mean": "0.1"}, "mean"),
        ({"encoder": None}, "encoder"),
    ],
)
def test_unknown_or_wrong_configuration_is_refused(
    own: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(write_own(own, config=changed_config(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder__kind": "whisper"},
        {"pooling": "max"},
        {"head": "linear"},
        {"normalization": "batch"},
        {"neutral_radius": "0.2"},
        {"encoder__num_attention_heads": 5},
        {"encoder__num_attention_heads": 0},
        {"std": 0.0},
        {"std": float("nan")},
    ],
    ids=str,
)
def test_senseless_configuration_is_refused(own: Path, changes: dict[str, Any]) -> None:
    """With values of the right type that no model can be built from, or none that works."""
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=changed_config(**changes)))


@pytest.mark.parametrize("config", [None, [], "{", "3"], ids=repr)
def test_damaged_configuration_is_refused(own: Path, config: object) -> None:
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=config))
