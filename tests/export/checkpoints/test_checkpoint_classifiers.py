"""Transformers' own classifiers of speech: regressions of the three dimensions."""

import json
from pathlib import Path

import pytest
import torch
from helpers.tiny_models import (
    Published,
    noise,
    published_classifier,
    run,
    run_one,
    save_bin,
    save_safetensors,
)

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.models.deployment import DeploymentModel

KINDS = ("wav2vec2", "hubert", "wavlm", "unispeech-sat", "data2vec-audio")
DIMENSIONS = {0: "arousal", 1: "dominance", 2: "valence"}
ORDERED = {"id2label": DIMENSIONS, "problem_type": "regression"}


def regression(kind: str, style: str = "layer", weighted: bool = False) -> Published:
    return published_classifier(kind, style, weighted, **ORDERED)


def near(found: tuple[torch.Tensor, ...], expected: torch.Tensor) -> None:
    """Transformers projects every frame before the mean, which rounds otherwise."""
    assert len(found) == 1
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("style", ["layer", "group"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_transformers(
    kind: str, weighted: bool, style: str, tmp_path: Path
) -> None:
    published = regression(kind, style, weighted)
    checkpoint = load_checkpoint(published.save(tmp_path / kind, save_safetensors))
    for count in (400, 9000):
        x = noise(count)
        near(run_one(checkpoint.model, x), published.answer(x))
    config = checkpoint.config
    assert checkpoint.kind == kind
    assert (config.pooling, config.head, config.head_dim) == ("mean", "projected", 12)
    assert config.encoder.weighted_layers is weighted
    assert (config.normalization, config.eps) == ("utterance", 1e-7)
    assert config.weights_licence == "unknown"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("style", ["layer", "group"])
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_padded_rows_give_in_deployment_what_transformers_gives_alone(
    kind: str, style: str, weighted: bool, tmp_path: Path
) -> None:
    published = regression(kind, style, weighted)
    form = DeploymentModel(load_checkpoint(published.save(tmp_path, save_safetensors)).model)
    form.fold()
    long, short = noise(9000), noise(4000, 1)
    batch = torch.full((2, 9000), 3.0)  # what follows a row must not matter
    batch[0], batch[1, :4000] = long, short
    (found,) = run(form, batch, [9000, 4000])
    expected = torch.cat([published.answer(long), published.answer(short)])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("version", ["4.57.1", "5.2.0", None])
def test_the_last_layer_is_weighted_as_the_version_of_transformers_does_it(
    version: str | None, tmp_path: Path
) -> None:
    published = regression("wavlm", weighted=True)
    state = dict(published.state)
    state["layer_weights"] = torch.tensor([0.0, 0.0, 30.0])  # the last one alone
    config = published.config | {"transformers_version": version}
    if version is None:
        del config["transformers_version"]
    last = Published(config, state, published.answer)
    checkpoint = load_checkpoint(last.save(tmp_path / "a", save_safetensors))
    plain = {k: v for k, v in state.items() if k != "layer_weights"}
    config = published.config | {"use_weighted_layer_sum": False}
    unweighted = Published(config, plain, published.answer)
    normed = load_checkpoint(unweighted.save(tmp_path / "b", save_safetensors)).model
    x = noise(4000)
    alike = [
        torch.allclose(run_one(form, x)[0], run_one(normed, x)[0], atol=1e-5)
        for form in (checkpoint.model, DeploymentModel(checkpoint.model))
    ]
    assert alike == [version != "5.2.0"] * 2
    assert any(f"transformers_version: {version or 'none'}" in n for n in checkpoint.notes)


def test_outputs_are_put_in_order(tmp_path: Path) -> None:
    published = published_classifier(
        "wavlm", id2label={0: "valence", 1: "arousal", 2: "dominance"}, problem_type="regression"
    )
    x = noise(4000)
    (found,) = run_one(load_checkpoint(published.save(tmp_path, save_bin)).model, x)
    torch.testing.assert_close(found, published.answer(x)[:, [1, 2, 0]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.model."])
def test_names_of_wrappers_are_taken_off(prefix: str, tmp_path: Path) -> None:
    published = regression("hubert")
    state = {prefix + name: tensor for name, tensor in published.state.items()}
    wrapped = Published(published.config, state, published.answer)
    x = noise(4000)
    model = load_checkpoint(wrapped.save(tmp_path, save_bin)).model
    near(run_one(model, x), published.answer(x))


def test_half_of_the_names_wrapped_is_no_wrapper(tmp_path: Path) -> None:
    published = regression("hubert")
    state = {
        f"module.{name}" if name.startswith("hubert") else name: tensor
        for name, tensor in published.state.items()
    }
    with pytest.raises(CheckpointError, match=r"unexpected: module\.hubert"):
        load_checkpoint(
            Published(published.config, state, published.answer).save(tmp_path, save_bin)
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tensors_of_sixteen_bits(dtype: torch.dtype, tmp_path: Path) -> None:
    published = regression("wav2vec2")
    state = {name: tensor.to(dtype) for name, tensor in published.state.items()}
    stored = Published(published.config, state, published.answer)
    checkpoint = load_checkpoint(stored.save(tmp_path, save_safetensors))
    assert checkpoint.half is (dtype is torch.float16)
    weights = dict(checkpoint.model.named_parameters())
    kept = weights["vad_head.projector.weight"]
    assert kept.dtype == torch.float32
    assert torch.equal(kept, published.state["projector.weight"].to(dtype).float())
    assert not torch.equal(kept, published.state["projector.weight"])


@pytest.mark.parametrize("value", ["yes", 1])
def test_a_flag_that_is_none_is_refused(value: object, tmp_path: Path) -> None:
    published = regression("wavlm")
    folder = published.save(tmp_path, save_safetensors)
    config = published.config | {"use_weighted_layer_sum": value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="use_weighted_layer_sum true or false"):
        load_checkpoint(folder)


def test_weights_of_layers_that_the_configuration_does_not_use_are_told(tmp_path: Path) -> None:
    published = regression("wavlm", weighted=True)
    config = published.config | {"use_weighted_layer_sum": False}
    unused = Published(config, published.state, published.answer)
    with pytest.raises(CheckpointError, match="unexpected: layer_weights"):
        load_checkpoint(unused.save(tmp_path, save_safetensors))


# --- categories

FOUR = ("angry", "happy", "neutral", "sad")


def classifier(**changes: object) -> Published:
    settings = {"id2label": dict(enumerate(FOUR)), "problem_type": "single_label_classification"}
    return published_classifier("hubert", **settings | changes)


@pytest.mark.parametrize("problem", ["single_label_classification", None])
def test_categories_have_the_names_and_the_order_of_the_file(
    problem: str | None, tmp_path: Path
) -> None:
    published = classifier(problem_type=problem)
    checkpoint = load_checkpoint(published.save(tmp_path, save_safetensors))
    assert checkpoint.config.categories == FOUR
    assert not checkpoint.config.has_dimensions
    assert checkpoint.config.outputs == ("category_logits",)
    x = noise(4000)
    near(run_one(checkpoint.model, x), published.answer(x))


def test_letters_of_a_corpus_are_categories_though_two_spell_dimensions(tmp_path: Path) -> None:
    letters = dict(enumerate("ADHN"))  # angry, disgust, happy, neutral
    published = classifier(id2label=letters, problem_type=None)
    checkpoint = load_checkpoint(published.save(tmp_path, save_safetensors))
    assert checkpoint.config.categories == tuple("ADHN")


def test_outputs_without_names_are_categories_of_their_numbers(tmp_path: Path) -> None:
    published = classifier(id2label={0: "LABEL_0", 1: "LABEL_1"})
    checkpoint = load_checkpoint(published.save(tmp_path, save_safetensors))
    assert checkpoint.config.categories == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem_type": "multi_label_classification"}, "problem_type single_label"),
        ({"id2label": {"0": "a", "1": "a", "2": "b", "3": "c"}}, "a label of its own"),
        ({"id2label": {"0": "a", "1": " ", "2": "b", "3": "c"}}, "a label of its own"),
        ({"id2label": {"0": "a", "2": "b", "3": "c", "4": "d"}}, "labels of outputs 0, 1, 2"),
        ({"id2label": {"0": "a"}}, "labels of outputs 0, 1, 2"),
        ({"id2label": {"x": "a"}}, "a table of indices and labels"),
        ({"id2label": {str(i): str(i) for i in range(1025)}}, "entries of id2label"),
        ({"id2label": ["a", "b"]}, "a table of indices and labels"),
        ({"label2id": {"angry": 1, "happy": 0, "neutral": 2, "sad": 3}}, "say the same"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": None}, "misshapen"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    published = classifier()
    folder = published.save(tmp_path, save_safetensors)
    (folder / "config.json").write_text(json.dumps(published.config | changes))
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder)
