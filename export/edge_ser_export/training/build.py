"""A new joint model around an encoder: a preset from nothing, or a published one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edge_ser.errors import CheckpointError, EdgeSerError
from edge_ser_export.checkpoints.files import CONFIG, find_weights, read_json, refuse_adapters
from edge_ser_export.checkpoints.sizes import encoder_config
from edge_ser_export.checkpoints.weights import weight_files
from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.encoders import find_encoder
from edge_ser_export.models.joint import JointModel
from edge_ser_export.models.presets import PRESETS
from edge_ser_export.models.reference import TransformersEncoder, attention_of

# Transformers hides spans of so many frames in training, and refuses what is shorter.
_MASKED_FRAMES = 10


def build_model(encoder: str) -> JointModel:
    """A joint model with style pooling and both heads, ready to train.

    Args:
        encoder: a name in `PRESETS`, a directory in Transformers' format, or the name of a
            WavLM or wav2vec 2.0 model in Transformers' cache. Nothing is downloaded.

    Raises:
        CheckpointError: no such model, or of another kind.
    """
    if encoder in PRESETS:
        config = PRESETS[encoder]
        width = config.hidden_size
        return JointModel(ModelConfig(encoder=config, pooling_dim=width, head_dim=width))
    folder = _folder(encoder)
    config = _described(encoder, folder)
    model = _pretrained(encoder, folder, config)
    # Transformers owns `masked_spec_embed` under rules of its own: go by what is there
    masked = "masked_spec_embed" in model.state_dict()
    config = replace(config, mask_time_prob=(config.mask_time_prob or 0.05) if masked else 0.0)
    # the published recipe trains everything but the convolutional front end
    for parameter in model.feature_extractor.parameters():
        parameter.requires_grad_(False)
    width = config.hidden_size
    joint = ModelConfig(encoder=config, pooling_dim=width, head_dim=width)
    return JointModel(joint, TransformersEncoder(config, model))


def read_encoder(encoder: str) -> EncoderConfig:
    """The configuration of the encoder that `build_model` would take, without its weights.

    Raises:
        CheckpointError: no such model, or of another kind.
    """
    if encoder in PRESETS:
        return PRESETS[encoder]
    return _described(encoder, _folder(encoder))


def shortest_crop_seconds(encoder: EncoderConfig, bfloat16: bool) -> float:
    """The shortest part of an utterance that the encoder can learn from.

    Args:
        encoder: its field and hop tell what one frame sees, and how far apart frames are.
        bfloat16: whether the training is in mixed precision. Gradients of a convolution whose
            input is a single frame are NaN there; twice the samples of one frame hold two.
    """
    preprocessing = ModelConfig(encoder=encoder).preprocessing()
    samples = preprocessing.min_samples * (2 if bfloat16 else 1)
    if encoder.mask_time_prob:
        kind = find_encoder(encoder.kind)
        samples = max(samples, kind.field(encoder) + (_MASKED_FRAMES - 1) * kind.hop(encoder))
    return samples / preprocessing.sample_rate


def _folder(encoder: str) -> Path:
    """The directory of a model, which may be in Transformers' cache."""
    if Path(encoder).is_dir():
        return Path(encoder)
    from transformers.utils.hub import cached_file

    with _loading(encoder):
        config = cached_file(encoder, CONFIG, local_files_only=True)
        if config is None:  # as some releases say that it is not there
            raise OSError(f"{CONFIG} is not in the cache")
        return Path(config).parent


def _described(encoder: str, folder: Path) -> EncoderConfig:
    """What `config.json` says, read before Transformers reads it: there it may fetch and build."""
    refuse_adapters(folder)
    with _loading(encoder):
        described = read_json(folder / CONFIG)
    return encoder_config(described, encoder)


def _pretrained(encoder: str, folder: Path, config: EncoderConfig) -> Any:
    from transformers import AutoConfig, AutoModel

    _check_room(encoder, folder, config)
    with _loading(encoder):
        described = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        # over whatever the file names: Transformers may fetch code for it
        described._attn_implementation = attention_of(config.kind)
        # mismatches are let through to be named below: version 5 raises without a name
        model, loading = AutoModel.from_pretrained(
            folder,
            config=described,
            output_loading_info=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            local_files_only=True,
        )
    # Transformers leaves what is missing at random; a mask used in training only may be new
    absent = sorted(set(loading["missing_keys"]) - {"masked_spec_embed"})
    absent += [str(key) for key in loading.get("mismatched_keys", ())]
    if absent:
        raise CheckpointError(
            encoder,
            expected="every weight of the encoder",
            found=f"{len(absent)} missing or misshapen, first {absent[0]}",
        )
    return model


def _check_room(encoder: str, folder: Path, config: EncoderConfig) -> None:
    """Refuse to build what the files beside `config.json` have no numbers for."""
    with _loading(encoder), torch.device("meta"):
        empty = TransformersEncoder(config)
    numbers = sum(p.numel() for p in empty.parameters())
    room = sum(file.stat().st_size for file in weight_files(find_weights(folder)))
    if room < 2 * numbers:  # of two bytes, as float16 has them
        raise CheckpointError(
            encoder,
            expected=f"weights of the {numbers} numbers that {CONFIG} describes",
            found=f"files of {room} bytes",
        )


@contextlib.contextmanager
def _loading(encoder: str) -> Iterator[None]:
    """Turn what Transformers raises over an unusable model into one line."""
    try:
        yield
    except (EdgeSerError, MemoryError):
        raise
    except Exception as error:  # Transformers raises whatever a stranger's files lead it to
        # for a name, Transformers speaks of its hub, which is never asked here
        found = "no such directory, and no such model in Transformers' cache"
        if Path(encoder).exists():
            found = f"a directory that cannot be loaded: {' '.join(str(error).split())[:200]}"
        raise CheckpointError(
            encoder,
            expected=f"a preset ({', '.join(PRESETS)}) or a WavLM model in Transformers' format",
            found=found,
            advice="give a local directory with config.json and weights",
        ) from error
