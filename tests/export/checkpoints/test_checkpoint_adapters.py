"""Adapters of PEFT, merged before the export: against their base with the adapter beside it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hub_cache import NAME, lay_out, offline
from helpers.tiny_models import (
    WIDTH,
    Published,
    State,
    noise,
    published_classifier,
    run_one,
    save_safetensors,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import HubertConfig, HubertForSequenceClassification, HubertModel

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint

FOUR = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness"}
RANK, ALPHA = 3, 5.0
TARGETS = tuple(
    f"hubert.encoder.layers.{layer}.attention.{name}"
    for layer in (0, 1)
    for name in ("q_proj", "v_proj")
)  # fmt: skip


@pytest.fixture
def base() -> Published:
    return published_classifier("hubert", id2label=FOUR)


def low_rank(seed: int = 5) -> State:
    """As PEFT names them."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}
    for module in TARGETS:
        state[f"base_model.model.{module}.lora_A.weight"] = 0.3 * torch.randn(
            RANK, WIDTH, generator=generator
        )
        state[f"base_model.model.{module}.lora_B.weight"] = 0.3 * torch.randn(
            WIDTH, RANK, generator=generator
        )
    return state


def save_adapter(folder: Path, state: State, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["q_proj", "v_proj"],
        "use_rslora": False, "use_dora": False, "bias": "none", "fan_in_fan_out": False,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config | changes))
    save_file(state, folder / "adapter_model.safetensors")
    return folder


def beside(base: Published, state: State, scale: float, samples: Tensor) -> Tensor:
    """The base's answer with the adapter computed beside it, never merged."""
    model = HubertForSequenceClassification(HubertConfig.from_dict(base.config)).eval()
    model.load_state_dict(base.state)
    for module in TARGETS:
        down, up = (state[f"base_model.model.{module}.lora_{x}.weight"] for x in "AB")
        layer: nn.Module = model.get_submodule(module)
        layer.register_forward_hook(
            lambda _, given, out, a=down, b=up: out + scale * (given[0] @ a.T) @ b.T
        )
    with torch.inference_mode():
        return model(samples[None]).logits


@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_an_adapter_beside_its_base_is_merged(
    base: Published, rank_stabilised: bool, tmp_path: Path
) -> None:
    base.save(tmp_path, save_safetensors)
    save_adapter(tmp_path, low_rank(), use_rslora=rank_stabilised)
    x = noise(4000)
    scale = ALPHA / (math.sqrt(RANK) if rank_stabilised else RANK)
    (found,) = run_one(load_checkpoint(tmp_path).model, x)
    torch.testing.assert_close(found, beside(base, low_rank(), scale, x), atol=2e-5, rtol=0)
    assert not torch.allclose(found, base.answer(x), atol=1e-3)


def test_the_scale_of_a_module_of_its_own(base: Published, tmp_path: Path) -> None:
    base.save(tmp_path, save_safetensors)
    # of several that fit the first counts; the end of a longer name is no module's
    alphas = {"attention.q_proj": 5, "q_proj": 77, "v_proj": 5, "proj": 66}
    save_adapter(tmp_path, low_rank(), lora_alpha=99, alpha_pattern=alphas)
    x = noise(4000)
    (found,) = run_one(load_checkpoint(tmp_path).model, x)
    expected = beside(base, low_rank(), ALPHA / RANK, x)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_a_head_in_the_adapter_on_an_encoder_without_one(base: Published, tmp_path: Path) -> None:
    """What training on a pretrained encoder leaves: its head is saved whole with the adapter."""
    encoder = {k.removeprefix("hubert."): v for k, v in base.state.items() if "hubert." in k}
    plain = HubertModel(HubertConfig.from_dict(base.config)).config.to_dict()
    pretrained = encoder | {"lm_head.weight": torch.ones(3, WIDTH)}
    Published(plain, pretrained, base.answer).save(tmp_path / "encoder", save_safetensors)
    heads = {k: v for k, v in base.state.items() if not k.startswith("hubert.")}
    state = low_rank() | {
        f"base_model.model.{name.replace('.', '.modules_to_save.')}": tensor.clone()
        for name, tensor in heads.items()
    }
    folder = save_adapter(tmp_path / "adapter", state, base_model_name_or_path="../encoder")
    (folder / "config.json").write_text(json.dumps(base.config))
    x = noise(4000)
    (found,) = run_one(load_checkpoint(folder).model, x)
    expected = beside(base, low_rank(), ALPHA / RANK, x)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_samples_are_prepared_as_the_base_does_unless_the_adapter_says_otherwise(
    base: Published, tmp_path: Path
) -> None:
    """Whichever of the two has the configuration of the model."""
    own = base.save(tmp_path / "base", save_safetensors)
    folder = save_adapter(tmp_path / "a", low_rank(), base_model_name_or_path="../base")

    def kinds() -> tuple[str, str]:
        without = load_checkpoint(folder)
        (folder / "config.json").write_text(json.dumps(base.config))
        beside = load_checkpoint(folder)
        (folder / "config.json").unlink()
        return without.config.normalization, beside.config.normalization

    (own / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert kinds() == ("corpus", "corpus")
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    assert kinds() == ("utterance", "utterance")


def test_a_base_in_the_cache_of_a_hub(
    base: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in offline(lay_out(base, tmp_path)).items():
        monkeypatch.setenv(key, value)
    folder = save_adapter(tmp_path / "adapter", low_rank(), base_model_name_or_path=NAME)
    x = noise(4000)
    (found,) = run_one(load_checkpoint(folder).model, x)
    expected = beside(base, low_rank(), ALPHA / RANK, x)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_an_adapter_without_its_base_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    folder = save_adapter(tmp_path / "a", low_rank(), base_model_name_or_path="lab/elsewhere")
    with pytest.raises(CheckpointError, match=r"lab/elsewhere', found an adapter without"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_dora": True}, "expected use_dora False, found True"),
        ({"peft_type": "IA3"}, "expected peft_type LORA, found 'IA3'"),
        ({"fan_in_fan_out": True}, "expected fan_in_fan_out False"),
        ({"lora_alpha": "5"}, "lora_alpha, a number above 0, found '5'"),
        ({"init_lora_weights": "pissa_niter_4"}, "leaves the base as it is, found 'pissa_niter_4'"),
        ({"init_lora_weights": "olora"}, "leaves the base as it is, found 'olora'"),
        ({"init_lora_weights": ["pissa"]}, "leaves the base as it is, found "),
        ({"alpha_pattern": {"^hubert.*q_proj": 9}}, "names of modules in alpha_pattern, found '"),
        ({"alpha_pattern": [5]}, "alpha_pattern, a table of modules"),
    ],
)
def test_other_adapters_are_refused(
    base: Published, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    base.save(tmp_path, save_safetensors)
    save_adapter(tmp_path, low_rank(), **changes)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path)


def test_an_adapter_of_another_model_is_refused(base: Published, tmp_path: Path) -> None:
    base.save(tmp_path, save_safetensors)
    state = low_rank()
    name = f"base_model.model.{TARGETS[0]}.lora_A.weight"
    save_adapter(tmp_path, state | {name: torch.ones(RANK, WIDTH + 1)})
    with pytest.raises(CheckpointError, match=rf"lora_A \[{RANK}, {WIDTH + 1}\]"):
        load_checkpoint(tmp_path)
    del state[name]
    save_adapter(tmp_path, state)
    with pytest.raises(CheckpointError, match="lora_A none"):
        load_checkpoint(tmp_path)
