"""An encoder of the registry is taken in by every kind of checkpoint that names it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import (
    Run,
    noise,
    other_encoder,
    published_audeering,
    random_run,
    run_one,
    same,
    save_safetensors,
    wavlm_config,
)

from edge_ser.cli import main
from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.encoders import ENCODERS

KINDS = ("wav2vec2", "hubert", "wavlm", "unispeech-sat", "data2vec-audio")
STYLES = [(kind, style) for kind in KINDS for style in ("layer", "group")]


def run_with(kind: str, style: str) -> Run:
    """A run whose encoder is of another kind; its configuration has to lie beside it."""
    run = random_run()
    return Run(other_encoder(kind, style), run.pool, run.dim_ser, run.sev_ser)


@pytest.mark.parametrize(("kind", "style"), STYLES)
def test_beside_a_run_directory(kind: str, style: str, tmp_path: Path) -> None:
    run = run_with(kind, style)
    run.save(tmp_path)
    run.ssl.config.to_json_file(tmp_path / "config.json")
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config.encoder.kind == kind
    for count in (400, 9000):
        x = noise(count)
        assert same(run_one(checkpoint.model, x), run.answers(x))


@pytest.mark.parametrize(("kind", "style"), STYLES)
def test_of_a_published_dimensional_model(kind: str, style: str, tmp_path: Path) -> None:
    model = published_audeering(style, kind)
    checkpoint = load_checkpoint(model.save(tmp_path, save_safetensors))
    assert checkpoint.kind == kind
    config = checkpoint.config
    assert (config.family, config.encoder.kind) == (f"{kind}-dimensional", kind)
    # the licence of audEERING's own is known
    assert (config.weights_licence != "unknown") == (kind == "wav2vec2")
    x = noise(9000)
    assert same(run_one(checkpoint.model, x), (model.answer(x),))


@pytest.mark.parametrize("kind", KINDS)
def test_and_kept_in_our_own_format(kind: str, tmp_path: Path) -> None:
    model = published_audeering("layer", kind)
    loaded = load_checkpoint(model.save(tmp_path / "published", save_safetensors))
    save_checkpoint(loaded.model, tmp_path / "own.safetensors")
    x = noise(9000)
    assert same(run_one(load_checkpoint(tmp_path / "own.safetensors").model, x), (model.answer(x),))


def test_hubert_has_the_form_of_wav2vec2(tmp_path: Path) -> None:
    model = load_checkpoint(
        published_audeering("group", "hubert").save(tmp_path, save_safetensors)
    ).model
    form = DeploymentModel(model)
    assert isinstance(form.encoder, DeploymentEncoder)
    x = noise(20_000)
    for given, expected in zip(run_one(form, x), run_one(model, x), strict=True):
        assert torch.allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (
            "data2vec-audio",
            {"conv_pos_kernel_size": 5},
            "expected conv_pos_kernel_size 19, found 5",
        ),
        ("hubert", {"conv_pos_batch_norm": True}, "expected conv_pos_batch_norm false, found true"),
        ("unispeech-sat", {"hidden_act": "relu"}, 'expected hidden_act "gelu", found "relu"'),
    ],
)
def test_what_would_change_a_number_is_refused(
    kind: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    model = published_audeering("layer", kind)
    model.config.update(changes)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model.save(tmp_path, save_safetensors))
    assert words in str(caught.value)


def test_what_only_training_reads_changes_nothing(tmp_path: Path) -> None:
    model = published_audeering("layer", "unispeech-sat")
    model.config.update(mask_time_length=3, num_negatives=7, final_dropout=0.5, vocab_size=9)
    x = noise(9000)
    loaded = load_checkpoint(model.save(tmp_path, save_safetensors))
    assert same(run_one(loaded.model, x), (model.answer(x),))


def test_a_stranger_is_refused_with_what_is_known(tmp_path: Path) -> None:
    random_run().save(tmp_path)
    config = wavlm_config().to_diff_dict() | {"model_type": "whisper"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"wavlm, wav2vec2, hubert, or another.*type whisper"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("target", ["onnx-int8", "trt-int8", "trt-fp8"])
def test_eight_bits_are_refused_where_products_are_not_found(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = published_audeering("layer", "unispeech-sat").save(tmp_path / "c", save_safetensors)
    device = ["--device", "rtx-5090"] if target.startswith("trt") else []
    out = tmp_path / "bundle"
    assert main(["export", str(source), "--target", target, *device, "-o", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    able = ", ".join(ENCODERS)
    assert f"--target {target}: expected an encoder with a form for devices ({able})" in error
    assert "found unispeech-sat" in error and "use --target onnx-fp32 or onnx-fp16" in error
    assert not out.exists()
