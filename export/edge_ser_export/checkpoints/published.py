"""Published models: a directory with `config.json` and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import shown
from edge_ser_export.checkpoints.adapter_files import ADAPTER_CONFIG, find_adapter
from edge_ser_export.checkpoints.adapters import merged
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.files import (
    CONFIG,
    find_weights,
    folder_name,
    hash_files,
    read_json,
)
from edge_ser_export.checkpoints.labels import (
    category_names,
    check_outputs,
    output_order,
    reordered,
)
from edge_ser_export.checkpoints.preprocessor import (
    NAME,
    feature_extractor,
    normalizes_utterances,
    refuse_other_normalization,
)
from edge_ser_export.checkpoints.safe_pickle import check_statistics
from edge_ser_export.checkpoints.sizes import (
    check_fixed,
    encoder_config,
    head_sizes,
    infer_encoder,
)
from edge_ser_export.checkpoints.tensors import build_and_fill
from edge_ser_export.checkpoints.weights import read_weights, unwrapped
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.reference import base_prefix, is_speech_encoder

# `model_type` of the MSP-Podcast challenge baseline.
_BASELINE = "ser"
# Of encoders that are given features which another program takes off the samples.
_OF_SPECTRA = ("audio-spectrogram-transformer", "whisper", "wav2vec2-bert")
# The linear layer below the mean, which only Transformers' own classifiers have.
_PROJECTOR = "projector"
# Whether frames are a learned mean of what all layers give: only their classifiers read it.
_WEIGHTED = "use_weighted_layer_sum"


@dataclass(frozen=True)
class _Files:
    """What lies in the directory.

    Attributes:
        config: content of `config.json`.
        described: path of `config.json`, named in errors.
        tensors: by their names in the file.
        weights: path of the file with the tensors, named in errors.
        prepared: directory whose `preprocessor_config.json`, if there is one, says how samples are
            prepared.
    """

    config: dict[str, Any]
    described: Path
    tensors: dict[str, Tensor]
    weights: Path
    prepared: Path

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose names begin with `prefix`, without it."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


@dataclass(frozen=True)
class _Kind:
    """A known kind of published model.

    Attributes:
        title: for people.
        prefixes: how names begin in the file -> how they begin in the model.
        last_layer: name of the linear layer in the file whose outputs are the answers.
        extracts_features: its samples go through Transformers' feature extractor.
        poolings: values of `pooling_mode` and `pooling_type` for the pooling that it has.
        read: configuration of the joint model, and what was assumed, in words.
        read_fields: of `config.json`, by which `read` lets the arithmetic go.
    """

    title: str
    prefixes: Mapping[str, str]
    last_layer: str
    extracts_features: bool
    poolings: tuple[str, ...]
    read: Callable[[_Files], tuple[ModelConfig, list[str]]]
    read_fields: tuple[str, ...] = ()


def load_published(path: Path, weights: Path | None = None) -> Checkpoint:
    """Load a directory with `config.json`.

    Args:
        path: of the directory.
        weights: the file in it to read, or the index of its shards; None: what is there.

    Raises:
        CheckpointError: of no known kind, unsafe, incomplete, or of another architecture.
    """
    described = path / CONFIG
    config = read_json(described)
    _check_type(config, described)
    weights = find_weights(path) if weights is None else weights
    tensors, files = read_weights(weights)
    return _load(_Files(config, described, unwrapped(tensors), weights, path), files, path)


def load_adapted(path: Path) -> Checkpoint:
    """Load the directory of an adapter, merged into its base.

    The configuration is the adapter's where one lies beside it, as the base may have no head; so is
    how samples are prepared.

    Raises:
        CheckpointError: as `load_published`, or the adapter is of another model or kind.
    """
    adapter = find_adapter(path)
    described = next(p / CONFIG for p in (path, adapter.base) if (p / CONFIG).is_file())
    config = read_json(described)
    _check_type(config, described)
    weights = find_weights(adapter.base)
    tensors, files = read_weights(weights)
    prefix = base_prefix(str(config["model_type"])) if config["model_type"] != _BASELINE else ""
    whole = merged(unwrapped(tensors), adapter, prefix or "ssl_model")
    files += [adapter.weights, path / ADAPTER_CONFIG]
    prepared = next((p for p in (path, adapter.base) if (p / NAME).is_file()), path)
    return _load(_Files(config, described, whole, adapter.weights, prepared), files, path)


def _load(source: _Files, files: list[Path], path: Path) -> Checkpoint:
    """The checkpoint of what was read.

    Args:
        source: its configuration and tensors.
        files: that they were read from.
        path: that was asked for.
    """
    config, described = source.config, source.described
    tensors, weights = source.tensors, source.weights
    kind = _find_kind(source)
    _check_config(config, kind, described)
    joint, notes = kind.read(source)
    assumed: list[str] = []
    if joint.has_dimensions:
        order, assumed = output_order(config, described)
        tensors = reordered(tensors, kind.last_layer, order)
    return Checkpoint(
        model=build_and_fill(joint, tensors, weights, kind.prefixes),
        kind=str(config["model_type"]),
        name=f"{joint.family}-{folder_name(path)}",
        sha256=hash_files([f for f in (described, *files, source.prepared / NAME) if f.is_file()]),
        notes=(*notes, *assumed),
        prepare=feature_extractor(joint.normalization == "utterance")
        if kind.extracts_features
        else None,
        half=all(t.dtype == torch.float16 for t in tensors.values()),
    )


def _check_type(config: dict[str, Any], described: Path) -> None:
    """Refuse what no kind here is, before its weights are read."""
    model_type = config.get("model_type")
    if isinstance(model_type, str) and (model_type == _BASELINE or is_speech_encoder(model_type)):
        return
    what = f"model_type {model_type if isinstance(model_type, str) else shown(model_type)}"
    if model_type in _OF_SPECTRA:
        what += ", whose encoder is given log-mel features and not samples"
    elif config.get("auto_map"):
        what += ", whose code lies in its repository and is not run"
    raise CheckpointError(
        described,
        expected=f"model_type {_BASELINE} (MSP-Podcast challenge baseline) or wav2vec2 (audEERING's"
        " wav2vec 2.0 dimensional model), or another of Transformers' speech encoders",
        found=what,
    )


def _find_kind(files: _Files) -> _Kind:
    model_type = str(files.config["model_type"])
    if model_type == _BASELINE:
        return _baseline_kind(files)
    if f"{_PROJECTOR}.weight" in files.tensors:
        return _classifier_kind(model_type, files)
    # of Transformers, under the same head as audEERING's
    return _dimensional_kind(model_type, files)


def _check_config(config: dict[str, Any], kind: _Kind, described: Path) -> None:
    """Refuse what is said of the numbers and is not so here."""
    fixed = {k: v for k, v in config.items() if k not in kind.read_fields}
    check_fixed(fixed, described)
    for name in ("pooling_mode", "pooling_type"):
        if config.get(name) not in (None, *kind.poolings):
            raise CheckpointError(
                described,
                expected=f"{name} {' or '.join(kind.poolings)}, the pooling of a {kind.title}",
                found=shown(config[name], 40),
                advice="train the head again on that pooling",
            )


def _challenge_baseline(files: _Files) -> tuple[ModelConfig, list[str]]:
    encoder, notes = infer_encoder(
        files.part("ssl_model."), files.weights, files.config.get("num_attention_heads")
    )
    width, layers, outputs = head_sizes(files.part("ser_model."), files.weights)
    categories = category_names(files.config, files.described, unnamed=False)
    check_outputs(outputs, files.weights, len(categories) or len(DIMENSIONS))
    mean, std = files.config.get("mean"), files.config.get("std")
    check_statistics(files.described, mean, std)
    refuse_other_normalization(files.prepared, files.config)
    joint = ModelConfig(
        family="msp-baseline",
        encoder=encoder,
        pooling="attentive-statistics",
        head_dim=width,
        head_layers=layers,
        has_dimensions=not categories,
        region_count=0,
        categories=categories,
        mean=float(files.config["mean"]),
        std=float(files.config["std"]),
        weights_licence="MIT",
    )
    return joint, notes


def _dimensional(files: _Files) -> tuple[ModelConfig, list[str]]:
    encoder = encoder_config(files.config, str(files.described))
    masked = f"{base_prefix(encoder.kind)}.masked_spec_embed" in files.tensors
    categories = category_names(files.config, files.described, unnamed=False)
    published = encoder.kind == "wav2vec2" and not categories
    joint = ModelConfig(
        family=f"{encoder.kind}-{'classifier' if categories else 'dimensional'}",
        encoder=replace(encoder, mask_time_prob=0.05 if masked else 0.0),
        pooling=files.config.get("pooling_mode") or "mean",
        head="tanh",
        has_dimensions=not categories,
        region_count=0,
        categories=categories,
        weights_licence="CC-BY-NC-SA-4.0" if published else "unknown",
    )
    return _as_extracted(joint, files)


def _as_extracted(joint: ModelConfig, files: _Files) -> tuple[ModelConfig, list[str]]:
    """The same, normalised as the files' feature extractor does; and what was assumed."""
    joint = replace(joint, normalization="utterance", eps=1e-7)  # of Transformers' extractor
    normalizes = normalizes_utterances(files.prepared, files.config)
    if normalizes is None:
        return joint, ["each utterance normalised to zero mean and unit variance"]
    if not normalizes:  # the formula that changes nothing
        joint = replace(joint, normalization="corpus", mean=0.0, std=1.0, eps=0.0)
    return joint, []


