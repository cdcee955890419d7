"""An encoder is described once; one without a form of ours is traced as Transformers writes it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.export_sessions import open_session
from helpers.tiny_models import encoder_config, joint_config, noise, random_joint, run_one

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main
from edge_ser.errors import CheckpointError
from edge_ser.session import pad_batch
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.config import EncoderConfig, checked
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.encoders import ENCODERS, find_encoder, is_known

OTHERS = ("unispeech-sat", "data2vec-audio")


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_kind_builds_what_it_says(kind: str) -> None:
    name = kind if kind == "spectral" else f"{kind}-layer"
    config = encoder_config(name)
    spec = find_encoder(kind)
    encoder = spec.build(config).eval()
    assert (spec.field(config), spec.max_batch) == (400, None)
    assert spec.hop(config) == {"spectral": 640}.get(kind, 320)
    samples = spec.field(config) + 3 * spec.hop(config)
    with torch.inference_mode():
        hidden, mask = encoder(torch.randn(1, samples), torch.tensor([samples]))
    assert hidden.shape == (1, 4, config.hidden_size) and mask.shape == (1, 4)


def test_kinds_are_known_or_refused() -> None:
    assert all(is_known(kind) for kind in (*ENCODERS, *OTHERS))
    assert not is_known("bert") and not is_known("whisper") and not is_known("")
    with pytest.raises(
        CheckpointError, match="kind one of wavlm, wav2vec2, hubert, spectral, or of Trans"
    ):
        checked(EncoderConfig, {"kind": "bert"}, "x.safetensors")


@pytest.mark.parametrize("kind", OTHERS)
def test_an_unknown_encoder_of_transformers_is_left_as_it_is(kind: str) -> None:
    model = random_joint(joint_config(encoder_config("wav2vec2-layer", kind=kind)))
    x = noise(20_000)
    for written, fast in (
        (DeploymentModel(model, fast=True), True),
        (DeploymentModel(model), False),
    ):
        found, expected = run_one(written, x), run_one(model, x)
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, atol=1e-5), fast


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_it_is_exported_and_runs_row_by_row(kind: str, tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "other.safetensors", tmp_path / "bundle"
    model = random_joint(joint_config(encoder_config("wav2vec2-layer", kind=kind)))
    save_checkpoint(model, checkpoint)
    assert main(["export", str(checkpoint), "-o", str(out), "--max-seconds", "2"]) == 0
    assert main(["verify", str(out), "--reference", str(checkpoint)]) == 0
    bundle = Bundle.open(out)
    assert bundle.manifest.max_batch == 1
    assert bundle.manifest.architecture["summary"].startswith(f"{kind} encoder (2 layers of 32)")
    rows = [noise(n, seed=n) for n in (400, 9000, 32_000)]
    together = open_session(bundle).run(*pad_batch([x.numpy() for x in rows]))
    for vad, x in zip(together.vad, rows, strict=True):
        assert np.abs(vad - run_one(load_checkpoint(checkpoint).model, x)[0].numpy()).max() < 1e-4
