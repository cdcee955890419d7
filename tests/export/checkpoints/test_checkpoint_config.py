"""What `config.json` of a published model says of its numbers: used, or refused in words."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_models import (
    Published,
    Run,
    noise,
    published_audeering,
    published_baseline,
    run_one,
    same,
    save_safetensors,
    wavlm_config,
)

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint

LAST_LAYER = {"ser": "ser_model.out.0", "wav2vec2": "classifier.out_proj"}
DIMENSIONS = ("arousal", "dominance", "valence")


@pytest.fixture(scope="module", params=LAST_LAYER)
def model(request: pytest.FixtureRequest) -> Published:
    return published_baseline() if request.param == "ser" else published_audeering()


def described(model: Published, **changes: Any) -> Published:
    config = {k: v for k, v in model.config.items() if k not in ("id2label", "label2id")}
    return Published(config | changes, model.state, model.answer)


def in_order(model: Published, order: tuple[int, ...], **changes: Any) -> Published:
    """The same model, trained with its outputs in another order: `order` of `DIMENSIONS`."""
    layer = LAST_LAYER[model.config["model_type"]]
    rows = [f"{layer}.weight", f"{layer}.bias"]
    state = {k: v[list(order)] if k in rows else v for k, v in model.state.items()}
    return Published(described(model, **changes).config, state, model.answer)


def refusal(model: Published, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model.save(path, save_safetensors))
    assert "config.json" in str(caught.value)
    return str(caught.value)


def notes_of_right_answers(model: Published, path: Path) -> tuple[str, ...]:
    checkpoint = load_checkpoint(model.save(path, save_safetensors))
    x = noise(9000)
    assert same(run_one(checkpoint.model, x), (model.answer(x),))
    return checkpoint.notes


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_outputs_in_any_order_become_arousal_dominance_valence(
    model: Published, tmp_path: Path, order: tuple[int, ...]
) -> None:
    labels = {str(i): DIMENSIONS[d] for i, d in enumerate(order)}
    notes = notes_of_right_answers(in_order(model, order, id2label=labels), tmp_path)
    assert not any("order" in note for note in notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": {"1": "arousal", "0": "dominance", "2": "valence"}},
        {"id2label": {"2": "Valence", "1": "Activation", "0": "Dominance"}},
        {"id2label": {"0": "EmoDom", "1": "EmoAct", "2": "EmoVal"}},
        {"id2label": {"0": "dom", "1": "act", "2": "val"}},
        {"label2id": {"arousal": 1, "dominance": 0, "valence": 2}},
        {
            "id2label": {"0": "D", "1": "A", "2": "V"},
            "label2id": {"A": 1, "V": 2, "D": 0},
            "problem_type": "regression",
            "num_labels": 3,
        },
    ],
    ids=str,
)
def test_spellings_of_the_labels_by_their_index(
    model: Published, tmp_path: Path, changes: dict[str, Any]
) -> None:
    notes_of_right_answers(in_order(model, (1, 0, 2), **changes), tmp_path)


@pytest.mark.parametrize("labels", [None, 2, 3])
def test_outputs_without_names_have_the_order_of_the_kind_and_it_is_said(
    model: Published, tmp_path: Path, labels: int | None
) -> None:
    table = None if labels is None else {str(i): f"LABEL_{i}" for i in range(labels)}
    notes = notes_of_right_answers(described(model, id2label=table), tmp_path)
    assert "outputs in the order arousal, dominance, valence" in notes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem_type": "single_label_classification", "id2label": None}, "indices and labels"),
        ({"problem_type": "multi_label_classification"}, "found 'multi_label_classification'"),
        ({"id2label": {"0": "angry", "1": "happy", "2": "happy"}}, "a label of its own for each"),
        ({"id2label": {"0": "arousal", "1": "arousal", "2": "valence"}}, "arousal, arousal"),
        ({"id2label": {"0": "arousal", "1": "valence"}}, "the labels of outputs 0, 1 and 2"),
        ({"id2label": {"0": "arousal", "1": "dominance", "3": "valence"}}, "outputs 0, 1 and 2"),
        ({"id2label": ["arousal", "dominance", "valence"]}, "a table of indices and labels"),
        ({"id2label": {"x": "arousal"}}, "a table of indices and labels"),
        ({"label2id": {"arousal": 0, "dominance": 0, "valence": 2}}, "outputs 0, 1 and 2"),
        (
            {
                "id2label": {"0": "arousal", "1": "dominance", "2": "valence"},
                "label2id": {"valence": 0, "arousal": 1, "dominance": 2},
            },
            "id2label and label2id that say the same",
        ),
        (
            {"num_labels": 8},
            "num_labels: expected 3 outputs (arousal, dominance, valence)",
        ),
        ({"num_classes": 1}, "num_classes: expected 3 outputs"),
    ],
    ids=str,
)
def test_other_quantities_are_refused(
    model: Published, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(described(model, **changes), tmp_path)


@pytest.mark.parametrize("name", ["pooling_mode", "pooling_type"])
def test_the_pooling_that_a_kind_has_may_be_named(
    model: Published, tmp_path: Path, name: str
) -> None:
    own = {"ser": "AttentiveStatisticsPooling", "wav2vec2": "mean"}[model.config["model_type"]]
    notes_of_right_answers(described(model, **{name: own}), tmp_path)


@pytest.mark.parametrize("pooling", ["AttentiveStatistics", "min", ["mean"]], ids=str)
def test_other_poolings_are_refused_by_name(
    model: Published, tmp_path: Path, pooling: object
) -> None:
    found = refusal(described(model, pooling_mode=pooling), tmp_path)
    assert "expected pooling_mode " in found and f"found {pooling!r}" in found


FIXED = {
    "hidden_act": "relu",
    "feat_extract_activation": "relu",
    "add_adapter": True,
    "adapter_attn_dim": 16,
    "use_weighted_layer_sum": True,
    "feat_proj_layer_norm": False,
    "conv_pos_batch_norm": True,
    "pruned_heads": {"0": [1]},
    "quantization_config": {"load_in_8bit": True},
}


@pytest.mark.parametrize("name", FIXED)
def test_arithmetic_that_no_encoder_here_has_is_refused(
    model: Published, tmp_path: Path, name: str
) -> None:
    found = refusal(described(model, **{name: FIXED[name]}), tmp_path)
    assert f"expected {name} " in found and f"found {json.dumps(FIXED[name])}" in found


def test_what_only_training_and_other_heads_read_changes_nothing(
    model: Published, tmp_path: Path
) -> None:
    changes = {
        "layerdrop": 0.5, "final_dropout": 0.3, "mask_feature_prob": 0.2, "classifier_proj_size": 7,
        "add_adapter": None, "adapter_stride": 5, "xvector_output_dim": 3, "torch_dtype": "float16",
        "gradient_checkpointing": True, "finetuning_task": "wav2vec2_reg",
    }  # fmt: skip
    notes_of_right_answers(described(model, **changes), tmp_path)


def test_the_same_is_refused_beside_the_parts_of_a_run(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    config = wavlm_config(use_weighted_layer_sum=True).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="expected use_weighted_layer_sum false, found true"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("with_base", [True, False])
def test_an_adapter_beside_its_base_is_refused(
    model: Published, tmp_path: Path, with_base: bool
) -> None:
    if with_base:
        model.save(tmp_path, save_safetensors)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(CheckpointError, match=r"adapter_config\.json\); merge the adapter into"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_the_same_where_one_of_the_base_s_files_is_given(
    model: Published, tmp_path: Path, name: str
) -> None:
    model.save(tmp_path, save_safetensors)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(CheckpointError, match=r"adapter_config\.json\); merge the adapter into"):
        load_checkpoint(tmp_path / name)
