"""Checkpoints of our own format: written, read again, and refused where they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import Run, half_exact, joint_config, noise, random_joint, run_one, same
from safetensors.torch import save_file

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint


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
    read, written = checkpoint.model.state_dict(), model.state_dict()
    assert list(read) == list(written)
    assert all(torch.equal(read[k], written[k]) for k in written)
    # not to the bit: kernels differ with the alignment that the file gives its tensors in memory
    x = noise(9000)
    assert same(run_one(checkpoint.model, x), run_one(model, x))
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
        {"region_count": -1},
    ],
    ids=str,
)
def test_senseless_configuration_is_refused(own: Path, changes: dict[str, Any]) -> None:
    """With values of the right type that no model can be built from, or none that works."""
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=changed_config(**changes)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region_count": 19}, "region_count 0, or 8 as the partition has regions"),
        ({"neutral_radius": 0.2}, "region_count 0, or 9 as the partition has regions"),
        ({"azimuth_step_degrees": 60}, "region_count 0, or 12 as the partition has regions"),
        ({"azimuth_step_degrees": 50}, "a partition with a divisor of 360 degrees as azimuth step"),
        ({"polar_step_degrees": 0}, "a partition with a divisor of 180 degrees as polar step"),
        ({"neutral_radius": 1.5}, "a partition with a number in (0, 1) as neutral radius"),
    ],
    ids=str,
)
def test_regions_that_are_not_those_of_the_partition_are_refused(
    own: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(write_own(own, config=changed_config(**changes)))
    assert f"expected {words}, found" in str(caught.value)
    (name,) = changes
    assert f"'{name}': {changes[name]}" in caught.value.found


@pytest.mark.parametrize("name", ["spectral", "wavlm-layer"])
def test_a_model_without_regions_may_keep_the_partition_of_its_scores(
    tmp_path: Path, name: str
) -> None:
    config = joint_config(name, region_count=0, azimuth_step_degrees=60, polar_step_degrees=60)
    save_checkpoint(random_joint(config), tmp_path / "x.safetensors")
    assert load_checkpoint(tmp_path / "x.safetensors").config == config


@pytest.mark.parametrize("name", ["wavlm-layer", "wavlm-group", "wav2vec2-group"])
def test_no_weight_is_initialised_before_it_is_read(own: Path, name: str) -> None:
    save_checkpoint(random_joint(joint_config(name)), own)
    before = torch.get_rng_state()
    load_checkpoint(own)
    assert torch.equal(torch.get_rng_state(), before), "initialising would draw random numbers"


@pytest.mark.parametrize("config", [None, [], "{", "3"], ids=repr)
def test_damaged_configuration_is_refused(own: Path, config: object) -> None:
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=config))
