"""Layouts of published classifiers: whose heads, whose poolings, whose names."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import (
    WIDTH,
    Published,
    noise,
    other_encoder,
    published_baseline,
    published_classifier,
    randomize,
    run,
    run_one,
    save_bin,
    save_safetensors,
    wavlm_config,
)
from torch import Tensor, nn
from transformers import WavLMModel

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import RegressionHead

FOUR = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness"}


def pooled_classifier(pooling: str, last: str = "out_proj") -> Published:
    """wav2vec 2.0 under two layers on a pooling of its frames, as many train it."""
    encoder = other_encoder("wav2vec2", "layer")
    dense, out = randomize(nn.Linear(WIDTH, WIDTH), 1), randomize(nn.Linear(WIDTH, 4), 2)
    pool = {"mean": lambda x: x.mean(1), "sum": lambda x: x.sum(1), "max": lambda x: x.amax(1)}

    def answer(samples: Tensor) -> Tensor:
        with torch.inference_mode():
            frames = encoder(samples[None]).last_hidden_state
            return out(torch.tanh(dense(pool[pooling](frames))))

    state = {f"wav2vec2.{k}": v for k, v in encoder.state_dict().items()}
    state |= {f"classifier.dense.{k}": v for k, v in dense.state_dict().items()}
    state |= {f"classifier.{last}.{k}": v for k, v in out.state_dict().items()}
    described = encoder.config.to_dict() | {"id2label": FOUR, "label2id": None}
    return Published(described | {"pooling_mode": pooling}, state, answer)


@pytest.mark.parametrize("last", ["out_proj", "output"])
@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_classifiers_on_a_pooling_of_frames(pooling: str, last: str, tmp_path: Path) -> None:
    published = pooled_classifier(pooling, last)
    checkpoint = load_checkpoint(published.save(tmp_path, save_bin))
    assert checkpoint.config.categories == tuple(FOUR.values())
    assert checkpoint.config.weights_licence == "unknown"
    long, short = noise(9000), noise(4000, 1)
    (found,) = run_one(checkpoint.model, long)
    torch.testing.assert_close(found, published.answer(long), atol=2e-5, rtol=1e-5)
    form = DeploymentModel(checkpoint.model)
    form.fold()
    batch = torch.full((2, 9000), 3.0)  # what follows a row must not matter
    batch[0], batch[1, :4000] = long, short
    (rows,) = run(form, batch, [9000, 4000])
    expected = torch.cat([published.answer(long), published.answer(short)])
    torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-5)


def test_outputs_that_nobody_named_are_dimensions_under_this_head(tmp_path: Path) -> None:
    published = pooled_classifier("mean")
    config = published.config | {"id2label": {str(i): f"LABEL_{i}" for i in range(4)}}
    unnamed = Published(config, published.state, published.answer)
    with pytest.raises(CheckpointError, match=r"misshapen: classifier\.out_proj"):
        load_checkpoint(unnamed.save(tmp_path, save_bin))


def test_the_categorical_twin_of_the_challenge_baseline(tmp_path: Path) -> None:
    names = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral")
    published = published_baseline()
    head = randomize(RegressionHead(2 * WIDTH, 24, 1, 8), 5)
    ssl = randomize(WavLMModel(wavlm_config()), 0)
    state = {k: v for k, v in published.state.items() if not k.startswith("ser_model.")}
    state |= {f"ser_model.{k}": v for k, v in head.state_dict().items()}
    config = published.config | {"num_classes": 8, "id2label": dict(enumerate(names))}
    folder = Published(config, state, published.answer).save(tmp_path, save_safetensors)
    checkpoint = load_checkpoint(folder)
    assert checkpoint.config.categories == names
    assert not checkpoint.config.has_dimensions
    x = noise(4000)
    frames = ssl(x[None]).last_hidden_state[0]
    linear, query = published.state["pool_model.sap_linear.weight"], state["pool_model.attention"]
    bias = published.state["pool_model.sap_linear.bias"]
    w = torch.softmax((torch.tanh(frames @ linear.T + bias) @ query)[:, 0], 0)[:, None]
    mean = (w * frames).sum(0)
    deviation = ((w * frames**2).sum(0) - mean**2).clamp(min=1e-5).sqrt()
    expected = head(torch.cat([mean, deviation])[None])
    torch.testing.assert_close(run_one(checkpoint.model, x)[0], expected, atol=1e-5, rtol=0)
    config["id2label"] = dict(enumerate(names[:7]))
    with pytest.raises(CheckpointError, match="expected 7 outputs, found 8"):
        load_checkpoint(Published(config, state, published.answer).save(tmp_path, save_safetensors))


def test_a_distilled_hubert_is_a_hubert_of_two_layers(tmp_path: Path) -> None:
    published = published_classifier(
        "hubert", "group", weighted=True, num_hidden_layers=2, id2label=FOUR,
    )  # fmt: skip
    checkpoint = load_checkpoint(published.save(tmp_path, save_safetensors))
    assert checkpoint.config.encoder.num_hidden_layers == 2
    x = noise(6000)
    torch.testing.assert_close(
        run_one(checkpoint.model, x)[0], published.answer(x), atol=1e-5, rtol=0
    )


# --- files of training loops


def lightning(published: Published) -> dict[str, Any]:
    return {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {f"model.{k}": v for k, v in published.state.items()},
        "hyper_parameters": argparse.Namespace(rate=1e-4),
        "optimizer_states": [{"state": {0: {"step": 3}}}],
    }


@pytest.mark.parametrize(
    ("name", "give"),
    [("epoch=3-step=1200.ckpt", "file"), ("epoch=3-step=1200.ckpt", "folder"), ("last.pt", "file")],
)
def test_a_state_under_a_key_beside_its_configuration(name: str, give: str, tmp_path: Path) -> None:
    published = published_classifier("hubert", id2label=FOUR)
    (tmp_path / "config.json").write_text(json.dumps(published.config))
    torch.save(lightning(published), tmp_path / name)
    checkpoint = load_checkpoint(tmp_path / name if give == "file" else tmp_path)
    x = noise(4000)
    torch.testing.assert_close(
        run_one(checkpoint.model, x)[0], published.answer(x), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("key", ["model_state_dict", "model", "net"])
def test_other_names_of_the_state(key: str, tmp_path: Path) -> None:
    published = published_classifier("hubert", id2label=FOUR)
    (tmp_path / "config.json").write_text(json.dumps(published.config))
    torch.save({key: published.state, "epoch": 1}, tmp_path / "pytorch_model.bin")
    x = noise(4000)
    (found,) = run_one(load_checkpoint(tmp_path).model, x)
    torch.testing.assert_close(found, published.answer(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": {"a": torch.ones(1)}, "net": {"a": torch.ones(1)}}, "several: model, net"),
        ({"model": {"a": torch.ones(1)}, "cfg": {"task": "audio"}}, "a fairseq checkpoint"),
        ({"epoch": 3, "lr": 0.1}, "'epoch' among them"),
    ],
)
def test_states_that_cannot_be_told(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    published = published_classifier("hubert", id2label=FOUR)
    (tmp_path / "config.json").write_text(json.dumps(published.config))
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path)


def test_several_logs_of_training_are_not_chosen_among(tmp_path: Path) -> None:
    published = published_classifier("hubert", id2label=FOUR)
    (tmp_path / "config.json").write_text(json.dumps(published.config))
    for name in ("a.ckpt", "b.ckpt"):
        torch.save(lightning(published), tmp_path / name)
    with pytest.raises(CheckpointError, match=r"2 \.ckpt files: give the one that you want"):
        load_checkpoint(tmp_path)


# --- other frameworks


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"hyperparams.yaml": "# Generated by speechbrain\n", "wav2vec2.ckpt": ""}, "SpeechBrain"),
        ({"config.yaml": "model: Emotion2vec\n", "model.pt": ""}, "FunASR .emotion2vec."),
        ({"configuration.json": '{"model": "iic/emotion2vec_plus"}'}, "FunASR .emotion2vec."),
        ({"titanet.nemo": "x"}, "NeMo"),
        ({"tf_model.h5": "x", "config.json": '{"model_type": "wav2vec2"}'}, "TensorFlow"),
        ({"flax_model.msgpack": "x", "config.json": '{"model_type": "wav2vec2"}'}, "Flax"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_checkpoints_of_other_frameworks_are_refused_by_name(
    files: dict[str, str], words: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=rf"found a {words} checkpoint \(") as refused:
        load_checkpoint(tmp_path)
    assert refused.value.advice


@pytest.mark.parametrize("kind", ["audio-spectrogram-transformer", "whisper", "wav2vec2-bert"])
def test_encoders_of_spectra_are_refused_by_what_they_are(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "model.safetensors").touch()  # it is not read
    with pytest.raises(CheckpointError, match=rf"type {kind}, whose encoder is given log-mel"):
        load_checkpoint(tmp_path)


def test_code_in_a_repository_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "emo", "auto_map": {"AutoModel": "modeling.Emo"}})
    )
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "modeling.py").write_text("raise SystemExit('was run')")
    with pytest.raises(CheckpointError, match="type emo, whose code lies in its repository and is"):
        load_checkpoint(tmp_path)
