"""An encoder's configuration: off its tensors, or out of Transformers' `config.json`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import CONVOLUTIONS, check_bound, check_size, shown
from edge_ser_export.models.config import EncoderConfig, checked
from edge_ser_export.models.encoders import ENCODERS
from edge_ser_export.models.reference import is_speech_encoder, transformers_config

# Fields of Transformers' configurations that change an encoder's arithmetic, with the only value
# that the encoders here have. Those of training, of other heads and of decoding change nothing.
_FIXED: dict[str, Any] = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "add_adapter": False,
    "adapter_attn_dim": None,
    "use_weighted_layer_sum": False,
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
    "pruned_heads": {},
    "quantization_config": None,
}

# What only training, decoding and other heads read.
_CHANGES_NOTHING = re.compile(
    r"\w*(dropout|layerdrop|spec_augment|initializer|_token_id|_loss)\w*"
    r"|(mask|ctc|codevector|tdnn|xvector|adapter|contrastive)_\w+"
    r"|num_(negatives|codevector|clusters|ctc|adapter)\w*"
    r"|proj_codevector_dim|classifier_proj_size|vocab_size|replace_prob"
)

# Attention heads by width, of all published wav2vec 2.0 and HuBERT encoders.
_HEADS = {768: 12, 1024: 16, 1280: 16, 1920: 16}


def infer_encoder(
    tensors: dict[str, Tensor], source: Path, heads: object = None
) -> tuple[EncoderConfig, list[str]]:
    """Configuration of a WavLM, wav2vec 2.0 or HuBERT encoder from its state dict.

    Args:
        tensors: by name, as Transformers names them.
        source: named in errors.
        heads: of attention, if something says so; WavLM's tensors do.

    Returns:
        the configuration, and what had to be assumed, in words.

    Raises:
        CheckpointError: not the tensors of such an encoder.
    """
    default = EncoderConfig()

    def shape(name: str, rank: int) -> tuple[int, ...]:
        if name not in tensors or tensors[name].ndim != rank:
            raise CheckpointError(
                source,
                expected=f"an encoder with {name} of {rank} dimensions",
                found=f"{list(tensors[name].shape)}" if name in tensors else "none",
                advice="put a config.json in Transformers' format beside the weights if it is"
                " another encoder",
            )
        return tuple(tensors[name].shape)

    stem = "feature_extractor.conv_layers"
    count = _count(tensors, stem)
    check_bound("convolutions", count, CONVOLUTIONS, source)
    convolutions = [shape(f"{stem}.{i}.conv.weight", 3) for i in range(count)]
    layers = _count(tensors, "encoder.layers")
    check_size("num_hidden_layers", layers, source)
    if not convolutions or not layers:
        raise CheckpointError(
            source,
            expected="a WavLM, wav2vec 2.0 or HuBERT encoder",
            found="no convolutions or no transformer layers",
        )
    kernels = tuple(c[2] for c in convolutions)
    if kernels != default.conv_kernel:
        raise CheckpointError(
            source,
            expected=f"convolution kernels {list(default.conv_kernel)}, whose strides are known",
            found=f"{list(kernels)}",
            advice="put a config.json in Transformers' format beside the weights",
        )
    layer_norm = f"{stem}.1.layer_norm.weight" in tensors
    position = "encoder.pos_conv_embed.conv"
    modern = f"{position}.parametrizations.weight.original1"
    _, per_group, kernel = shape(modern if modern in tensors else f"{position}.weight_v", 3)
    hidden = shape("encoder.layer_norm.weight", 1)[0]
    gated = any(".attention.gru_rel_pos_" in name for name in tensors)
    if gated:
        buckets, heads = shape("encoder.layers.0.attention.rel_attn_embed.weight", 2)
        assumed = (
            f"max_bucket_distance {default.max_bucket_distance}, convolution strides and epsilons"
            " of the published WavLM models"
        )
    else:
        buckets, heads = default.num_buckets, _heads_by_width(hidden, heads, source)
        assumed = (
            f"{heads} attention heads, convolution strides and epsilons of the published"
            " wav2vec 2.0 and HuBERT models, which compute the same"
        )
    notes = [
        assumed,
        "layer normalisation before each block"
        if layer_norm
        else "layer normalisation after each block",
    ]
    config = EncoderConfig(
        kind="wavlm" if gated else "wav2vec2",
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=shape("encoder.layers.0.feed_forward.intermediate_dense.weight", 2)[0],
        conv_dim=tuple(c[0] for c in convolutions),
        conv_bias=f"{stem}.0.conv.bias" in tensors,
        # the published models come in two styles: layer norms in the stem with pre-norm blocks
        # (large), or one group norm with post-norm blocks (base)
        feat_extract_norm="layer" if layer_norm else "group",
        do_stable_layer_norm=layer_norm,
        num_conv_pos_embeddings=kernel,
        num_conv_pos_embedding_groups=hidden // max(per_group, 1),
        num_buckets=buckets,
        mask_time_prob=0.05 if "masked_spec_embed" in tensors else 0.0,
    )
    config = checked(EncoderConfig, dataclasses.asdict(config), str(source))
    return config, notes


def _heads_by_width(width: int, stated: object, source: Path) -> int:
    """Attention heads, which tensors do not tell: another number would give other answers."""
    published = _HEADS.get(width)
    valid = isinstance(stated, int) and not isinstance(stated, bool) and stated > 0
    if (stated is None and published is not None) or (valid and published in (None, stated)):
        return published or int(stated)  # type: ignore[call-overload]
    raise CheckpointError(
        source,
        expected=f"num_attention_heads {published} in config.json, or none"
        if published
        else f"num_attention_heads in config.json, as no published encoder is {width} wide",
        found=shown(stated, 40) if stated is not None else "none",
    )


def check_fixed(data: dict[str, Any], source: object) -> None:
    """Refuse a `config.json` that asks for arithmetic which no model here has.

    Raises:
        CheckpointError: it does.
    """
    for name, only in _FIXED.items():
        value = data.get(name, only)
        if value != only and (value or only):  # nothing, in whatever spelling, is nothing
            raise CheckpointError(
                source, expected=f"{name} {json.dumps(only)}", found=_spelt(value)
            )


def _spelt(value: object) -> str:
    try:
        return json.dumps(value)[:40]
    except RecursionError:  # as deep as what was read may just be
        return shown(value, 40)


def encoder_config(data: dict[str, Any], source: str) -> EncoderConfig:
    """Our configuration out of Transformers' own.

    Raises:
        CheckpointError: of a kind that `encoders.find_encoder` does not know, or a variant whose
            arithmetic is not that of its kind's published models.
    """
    kind = data.get("model_type")
    if not isinstance(kind, str) or not is_speech_encoder(kind):
        known = ", ".join(k for k in ENCODERS if is_speech_encoder(k))
        raise CheckpointError(
            source,
            expected=f"a model of type {known}, or another of Transformers' speech encoders",
            found=f"type {kind if isinstance(kind, str) else shown(kind)}",
        )
    check_fixed(data, source)
    # what the file leaves out has Transformers' defaults, not ours
    from transformers import CONFIG_MAPPING, PretrainedConfig

    build: Any = CONFIG_MAPPING[kind]
    default = build()
    theirs = set(inspect.signature(build).parameters)
    names = sorted(theirs & {f.name for f in dataclasses.fields(EncoderConfig)})
    values = {n: data.get(n, getattr(default, n)) for n in names}
    if not data.get("apply_spec_augment", True):
        values["mask_time_prob"] = 0.0
    config: EncoderConfig = checked(EncoderConfig, {"kind": kind, **values}, source)
    of_every_model = set(inspect.signature(PretrainedConfig).parameters)
    _check_rest(data, config, theirs - of_every_model - set(names), source)
    return config


def _check_rest(data: dict[str, Any], config: EncoderConfig, names: set[str], source: str) -> None:
    """Refuse fields that we have no place for and that the encoder would be built otherwise by.

    Raises:
        CheckpointError: there is one.
    """
    built = transformers_config(config)
    for name in sorted(names & set(data)):
        if _CHANGES_NOTHING.fullmatch(name) or name in _FIXED:
            continue
        ours = getattr(built, name)
        if data[name] != (list(ours) if isinstance(ours, tuple) else ours):
            raise CheckpointError(
                source, expected=f"{name} {json.dumps(ours)}", found=_spelt(data[name])
            )


def head_sizes(tensors: dict[str, Tensor], source: Path) -> tuple[int, int, int]:
    """Width, hidden layers and outputs of a regression head.

    Raises:
        CheckpointError: not the tensors of such a head.
    """
    layers = _count(tensors, "fc")
    first, last = tensors.get("fc.0.0.weight"), tensors.get("out.0.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 2:
        raise CheckpointError(
            source,
            expected="a head with fc.0.0.weight and out.0.weight",
            found=", ".join(sorted(tensors)[:4]) or "no tensors",
        )
    return first.shape[0], layers, last.shape[0]


def pooling_width(tensors: dict[str, Tensor], source: Path) -> int:
    """Width of a style pooling.

    Raises:
        CheckpointError: not the tensors of such a pooling.
    """
    first = tensors.get("spectral.0.fc.weight")
    if first is None or first.ndim != 2:
        raise CheckpointError(source, expected="a matrix spectral.0.fc.weight", found="none")
    return first.shape[0]


def _count(tensors: dict[str, Tensor], prefix: str) -> int:
    pattern = re.compile(re.escape(prefix) + r"\.([0-9]{1,9})\.")
    indices = [int(m[1]) for k in tensors if (m := pattern.match(k))]
    return max(indices, default=-1) + 1
