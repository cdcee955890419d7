"""Checkpoints of every known kind, laid out on disk as they are found, and what is refused."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    MEAN,
    STD,
    WIDTH,
    Run,
    half_exact,
    joint_config,
    noise,
    old_weight_norm,
    random_joint,
    random_run,
    randomize,
    run_one,
    wavlm_config,
)
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model, WavLMModel

from edge_ser.errors import CheckpointError, MissingPathError
from edge_ser.sphere import Partition
from edge_ser_export.checkpoint import load_checkpoint
from edge_ser_export.model import RegressionHead
from edge_ser_export.safe_pickle import load_statistics
from edge_ser_export.store import save_checkpoint

PARTS = ("ssl", "pool", "dim_ser", "sev_ser")
State = dict[str, Tensor]
Weights = Callable[[State, Path], None]


def save_safetensors(state: State, folder: Path) -> None:
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")


def save_bin(state: State, folder: Path) -> None:
    torch.save(state, folder / "pytorch_model.bin")


WEIGHTS = {"safetensors": save_safetensors, "bin": save_bin}


# --- run directories


@pytest.fixture(scope="module")
def run() -> Run:
    return random_run()


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "msp-seed7"
    run.save(path)
    return path


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    return len(found) == len(expected) and all(
        torch.allclose(a, b, atol=1e-6, rtol=0) for a, b in zip(found, expected, strict=True)
    )


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


def test_octants_have_no_neutral_region(folder: Path) -> None:
    config = load_checkpoint(folder, neutral_radius=0.3).config
    assert (config.neutral_radius, config.region_count) == (None, 8)


@pytest.mark.parametrize(("part", "outputs"), [("dim_ser", 2), ("sev_ser", 12)])
def test_heads_of_other_width_are_refused(run: Run, folder: Path, part: str, outputs: int) -> None:
    head = RegressionHead(WIDTH + 4, WIDTH + 8, 1, outputs)
    torch.save(head.state_dict(), folder / f"best_{part}.pt")
    with pytest.raises(CheckpointError, match=f"found {outputs}"):
        load_checkpoint(folder)


# --- the challenge baseline


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


@pytest.fixture(scope="module")
def baseline() -> Published:
    ssl = randomize(WavLMModel(wavlm_config()), 0)
    linear = randomize(nn.Linear(WIDTH, WIDTH), 1)
    query = torch.randn(WIDTH, 1, generator=torch.Generator().manual_seed(2))
    head = randomize(RegressionHead(2 * WIDTH, 24, 1, 3), 3)

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


# --- audEERING's wav2vec 2.0 model


@pytest.fixture(scope="module", params=[("layer", True), ("group", False)], ids=lambda p: p[0])
def audeering(request: pytest.FixtureRequest) -> Published:
    norm, stable = request.param
    config = Wav2Vec2Config(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        conv_dim=[8, 10, 12, 14, 16, 18, 20], feat_extract_norm=norm,
        do_stable_layer_norm=stable, conv_bias=stable, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    encoder = randomize(Wav2Vec2Model(config), 0)
    dense = randomize(nn.Linear(WIDTH, WIDTH), 1)
    out = randomize(nn.Linear(WIDTH, 3), 2)

    def answer(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            pooled = encoder(samples[None]).last_hidden_state.mean(1)
            return out(torch.tanh(dense(pooled)))

    state = {f"wav2vec2.{k}": v for k, v in encoder.state_dict().items()}
    state |= {f"classifier.dense.{k}": v for k, v in dense.state_dict().items()}
    state |= {f"classifier.out_proj.{k}": v for k, v in out.state_dict().items()}
    assert "wav2vec2.masked_spec_embed" in state
    described = config.to_dict() | {"architectures": ["Wav2Vec2ForSpeechClassification"]}
    return Published(described, state, answer)


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


# --- ours


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
    x = noise(9000)
    assert all(
        torch.equal(a, b) for a, b in zip(run_one(checkpoint.model, x), run_one(model, x),
                                          strict=True)
    )  # fmt: skip
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
    ],
    ids=str,
)
def test_senseless_configuration_is_refused(own: Path, changes: dict[str, Any]) -> None:
    """With values of the right type that no model can be built from, or none that works."""
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=changed_config(**changes)))


@pytest.mark.parametrize("config", [None, [], "{", "3"], ids=repr)
def test_damaged_configuration_is_refused(own: Path, config: object) -> None:
    with pytest.raises(CheckpointError):
        load_checkpoint(write_own(own, config=config))


# --- refused, whatever the kind


@dataclass
class Laid:
    """A checkpoint on disk, the file that holds the encoder's tensors, and its prefix there."""

    path: Path
    file: Path
    prefix: str

    def read(self) -> State:
        if self.file.suffix == ".safetensors":
            return load_file(self.file)
        content = torch.load(self.file, weights_only=True)
        return content.get("state_dict", content)

    def write(self, state: State) -> None:
        if self.file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(self.file, framework="pt") as old:
                metadata = old.metadata()
            save_file(state, self.file, metadata=metadata)
            return
        content = torch.load(self.file, weights_only=True)
        nested = "state_dict" in content
        torch.save({**content, "state_dict": state} if nested else state, self.file)


