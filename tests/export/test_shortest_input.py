"""An encoder decides about the shortest input that a bundle takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.export_sessions import open_session
from helpers.tiny_models import encoder_config, joint_config, random_joint

from edge_ser.audio import Preprocessing
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main
from edge_ser.errors import AudioError, UsageError
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.reference import TransformersEncoder
from edge_ser_runtimes.engines.profiles import read_profiles

FIELD, HOP = 465, 160


def wide() -> EncoderConfig:
    """A front end whose frames see more than 25 ms."""
    return encoder_config(
        "wav2vec2-layer",
        conv_dim=(8, 10, 12, 14, 16),
        conv_kernel=(10, 8, 4, 4, 4),
        conv_stride=(5, 4, 2, 2, 2),
    )


def test_geometry_is_that_of_the_convolutions() -> None:
    config = wide()
    assert (config.field_samples, config.hop_samples) == (FIELD, HOP)
    extractor = TransformersEncoder(config).model.feature_extractor
    for samples, frames in ((FIELD, 1), (FIELD + HOP - 1, 1), (FIELD + HOP, 2)):
        assert extractor(torch.zeros(1, samples)).shape[2] == frames


def test_the_shortest_input_follows() -> None:
    assert ModelConfig(encoder=wide()).preprocessing().min_samples == FIELD
    assert ModelConfig().preprocessing() == Preprocessing()
    # 25 ms of speech at least, however short a frame is
    short = encoder_config("wav2vec2-layer", conv_dim=(8,), conv_kernel=(10,), conv_stride=(5,))
    assert ModelConfig(encoder=short).preprocessing().min_samples == 400
    log_mel = encoder_config("spectral", conv_kernel=(900,) * 7)
    assert ModelConfig(encoder=log_mel).preprocessing().min_samples == 400, "has no convolutions"
    (profile,) = read_profiles((), ModelConfig(encoder=wide()).preprocessing())
    assert profile.samples[0] == FIELD


@pytest.mark.slow
def test_it_is_exported_and_verified(tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "wide.safetensors", tmp_path / "bundle"
    save_checkpoint(random_joint(joint_config(wide())), checkpoint)
    assert main(["export", str(checkpoint), "-o", str(out), "--max-seconds", "2"]) == 0
    assert main(["verify", str(out)]) == 0
    assert main(["verify", str(out), "--reference", str(checkpoint)]) == 0
    bundle = Bundle.open(out)
    assert bundle.golden().samples[-1].size == FIELD
    session = open_session(bundle)
    rng = np.random.default_rng(0)
    lengths = np.array([FIELD])
    vad = session.run(rng.standard_normal((1, FIELD)).astype(np.float32), lengths).vad
    assert np.isfinite(vad).all()
    with pytest.raises(UsageError, match="465 to 465 samples"):
        session.run(np.zeros((1, FIELD), np.float32), lengths - 1)
    with pytest.raises(AudioError, match="at least 465 samples"):
        bundle.manifest.preprocessing.apply(np.zeros(FIELD - 1, np.float32), "short")
