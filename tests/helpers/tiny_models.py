"""Tiny models with random weights, and what is needed to lay them out as published ones are.

Every weight is moved away from its special initial value (ones, zeros, equal rows), so that a
weight that is dropped, swapped or left alone changes the answer.
"""

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    WavLMConfig,
    WavLMModel,
)

from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.joint import JointModel, RegressionHead, StylePooling

WIDTH = 32
MEAN, STD = -8.278621631819787e-05, 0.08485510250851999
State = dict[str, Tensor]
# name -> (kind, feat_extract_norm, do_stable_layer_norm)
ENCODERS = {
    "wavlm-layer": ("wavlm", "layer", True),
    "wavlm-group": ("wavlm", "group", False),
    "wav2vec2-layer": ("wav2vec2", "layer", True),
    "wav2vec2-group": ("wav2vec2", "group", False),
    "hubert-layer": ("hubert", "layer", True),
    "hubert-group": ("hubert", "group", False),
    "spectral": ("spectral", "layer", True),
}


def encoder_config(name: str, **changes: Any) -> EncoderConfig:
    kind, norm, stable = ENCODERS[name]
    values: dict[str, Any] = dict(
        kind=kind,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=(8, 10, 12, 14, 16, 18, 20),
        conv_bias=False,
        feat_extract_norm=norm,
        do_stable_layer_norm=stable,
        num_conv_pos_embeddings=15 if kind == "spectral" else 16,
        num_conv_pos_embedding_groups=4,
        num_buckets=32,
        max_bucket_distance=20,
        mel_bands=16,
    )
    return EncoderConfig(**values | changes)


def joint_config(encoder: str | EncoderConfig, **changes: Any) -> ModelConfig:
    if isinstance(encoder, str):
        encoder = encoder_config(encoder)
    width = encoder.hidden_size
    values: dict[str, Any] = dict(
        encoder=encoder, pooling_dim=width, head_dim=width + 8, mean=MEAN, std=STD
    )
    return ModelConfig(**values | changes)


