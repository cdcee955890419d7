"""Where the parts of a published model or a run may lie, and which encoders they may hold."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.tiny_models import (
    MEAN,
    STD,
    WEIGHTS,
    WIDTH,
    Published,
    Run,
    joint_config,
    noise,
    other_encoder,
    published_audeering,
    published_baseline,
    random_joint,
    run_one,
    same,
    save_bin,
    save_challenge_run,
    save_safetensors,
)
from safetensors.torch import save_file

from edge_ser.cli import main
from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint


def answers_right(checkpoint: Checkpoint, model: Published) -> bool:
    x = noise(9000)
    return same(run_one(checkpoint.model, x), (model.answer(x),))


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    return str(caught.value)


# --- other encoders in the challenge baseline


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
@pytest.mark.parametrize("style", ["layer", "group"])
def test_baseline_with_another_encoder(kind: str, style: str, tmp_path: Path) -> None:
    model = published_baseline(other_encoder(kind, style))
    model.config["num_attention_heads"] = 4
    checkpoint = load_checkpoint(model.save(tmp_path, save_safetensors))
    assert answers_right(checkpoint, model)
    assert checkpoint.config.encoder.kind == "wav2vec2"
    assert any("wav2vec 2.0 and HuBERT models, which compute" in n for n in checkpoint.notes)


def test_heads_that_nothing_tells_are_asked_for(tmp_path: Path) -> None:
    model = published_baseline(other_encoder("wav2vec2"))
    path = model.save(tmp_path, save_safetensors)
    words = f"expected num_attention_heads in config.json, as no published encoder is {WIDTH} wide"
    assert words in refusal(path)


def test_heads_of_published_widths_are_known(tmp_path: Path) -> None:
    """Of 768, which are 12; with another number the answers would be others."""
    encoder = other_encoder(
        "wav2vec2", hidden_size=768, num_hidden_layers=1, num_attention_heads=12
    )
    model = published_baseline(encoder, 768)
    checkpoint = load_checkpoint(model.save(tmp_path, save_safetensors))
    assert checkpoint.config.encoder.num_attention_heads == 12
    x = noise(9000)
    assert torch.allclose(run_one(checkpoint.model, x)[0], model.answer(x), atol=1e-4, rtol=0)
    model.config["num_attention_heads"] = 16
    words = "expected num_attention_heads 12 in config.json, or none, found 16"
    assert words in refusal(model.save(tmp_path, save_safetensors))


# --- a run of the challenge baseline


@pytest.mark.parametrize("epoch", [None, "final", "3"])
def test_challenge_run(baseline: Published, tmp_path: Path, epoch: str | None) -> None:
    path = save_challenge_run(baseline, tmp_path / "seed7", epoch or "final")
    checkpoint = load_checkpoint(path, epoch)
    assert answers_right(checkpoint, baseline)
    assert (checkpoint.kind, checkpoint.name) == ("msp-run", "msp-baseline-seed7")
    assert checkpoint.epoch == (epoch or "final")
    config = checkpoint.config
    assert (config.pooling, config.region_count) == ("attentive-statistics", 0)
    assert (config.mean, config.std, config.weights_licence) == (MEAN, STD, "unknown")


@pytest.mark.parametrize("name", ["final_pool.pt", "final_ssl.pt", "train_norm_stat.pkl"])
def test_a_missing_part_of_a_challenge_run_is_named(
    baseline: Published, tmp_path: Path, name: str
) -> None:
    path = save_challenge_run(baseline, tmp_path)
    (path / name).unlink()
    assert f"expected all four files of a run, found no {name}" in refusal(path)


def test_a_challenge_run_has_no_neutral_region(baseline: Published, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which has no head for them, have no neutral one"):
        load_checkpoint(save_challenge_run(baseline, tmp_path), neutral_radius=0.3)


# --- epochs are advised where they are


def test_the_epoch_that_is_there_is_advised(
    run: Run, baseline: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.save(tmp_path / "emosphere", "final")
    assert main(["export", str(tmp_path / "emosphere"), "-o", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith("expected epoch best, found epochs final; give --epoch final")
    run.save(tmp_path / "numbers", "3")
    assert refusal(tmp_path / "numbers").endswith("found epochs 3; give --epoch 3")
    run.save(tmp_path / "numbers", "12")
    assert refusal(tmp_path / "numbers").endswith("found epochs 3, 12; give --epoch 12")
    save_challenge_run(baseline, tmp_path / "challenge", "best")
    assert refusal(tmp_path / "challenge").endswith("found epochs best; give --epoch best")


# --- files and folders


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_file_of_a_published_model_stands_for_its_folder(
    baseline: Published, tmp_path: Path, weights: str
) -> None:
    folder = baseline.save(tmp_path / "odyssey", WEIGHTS[weights])
    whole = load_checkpoint(folder)
    for file in folder.iterdir():
        checkpoint = load_checkpoint(file)
        assert answers_right(checkpoint, baseline)
        assert (checkpoint.name, checkpoint.sha256) == (whole.name, whole.sha256)


def test_the_file_that_is_given_is_the_one_that_is_read(
    baseline: Published, tmp_path: Path
) -> None:
    other = published_baseline(max_bucket_distance=800, num_hidden_layers=1)
    baseline.save(tmp_path, save_safetensors)
    other.save(tmp_path, save_bin)
    assert answers_right(load_checkpoint(tmp_path / "pytorch_model.bin"), other)
    assert answers_right(load_checkpoint(tmp_path / "model.safetensors"), baseline)


def test_our_own_file_needs_no_folder(baseline: Published, tmp_path: Path) -> None:
    baseline.save(tmp_path, save_bin)
    save_checkpoint(random_joint(joint_config("spectral")), tmp_path / "model.safetensors")
    assert load_checkpoint(tmp_path / "model.safetensors").kind == "edge-ser"


def test_a_byte_order_mark_before_the_configuration(baseline: Published, tmp_path: Path) -> None:
    baseline.save(tmp_path, save_safetensors)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text, encoding="utf-8-sig")
    assert (tmp_path / "config.json").read_bytes().startswith(b"\xef\xbb\xbf")
    assert answers_right(load_checkpoint(tmp_path), baseline)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_snapshot_of_a_hub_has_the_name_of_its_repository(
    baseline: Published, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "models--3loi--SER-Odyssey" / "snapshots" / COMMIT
    baseline.save(folder, save_safetensors)
    # as a hub's cache holds them: links to files that are named by their hash
    blob = tmp_path / "models--3loi--SER-Odyssey" / "blobs" / "ab12"
    blob.parent.mkdir()
    shutil.move(folder / "model.safetensors", blob)
    (folder / "model.safetensors").symlink_to(blob)
    for path in (folder, folder / "model.safetensors"):
        assert load_checkpoint(path).name == "msp-baseline-3loi-SER-Odyssey"
    own = folder / "best.safetensors"
    save_checkpoint(random_joint(joint_config("spectral")), own)
    assert load_checkpoint(own).name == "emosphere-3loi-SER-Odyssey-best"
    run.save(tmp_path / "snapshots" / "seed7")  # a folder of that name alone is no hub's
    assert load_checkpoint(tmp_path / "snapshots" / "seed7").name == "emosphere-seed7"


# --- shards


def save_shards(model: Published, folder: Path, suffix: str) -> Path:
    """In three parts and their index, as Transformers writes large models."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model.config))
    stem = {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    names = sorted(model.state)
    table = {}
    for part in range(3):
        file = f"{stem}-0000{part + 1}-of-00003.{suffix}"
        state = {name: model.state[name].clone() for name in names[part::3]}
        save_file(state, folder / file) if suffix == "safetensors" else torch.save(
            state, folder / file
        )
        table |= dict.fromkeys(state, file)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": table}))
    return index


@pytest.fixture(params=["safetensors", "bin"])
def index(request: pytest.FixtureRequest, baseline: Published, tmp_path: Path) -> Path:
    return save_shards(baseline, tmp_path / "odyssey", request.param)


def test_shards(baseline: Published, index: Path) -> None:
    for path in (index.parent, index):
        checkpoint = load_checkpoint(path)
        assert answers_right(checkpoint, baseline)
        assert checkpoint.name == "msp-baseline-odyssey"
    first = checkpoint.sha256
    shard = max(index.parent.glob("*-of-00003.*"))
    other = shard.with_name("other")
    content = torch.load(shard, weights_only=True) if shard.suffix == ".bin" else None
    if content is not None:
        torch.save({k: v + 1e-3 for k, v in content.items()}, other)
        other.replace(shard)
        assert load_checkpoint(index).sha256 != first


def test_a_missing_shard_is_named(index: Path) -> None:
    shard = max(index.parent.glob("*-00002-of-00003.*"))
    shard.unlink()
    assert f"expected its 3 shards beside it, found no {shard.name}" in refusal(index.parent)


def test_shards_of_another_version_are_refused(index: Path) -> None:
    table = json.loads(index.read_text())
    name, file = next(iter(table["weight_map"].items()))
    table["weight_map"][f"{name}.more"] = file
    index.write_text(json.dumps(table))
    found = refusal(index.parent)
    assert file in found and f"found others: {name}.more" in found


@pytest.mark.parametrize("file", ["../x.safetensors", "/x.bin", "x.txt", 3, ""], ids=repr)
def test_an_index_that_leads_elsewhere_is_refused(index: Path, file: object) -> None:
    index.write_text(json.dumps({"weight_map": {"a": file}}))
    assert f"found {file!r}" in refusal(index.parent)


@pytest.mark.parametrize("table", [None, {}, [], "x"], ids=repr)
def test_an_index_without_shards_is_refused(index: Path, table: object) -> None:
    index.write_text(json.dumps({"weight_map": table}))
    assert "expected a weight_map of tensors and shards" in refusal(index.parent)


# --- programs


def test_a_torchscript_file_is_called_what_it_is(
    baseline: Published, run: Run, tmp_path: Path
) -> None:
    program = tmp_path / "x.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(program))
    words = "expected a PyTorch checkpoint, found a TorchScript program; give the state dict that"
    assert f"x.pt: {words}" in refusal(program)
    run.save(tmp_path / "run")
    shutil.copy(program, tmp_path / "run" / "best_pool.pt")
    assert f"best_pool.pt: {words}" in refusal(tmp_path / "run")
    folder = published_audeering().save(tmp_path / "w2v2", save_bin)
    shutil.copy(program, folder / "pytorch_model.bin")
    assert f"pytorch_model.bin: {words}" in refusal(folder)