def _classifier(files: _Files) -> tuple[ModelConfig, list[str]]:
    config = {k: v for k, v in files.config.items() if k != _WEIGHTED}
    encoder = encoder_config(config, str(files.described))
    masked = f"{base_prefix(encoder.kind)}.masked_spec_embed" in files.tensors
    weighted = files.config.get(_WEIGHTED, False)
    if not isinstance(weighted, bool):
        raise CheckpointError(
            files.described, expected=f"{_WEIGHTED} true or false", found=f"{weighted!r:.40}"
        )
    projector = files.tensors[f"{_PROJECTOR}.weight"]
    categories = category_names(files.config, files.described)
    # Transformers 5 weights the last layer before the normalisation behind it, 4 after it
    normed = str(files.config.get("transformers_version") or "4").partition(".")[0] < "5"
    joint = ModelConfig(
        family=f"{encoder.kind}-classifier",
        encoder=replace(
            encoder,
            mask_time_prob=0.05 if masked else 0.0,
            weighted_layers=weighted,
            norms_last_layer=normed or not weighted,
        ),
        pooling="mean",
        head="projected",
        head_dim=len(projector) if projector.ndim else 0,
        has_dimensions=not categories,
        region_count=0,
        categories=categories,
    )
    joint, notes = _as_extracted(joint, files)
    if weighted and encoder.do_stable_layer_norm:
        place = "after" if normed else "before"
        version = files.config.get("transformers_version", "none")
        notes.append(
            f"the last of the weighted layers {place} its normalisation, as in Transformers"
            f" {4 if normed else 5} (transformers_version: {version})"
        )
    return joint, notes