def randomize(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("gru_rel_pos_const"):
                value = 1 + 0.5 * noise
            elif name.endswith("rel_attn_embed.weight"):
                value = noise
            elif name.endswith("weight.original0"):  # gain of weight normalisation, per tap
                value = 1 + 0.2 * noise
            elif parameter.ndim >= 2:
                value = noise / math.sqrt(parameter[0].numel())
            elif name.endswith("weight"):
                value = 1 + 0.2 * noise
            else:
                value = 0.2 * noise
            parameter.copy_(value)
    return module.eval().requires_grad_(False)


def random_joint(config: ModelConfig, seed: int = 0) -> JointModel:
    model = randomize(JointModel(config), seed)
    assert isinstance(model, JointModel)
    return model


def noise(count: int, seed: int = 0) -> Tensor:
    """Coloured noise of unit variance, `[count]`: no two frames alike, no frame like the mean."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count + 8, generator=generator)
    swell = 1 + 0.5 * torch.sin(torch.arange(count) / 900)
    x = white.unfold(0, 9, 1).mean(1) * swell
    return x / x.std().clamp(min=1e-3)


def run(model: nn.Module, samples: Tensor, lengths: list[int]) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        outputs = model(samples, torch.tensor(lengths))
    return tuple(o for o in outputs if o is not None)


def run_one(model: nn.Module, samples: Tensor) -> tuple[Tensor, ...]:
    return run(model, samples[None], [samples.numel()])


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    return len(found) == len(expected) and all(
        torch.allclose(a, b, atol=1e-6, rtol=0) for a, b in zip(found, expected, strict=True)
    )


def half_exact(module: nn.Module) -> nn.Module:
    """Round all weights to float16, so that storing them in it loses nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
    return module


# --- the training code's run directory: four modules, each saved on its own

PARTS = ("ssl", "pool", "dim_ser", "sev_ser")


@dataclass
class Run:
    """The modules of a run, before any of this project's checkpoint code has seen them."""

    ssl: WavLMModel
    pool: StylePooling
    dim_ser: RegressionHead
    sev_ser: RegressionHead
    states: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in ("ssl", "pool", "dim_ser", "sev_ser"):
            state = getattr(self, part).state_dict()
            self.states[part] = {k: v.clone() for k, v in state.items()}

    def answers(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            hidden = self.ssl(samples[None]).last_hidden_state
            pooled = self.pool(hidden, torch.ones(hidden.shape[:2]))
            return self.dim_ser(pooled), self.sev_ser(pooled)

    def save(self, folder: Path, epoch: str = "best") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for part, state in self.states.items():
            torch.save(state, folder / f"{epoch}_{part}.pt")
        (folder / "train_norm_stat.pkl").write_bytes(pickle.dumps((MEAN, STD)))


def wavlm_config(style: str = "layer", **changes: Any) -> WavLMConfig:
    values: dict[str, Any] = dict(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=[8, 10, 12, 14, 16, 18, 20],
        feat_extract_norm=style,
        do_stable_layer_norm=style == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        num_buckets=32,
        max_bucket_distance=800,  # of the published models: state dicts do not tell it
    )
    return WavLMConfig(**values | changes)


def random_run(
    style: str = "layer", regions: int = 8, layers: int = 1, seed: int = 0, **changes: Any
) -> Run:
    width = WIDTH + 4
    modules = (
        WavLMModel(wavlm_config(style, **changes)),
        StylePooling(WIDTH, width, 2),
        RegressionHead(width, WIDTH + 8, layers, 3),
        RegressionHead(width, WIDTH + 8, layers, regions),
    )
    return Run(*(randomize(m, seed + i) for i, m in enumerate(modules)))  # type: ignore[arg-type]


def old_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of weight normalisation as torch wrote them before parametrizations."""
    pairs = (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    )
    renamed = {}
    for name, tensor in state.items():
        before = name
        for new, old in pairs:
            before = before.replace(new, old)
        renamed[before] = tensor
    return renamed


# --- published models: a configuration, and weights in one of two formats

Weights = Callable[[State, Path], None]


def save_safetensors(state: State, folder: Path) -> None:
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")


def save_bin(state: State, folder: Path) -> None:
    torch.save(state, folder / "pytorch_model.bin")


WEIGHTS = {"safetensors": save_safetensors, "bin": save_bin}


@dataclass
class Published:
    """A published model as its own library would hold it."""

    config: dict[str, Any]
    state: State
    answer: Callable[[Tensor], Tensor]

    def save(self, folder: Path, write: Weights) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        write({k: v.clone() for k, v in self.state.items()}, folder)
        return folder


def other_config(kind: str, style: str = "layer", **changes: Any) -> Any:
    """Configuration of any of Transformers' speech encoders, small."""
    build: Any = CONFIG_MAPPING[kind]
    sizes: dict[str, Any] = dict(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        conv_dim=[8, 10, 12, 14, 16, 18, 20], feat_extract_norm=style,
        do_stable_layer_norm=style == "layer", conv_bias=style == "layer",
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    return build(**sizes | changes)


def other_encoder(kind: str, style: str = "layer", **changes: Any) -> Any:
    """Any of Transformers' speech encoders, small."""
    models: Any = MODEL_MAPPING
    config = other_config(kind, style, **changes)
    return randomize(models[type(config)](config), 0)


def published_baseline(
    encoder: nn.Module | None = None, width: int = WIDTH, **changes: Any
) -> Published:
    """The MSP-Podcast challenge baseline; `changes` are of its WavLM, where it has one."""
    ssl = randomize(WavLMModel(wavlm_config(**changes)), 0) if encoder is None else encoder
    linear = randomize(nn.Linear(width, width), 1)
    query = torch.randn(width, 1, generator=torch.Generator().manual_seed(2))
    head = randomize(RegressionHead(2 * width, 24, 1, 3), 3)

    def answer(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            x = ssl(samples[None]).last_hidden_state[0]
            w = torch.softmax((torch.tanh(linear(x)) @ query)[:, 0], 0)[:, None]
            mean = (w * x).sum(0)
            deviation = ((w * x**2).sum(0) - mean**2).clamp(min=1e-5).sqrt()
            return head(torch.cat([mean, deviation])[None])

    config = {
        "model_type": "ser",
        "ssl_type": "microsoft/wavlm-large",
        "mean": MEAN,
        "std": STD,
        "classifier_hidden_layers": 1,
        "num_classes": 3,
        "hidden_size": 24,
    }
    state = {f"ssl_model.{k}": v for k, v in ssl.state_dict().items()}
    state |= {f"pool_model.sap_linear.{k}": v for k, v in linear.state_dict().items()}
    state |= {"pool_model.attention": query}
    state |= {f"ser_model.{k}": v for k, v in head.state_dict().items()}
    return Published(config, state, answer)


def published_audeering(style: str = "layer", kind: str = "wav2vec2", **changes: Any) -> Published:
    """audEERING's wav2vec 2.0 dimensional model, or its head on another encoder."""
    encoder = other_encoder(kind, style, **changes)
    prefix = encoder.base_model_prefix
    dense = randomize(nn.Linear(WIDTH, WIDTH), 1)
    out = randomize(nn.Linear(WIDTH, 3), 2)

    def answer(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            pooled = encoder(samples[None]).last_hidden_state.mean(1)
            return out(torch.tanh(dense(pooled)))

    state = {f"{prefix}.{k}": v for k, v in encoder.state_dict().items()}
    state |= {f"classifier.dense.{k}": v for k, v in dense.state_dict().items()}
    state |= {f"classifier.out_proj.{k}": v for k, v in out.state_dict().items()}
    described = encoder.config.to_dict() | {"architectures": ["Wav2Vec2ForSpeechClassification"]}
    return Published(described, state, answer)


def published_classifier(
    kind: str, style: str = "layer", weighted: bool = False, **changes: Any
) -> Published:
    """Transformers' own classifier of speech; `changes` are of its configuration."""
    settings: dict[str, Any] = dict(classifier_proj_size=12, use_weighted_layer_sum=weighted)
    config = other_config(kind, style, **settings | changes)
    models: Any = MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
    model = randomize(models[type(config)](config), 0)

    def answer(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            return model(samples[None]).logits

    described = config.to_dict() | {"architectures": [type(model).__name__]}
    return Published(described, dict(model.state_dict()), answer)


def save_challenge_run(model: Published, folder: Path, epoch: str = "final") -> Path:
    """The challenge baseline as its training code leaves it: three parts and the statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("ssl", "pool", "ser"):
        prefix = f"{part}_model."
        state = {k.removeprefix(prefix): v for k, v in model.state.items() if k.startswith(prefix)}
        torch.save(state, folder / f"{epoch}_{part}.pt")
    (folder / "train_norm_stat.pkl").write_bytes(pickle.dumps((MEAN, STD)))
    return folder


# --- an architecture that is not known here


def bert() -> State:
    names = ("word_embeddings.weight", "position_embeddings.weight", "LayerNorm.weight")
    state = {f"bert.embeddings.{n}": torch.randn(WIDTH, WIDTH) for n in names}
    return state | {"bert.encoder.layer.0.attention.self.query.weight": torch.randn(WIDTH, WIDTH)}
