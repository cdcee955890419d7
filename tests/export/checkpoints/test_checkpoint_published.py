"""Published models, as their own libraries laid them out: the challenge baseline, audEERING's."""

from pathlib import Path

import pytest
from helpers.tiny_models import (
    MEAN,
    STD,
    WEIGHTS,
    Published,
    noise,
    old_weight_norm,
    published_audeering,
    run_one,
    same,
    save_safetensors,
)

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint

# --- the challenge baseline


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("old_names", [False, True])
def test_challenge_baseline(
    baseline: Published, tmp_path: Path, weights: str, old_names: bool
) -> None:
    if old_names:
        baseline = Published(baseline.config, old_weight_norm(baseline.state), baseline.answer)
    checkpoint = load_checkpoint(baseline.save(tmp_path / "odyssey", WEIGHTS[weights]))
    for count in (400, 9000):
        x = noise(count)
        assert same(run_one(checkpoint.model, x), (baseline.answer(x),))
    config = checkpoint.config
    assert checkpoint.kind == "ser"
    assert "odyssey" in checkpoint.name
    assert (config.mean, config.std, config.normalization) == (MEAN, STD, "corpus")
    assert (config.region_count, config.pooling) == (0, "attentive-statistics")
    assert (config.head_dim, config.head_layers) == (24, 1)
    assert config.weights_licence == "MIT"


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize("value", [None, "0.08"])
def test_baseline_without_statistics_is_refused(
    baseline: Published, tmp_path: Path, name: str, value: object
) -> None:
    broken = Published(baseline.config | {name: value}, baseline.state, baseline.answer)
    with pytest.raises(CheckpointError, match=r"config\.json.*(mean|deviation)"):
        load_checkpoint(broken.save(tmp_path, save_safetensors))


@pytest.mark.parametrize(
    ("mean", "std"),
    [(float("nan"), STD), (MEAN, float("nan")), (MEAN, 0.0), (MEAN, -1.0), (10**400, STD)],
)
def test_baseline_with_senseless_statistics_is_refused(
    baseline: Published, tmp_path: Path, mean: float, std: float
) -> None:
    changed = baseline.config | {"mean": mean, "std": std}
    broken = Published(changed, baseline.state, baseline.answer)
    with pytest.raises(CheckpointError):
        load_checkpoint(broken.save(tmp_path, save_safetensors))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\x01", '"ser"'], ids=repr)
def test_damaged_configuration_file_is_refused(
    baseline: Published, tmp_path: Path, text: str
) -> None:
    baseline.save(tmp_path, save_safetensors)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(tmp_path)


def test_configuration_without_weights_is_refused(baseline: Published, tmp_path: Path) -> None:
    baseline.save(tmp_path, save_safetensors)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors or pytorch_model\.bin"):
        load_checkpoint(tmp_path)


# --- audEERING's wav2vec 2.0 model


@pytest.fixture(scope="module", params=["layer", "group"])
def audeering(request: pytest.FixtureRequest) -> Published:
    published = published_audeering(request.param)
    assert "wav2vec2.masked_spec_embed" in published.state
    return published


@pytest.mark.parametrize("weights", WEIGHTS)
def test_audeering_model(audeering: Published, tmp_path: Path, weights: str) -> None:
    audeering = Published(audeering.config, old_weight_norm(audeering.state), audeering.answer)
    checkpoint = load_checkpoint(audeering.save(tmp_path / "w2v2", WEIGHTS[weights]))
    for count in (400, 9000):
        x = noise(count)
        assert same(run_one(checkpoint.model, x), (audeering.answer(x),))
    config = checkpoint.config
    assert checkpoint.kind == "wav2vec2"
    assert (config.normalization, config.eps) == ("utterance", 1e-7)
    assert (config.region_count, config.pooling, config.head) == (0, "mean", "tanh")
    assert config.weights_licence == "CC-BY-NC-SA-4.0"