@pytest.fixture(
    params=["run", "baseline.safetensors", "baseline.bin", "audeering", "own.pt", "own.safetensors"]
)
def laid(request: pytest.FixtureRequest, tmp_path: Path, run: Run, baseline: Published) -> Laid:
    kind, _, suffix = request.param.partition(".")
    if kind == "run":
        run.save(tmp_path)
        return Laid(tmp_path, tmp_path / "best_ssl.pt", "")
    if kind == "own":
        path = tmp_path / f"x.{suffix}"
        save_checkpoint(random_joint(joint_config("wavlm-layer")), path)
        return Laid(path, path, "encoder.model.")
    if kind == "baseline":
        baseline.save(tmp_path, WEIGHTS[suffix])
        file = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[suffix]
        return Laid(tmp_path, tmp_path / file, "ssl_model.")
    config = wav2vec2_config()
    state = {f"wav2vec2.{k}": v for k, v in Wav2Vec2Model(config).state_dict().items()}
    for name, width in (("dense", WIDTH), ("out_proj", 3)):
        layer = nn.Linear(WIDTH, width)
        state |= {f"classifier.{name}.{k}": v for k, v in layer.state_dict().items()}
    save_bin(state, tmp_path)
    config.to_json_file(tmp_path / "config.json")
    return Laid(tmp_path, tmp_path / "pytorch_model.bin", "wav2vec2.")


def wav2vec2_config() -> Wav2Vec2Config:
    return Wav2Vec2Config(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        conv_dim=[8] * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer", do_stable_layer_norm=True,
    )  # fmt: skip


def refused(laid: Laid) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(laid.path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_laid_out_checkpoints_are_right_to_begin_with(laid: Laid) -> None:
    assert load_checkpoint(laid.path).model.vad_head is not None


def test_missing_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    names = ["encoder.layers.1.final_layer_norm.bias", "encoder.layers.0.attention.k_proj.weight"]
    for name in names:
        del state[laid.prefix + name]
    laid.write(state)
    message = refused(laid)
    assert "2 missing" in message
    assert all(name in message for name in names)


def test_unexpected_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    state[laid.prefix + "encoder.layers.0.attention.gate.weight"] = torch.zeros(2, 2)
    laid.write(state)
    message = refused(laid)
    assert "1 unexpected" in message
    assert "encoder.layers.0.attention.gate.weight" in message


def test_misshapen_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    name = "encoder.layers.0.attention.k_proj.weight"
    state[laid.prefix + name] = torch.zeros(WIDTH - 1, WIDTH)
    laid.write(state)
    message = refused(laid)
    assert name in message
    assert f"[{WIDTH - 1}, {WIDTH}] instead of [{WIDTH}, {WIDTH}]" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(laid: Laid, value: float) -> None:
    state = laid.read()
    name = laid.prefix + "encoder.layers.1.feed_forward.output_dense.weight"
    state[name] = state[name].clone()
    state[name][3, 3] = value
    laid.write(state)
    message = refused(laid)
    assert "finite" in message
    assert "encoder.layers.1.feed_forward.output_dense.weight" in message


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool])
def test_integer_weights_are_refused(laid: Laid, dtype: torch.dtype) -> None:
    state = laid.read()
    name = laid.prefix + "encoder.layer_norm.weight"
    state[name] = state[name].to(dtype)
    laid.write(state)
    assert "encoder.layer_norm.weight" in refused(laid)