def _head_of(files: _Files, unnamed: bool = False) -> str:
    """Place of the head in the model: of categories or of dimensions."""
    categories = category_names(files.config, files.described, unnamed)
    return "category_head" if categories else "vad_head"


def _baseline_kind(files: _Files) -> _Kind:
    return _Kind(
        title="MSP-Podcast challenge baseline",
        prefixes={
            "ssl_model.": "encoder.model.",
            "pool_model.": "pooling.",
            "ser_model.": f"{_head_of(files)}.",
        },
        last_layer="ser_model.out.0",
        extracts_features=False,
        poolings=("AttentiveStatisticsPooling",),
        read=_challenge_baseline,
    )


def _classifier_kind(model_type: str, files: _Files) -> _Kind:
    """An encoder of Transformers under its `ForSequenceClassification`."""
    head = _head_of(files, unnamed=True)
    return _Kind(
        title=f"Transformers' sequence classifier on {model_type}",
        prefixes={
            f"{base_prefix(model_type)}.": "encoder.model.",
            "layer_weights": "encoder.layer_weights",
            f"{_PROJECTOR}.": f"{head}.projector.",
            "classifier.": f"{head}.classifier.",
        },
        last_layer="classifier",
        extracts_features=True,
        poolings=("mean",),
        read=_classifier,
        read_fields=(_WEIGHTED,),
    )


def _dimensional_kind(model_type: str, files: _Files) -> _Kind:
    """An encoder of Transformers under a head of two layers on a pooling of its frames."""
    head = _head_of(files)
    # as some published classifiers call it
    last = "output" if "classifier.output.weight" in files.tensors else "out_proj"
    return _Kind(
        title=f"{'classifier' if head == 'category_head' else 'dimensional model'} on {model_type}",
        prefixes={
            f"{base_prefix(model_type)}.": "encoder.model.",
            f"classifier.{last}.": f"{head}.out_proj.",
            "classifier.": f"{head}.",
        },
        last_layer=f"classifier.{last}",
        extracts_features=True,
        poolings=("mean", "sum", "max"),
        read=_dimensional,
    )
