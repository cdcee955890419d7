"""Tensors by the names that they have in the user's file."""

from pathlib import Path

import pytest
import torch
from helpers.tiny_models import (
    Published,
    Run,
    State,
    joint_config,
    old_weight_norm,
    published_audeering,
    published_baseline,
    random_joint,
    save_safetensors,
)
from safetensors import safe_open
from safetensors.torch import save_file

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint

GAIN = "encoder.pos_conv_embed.conv.weight_g"
NEW_GAIN = "encoder.pos_conv_embed.conv.parametrizations.weight.original0"


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    return str(caught.value)


def published(kind: str) -> tuple[Published, str]:
    if kind == "ser":
        return published_baseline(), "ssl_model."
    return published_audeering(), "wav2vec2."


@pytest.mark.parametrize("kind", ["ser", "wav2vec2"])
@pytest.mark.parametrize("old_names", [False, True])
def test_missing_tensors_have_the_names_of_the_file(
    kind: str, old_names: bool, tmp_path: Path
) -> None:
    model, prefix = published(kind)
    state = old_weight_norm(model.state) if old_names else dict(model.state)
    gain = next(k for k in state if k.endswith(("weight_g", "weight.original0")))
    head = next(k for k in state if k.endswith(("out.0.bias", "out_proj.bias")))
    for name in (gain, head):
        del state[name]
    found = refusal(Published(model.config, state, model.answer).save(tmp_path, save_safetensors))
    first, second = sorted((gain, head))
    assert f"found 2 missing: {first}, {second}" in found
    assert gain == prefix + (GAIN if old_names else NEW_GAIN)


def test_missing_tensors_of_a_run_are_named_with_their_file(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    state = {k: v for k, v in run.states["pool"].items() if k != "slf_attn.fc.bias"}
    torch.save(state, tmp_path / "best_pool.pt")
    assert "found 1 missing: best_pool.pt: slf_attn.fc.bias" in refusal(tmp_path)


def test_names_of_the_joint_model_are_strangers_in_a_published_one(
    baseline: Published, tmp_path: Path
) -> None:
    """They would be taken for tensors of the file if names were only replaced."""
    state = dict(baseline.state)
    state["vad_head.out.0.bias"] = state.pop("ser_model.out.0.bias")
    path = Published(baseline.config, state, baseline.answer).save(tmp_path, save_safetensors)
    expected = "found 1 missing: ser_model.out.0.bias; 1 unexpected: vad_head.out.0.bias"
    assert expected in refusal(path)


def both_spellings(state: State) -> State:
    old = old_weight_norm(state)
    added = {k: v + 1 for k, v in old.items() if k not in state}
    assert len(added) == 2
    return {**state, **added}


@pytest.mark.parametrize("kind", ["ser", "wav2vec2"])
def test_both_spellings_of_weight_normalisation_are_refused(kind: str, tmp_path: Path) -> None:
    model, prefix = published(kind)
    both = Published(model.config, both_spellings(model.state), model.answer)
    found = refusal(both.save(tmp_path, save_safetensors))
    assert prefix + NEW_GAIN in found and prefix + GAIN in found
    assert "two spellings of the same" in found


def test_both_spellings_in_a_run_directory_are_refused(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    torch.save(both_spellings(run.states["ssl"]), tmp_path / "best_ssl.pt")
    assert f"best_ssl.pt: {GAIN}, two spellings of the same" in refusal(tmp_path)


def test_both_spellings_in_our_own_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    model = random_joint(joint_config("wavlm-layer"))
    save_checkpoint(model, path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(both_spellings(model.state_dict()), path, metadata=header)
    assert f"encoder.model.{GAIN}" in refusal(path)
