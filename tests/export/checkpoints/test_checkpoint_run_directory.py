"""Run directories of the training code: read as they are found, or refused."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import (
    MEAN,
    PARTS,
    STD,
    WIDTH,
    Run,
    bert,
    noise,
    old_weight_norm,
    random_run,
    run_one,
    same,
    wavlm_config,
)

from edge_ser.cli import main
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.models.joint import RegressionHead


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "msp-seed7"
    run.save(path)
    return path


def test_run_directory(run: Run, folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    for count in (400, 9000):
        x = noise(count)
        assert same(run_one(checkpoint.model, x), run.answers(x))
    config, encoder = checkpoint.config, checkpoint.config.encoder
    assert checkpoint.kind == "emosphere-run"
    assert "msp-seed7" in checkpoint.name
    assert not checkpoint.half
    assert (config.mean, config.std, config.eps) == (MEAN, STD, 1e-6)
    assert (config.normalization, config.region_count) == ("corpus", 8)
    assert (config.pooling, config.pooling_dim, config.pooling_heads) == ("style", WIDTH + 4, 2)
    assert (config.head, config.head_dim, config.head_layers) == ("regression", WIDTH + 8, 1)
    facts = dict(
        kind="wavlm", hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, conv_dim=(8, 10, 12, 14, 16, 18, 20), conv_bias=False,
        feat_extract_norm="layer", do_stable_layer_norm=True, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, num_buckets=32, max_bucket_distance=800,
    )  # fmt: skip
    assert {k: getattr(encoder, k) for k in facts} == facts
    assert any("max_bucket_distance" in note for note in checkpoint.notes)  # assumed, and said


@pytest.mark.parametrize("style", ["layer", "group"])
@pytest.mark.parametrize("masked", [0.0, 0.05])
@pytest.mark.parametrize("conv_bias", [False, True])
def test_encoder_is_inferred_from_its_tensors(
    tmp_path: Path, style: str, masked: float, conv_bias: bool
) -> None:
    run = random_run(style, layers=2, mask_time_prob=masked, conv_bias=conv_bias)
    assert ("masked_spec_embed" in run.states["ssl"]) == bool(masked)
    run.save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    x = noise(20_000)
    assert same(run_one(checkpoint.model, x), run.answers(x))
    assert checkpoint.config.encoder.conv_bias == conv_bias
    assert checkpoint.config.head_layers == 2


@pytest.mark.parametrize("epoch", ["final", "0", "12"])
def test_epoch(run: Run, folder: Path, epoch: str) -> None:
    other = random_run(seed=50)
    other.save(folder, epoch)
    x = noise(5000)
    assert same(run_one(load_checkpoint(folder, epoch).model, x), other.answers(x))
    assert same(run_one(load_checkpoint(folder).model, x), run.answers(x))


def test_wrong_epoch_lists_the_epochs(run: Run, folder: Path) -> None:
    run.save(folder, "0")
    run.save(folder, "final")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, "3")
    assert "epoch 3" in str(caught.value)
    assert all(name in caught.value.found for name in ("best", "final", "0"))


def test_old_and_new_names_of_weight_normalisation(run: Run, folder: Path) -> None:
    new = torch.load(folder / "best_ssl.pt", weights_only=True)
    assert any("parametrizations.weight.original0" in k for k in new)
    old = old_weight_norm(new)
    assert {k for k in old if "weight_" in k} == {
        f"encoder.pos_conv_embed.conv.weight_{x}" for x in "gv"
    }
    torch.save(old, folder / "best_ssl.pt")
    x = noise(9000)
    assert same(run_one(load_checkpoint(folder).model, x), run.answers(x))


def test_data_parallel_prefix(run: Run, folder: Path) -> None:
    for part in ("ssl", "sev_ser"):
        state = {f"module.{k}": v for k, v in run.states[part].items()}
        torch.save(state, folder / f"best_{part}.pt")
    x = noise(9000)
    assert same(run_one(load_checkpoint(folder).model, x), run.answers(x))


@pytest.mark.parametrize("masked", [0.0, 0.05])
@pytest.mark.parametrize("augment", [False, True])
def test_configuration_beside_the_weights_is_used(
    tmp_path: Path, masked: float, augment: bool
) -> None:
    changes = dict(max_bucket_distance=20, mask_time_prob=masked, apply_spec_augment=augment)
    run, plain = random_run(**changes), random_run(**changes | {"max_bucket_distance": 800})
    run.save(tmp_path)
    wavlm_config(**changes).to_json_file(tmp_path / "config.json")
    x = noise(20_000)
    checkpoint = load_checkpoint(tmp_path)
    assert same(run_one(checkpoint.model, x), run.answers(x))
    assert not same(run.answers(x), plain.answers(x))  # the number matters at this length
    assert checkpoint.config.encoder.max_bucket_distance == 20
    assert not any("max_bucket_distance" in note for note in checkpoint.notes)


def test_other_convolutions_need_a_configuration(tmp_path: Path) -> None:
    changes = dict(conv_kernel=[10, 3, 3, 3, 3, 3, 2], conv_stride=[5, 2, 2, 2, 2, 2, 2])
    run = random_run(**changes)
    run.save(tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(tmp_path)
    wavlm_config(**changes).to_json_file(tmp_path / "config.json")
    x = noise(9000)
    assert same(run_one(load_checkpoint(tmp_path).model, x), run.answers(x))


@pytest.mark.parametrize("name", [*(f"best_{p}.pt" for p in PARTS), "train_norm_stat.pkl"])
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert name in str(caught.value)


@pytest.mark.parametrize("regions", [19, 33, 73])
def test_finer_regions_need_the_radius_of_the_neutral_one(tmp_path: Path, regions: int) -> None:
    run = random_run(regions=regions)
    run.save(tmp_path)
    with pytest.raises(CheckpointError, match="--neutral-radius"):
        load_checkpoint(tmp_path)
    checkpoint = load_checkpoint(tmp_path, neutral_radius=0.3)
    config = checkpoint.config
    partition = Partition(
        config.azimuth_step_degrees, config.polar_step_degrees, config.neutral_radius
    )
    assert len(partition.regions) == regions == config.region_count
    assert partition.regions[-1].name == "neutral"
    x = noise(5000)
    assert same(run_one(checkpoint.model, x), run.answers(x))


@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_octants_have_no_neutral_region(
    folder: Path, radius: float, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_checkpoint(folder).config
    assert (config.neutral_radius, config.region_count) == (None, 8)
    words = f"the 8 regions of this run have no neutral one among them, found {radius} for msp-see"
    with pytest.raises(UsageError, match=words):
        load_checkpoint(folder, neutral_radius=radius)
    for command in (["export", str(folder)], ["verify", "--reference", str(folder)]):
        assert main([*command, "--neutral-radius", str(radius)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and words in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(("part", "outputs"), [("dim_ser", 2), ("sev_ser", 12)])
def test_heads_of_other_width_are_refused(run: Run, folder: Path, part: str, outputs: int) -> None:
    head = RegressionHead(WIDTH + 4, WIDTH + 8, 1, outputs)
    torch.save(head.state_dict(), folder / f"best_{part}.pt")
    with pytest.raises(CheckpointError, match=f"found {outputs}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_another_architecture_are_refused(folder: Path, part: str) -> None:
    torch.save(bert(), folder / f"best_{part}.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, {}, torch.zeros(3)], ids=repr)
@pytest.mark.parametrize("part", PARTS)
def test_parts_that_are_no_state_dict_are_refused(folder: Path, part: str, content: object) -> None:
    torch.save(content, folder / f"best_{part}.pt")
    with pytest.raises(CheckpointError, match="state dict"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "relu"},
        {"feat_extract_activation": "relu"},
        {"hidden_act": None, "feat_extract_activation": "relu"},
        {"add_adapter": True},
        {"conv_dim": 512},
        {"conv_dim": [8, 8]},
        {"hidden_size": "32"},
        {"hidden_size": None},
        {"num_attention_heads": 5},
        {"num_hidden_layers": 3},
        {"feat_extract_norm": "batch"},
        {"do_stable_layer_norm": "no"},
        {"conv_stride": [5, 2, 2, 2, 2, 2, "2"]},
    ],
    ids=str,
)
def test_configuration_that_does_not_fit_is_refused(
    run: Run, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run.save(tmp_path)
    config = wavlm_config().to_dict() | changes
    config = {k: v for k, v in config.items() if v is not None}
    for name in [k for k, v in changes.items() if v is None]:
        config.pop(name, None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_hash_follows_every_file(run: Run, folder: Path) -> None:
    first = load_checkpoint(folder).sha256
    copied = folder.with_name("copy")
    shutil.copytree(folder, copied)
    assert load_checkpoint(copied).sha256 == first  # of content, not of place
    seen = {first}
    for part in PARTS:
        state = {k: v + 1e-3 for k, v in run.states[part].items()}
        torch.save(state, folder / f"best_{part}.pt")
        seen.add(load_checkpoint(folder).sha256)
    (folder / "train_norm_stat.pkl").write_bytes(pickle.dumps((0.0, 1.0)))
    seen.add(load_checkpoint(folder).sha256)
    wavlm_config().to_json_file(folder / "config.json")  # read, so it is of the checkpoint
    seen.add(load_checkpoint(folder).sha256)
    assert len(seen) == 7