def bert() -> State:
    names = ("word_embeddings.weight", "position_embeddings.weight", "LayerNorm.weight")
    state = {f"bert.embeddings.{n}": torch.randn(WIDTH, WIDTH) for n in names}
    return state | {"bert.encoder.layer.0.attention.self.query.weight": torch.randn(WIDTH, WIDTH)}


def test_another_architecture_is_refused(laid: Laid) -> None:
    laid.write(bert())
    refused(laid)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(laid: Laid, keep: float) -> None:
    content = laid.file.read_bytes()
    laid.file.write_bytes(content[: int(keep * len(content))])
    assert laid.file.name in refused(laid)


def test_files_of_noise_are_refused(laid: Laid) -> None:
    laid.file.write_bytes(np.random.default_rng(0).bytes(5000))
    assert laid.file.name in refused(laid)


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


@pytest.mark.parametrize("with_run", [False, True])
def test_configuration_of_another_architecture_is_refused(
    baseline: Published, run: Run, tmp_path: Path, with_run: bool
) -> None:
    baseline.save(tmp_path, save_safetensors)
    if with_run:
        run.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 768}))
    with pytest.raises(CheckpointError, match="bert"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\x01", '"ser"'], ids=repr)
def test_damaged_configuration_file_is_refused(
    baseline: Published, tmp_path: Path, text: str
) -> None:
    baseline.save(tmp_path, save_safetensors)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(tmp_path)


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


def test_configuration_without_weights_is_refused(baseline: Published, tmp_path: Path) -> None:
    baseline.save(tmp_path, save_safetensors)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors or pytorch_model\.bin"):
        load_checkpoint(tmp_path)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="spectral"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="nothing"):
        load_checkpoint(tmp_path)
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "notes.txt")


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
    assert len(seen) == 6


# --- statistics


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
@pytest.mark.parametrize("container", [tuple, list])
def test_statistics(tmp_path: Path, protocol: int, kind: Any, container: Any) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    pair = container([kind(MEAN), kind(STD)])
    path.write_bytes(pickle.dumps(pair, protocol))
    assert load_statistics(path) == (float(pair[0]), float(pair[1]))


def test_statistics_with_the_module_names_of_numpy_1(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    for protocol in (2, 4):
        new = pickle.dumps((np.float64(MEAN), np.float64(STD)), protocol)
        name = b"numpy._core.multiarray"
        assert name in new
        old = new.replace(b"\x8c\x16" + name, b"\x8c\x15numpy.core.multiarray")
        old = old.replace(b"c" + name, b"cnumpy.core.multiarray")
        if protocol == 4:  # without its frame, whose size has changed
            old = old[:2] + old[11:]
        path.write_bytes(old)
        assert load_statistics(path) == (MEAN, STD)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "content",
    [
        np.array([MEAN, STD]),
        (np.array(MEAN), np.array(STD)),
        (np.array([MEAN]), np.array([STD])),
        ("0.0", "1.0"),
        "ab",
        b"ab",
        (MEAN, STD, 1.0),
        (MEAN,),
        (),
        {"mean": MEAN, "std": STD},
        None,
        STD,
        (MEAN, None),
        (MEAN, 1j),
        (MEAN, np.complex128(1)),
        (NAN, STD),
        (MEAN, NAN),
        (MEAN, INF),
        (-INF, STD),
        (np.float32(MEAN), np.float32(NAN)),
        (MEAN, 0.0),
        (MEAN, -STD),
        (MEAN, np.float64(0)),
        (MEAN, 10**400),
    ],
    ids=lambda v: f"{v!r:.40}",
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_statistics_are_refused(tmp_path: Path, content: object, protocol: int) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(CheckpointError, match=r"train_norm_stat\.pkl"):
        load_statistics(path)


def test_tensors_are_no_statistics(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps((torch.tensor(MEAN), torch.tensor(STD))))
    with pytest.raises(CheckpointError, match="calls torch"):
        load_statistics(path)


def test_huge_statistics_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps((MEAN, STD)) + bytes(5000))
    with pytest.raises(CheckpointError, match="bytes"):
        load_statistics(path)


@pytest.mark.parametrize("keep", range(0, 40, 3))
def test_truncated_statistics_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    content = pickle.dumps((np.float64(MEAN), np.float64(STD)), 2)
    path.write_bytes(content[:keep])
    with pytest.raises(CheckpointError):
        load_statistics(path)
