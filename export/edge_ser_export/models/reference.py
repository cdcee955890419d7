"""Encoders as Transformers computes them: the reference that deployed models are compared with.

An encoder maps samples `[batch, n]` and lengths `[batch]` to hidden vectors `[batch, frames,
hidden]` and their mask `[batch, frames]`, 1 where a frame is of the row and 0 in padding.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from edge_ser_export.models.config import EncoderConfig

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def conv_geometry(config: EncoderConfig) -> tuple[int, int]:
    """Receptive field and hop, in samples, of the unpadded convolutional front end."""
    return config.field_samples, config.hop_samples


def conv_frame_mask(lengths: Tensor, frames: int, config: EncoderConfig) -> Tensor:
    """Mask of the frames that see real samples only: frame t ends at t * hop + field.

    Comparing products keeps integer division, which has no half precision form, out of the graph.
    """
    field, hop = conv_geometry(config)
    ends = torch.arange(frames, device=lengths.device) * hop + field
    return (ends[None, :] <= lengths[:, None]).float()


def transformers_config(config: EncoderConfig) -> PretrainedConfig:
    """The configuration as Transformers writes it."""
    from transformers import CONFIG_MAPPING

    shared: dict[str, Any] = dict(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        conv_dim=config.conv_dim,
        conv_kernel=config.conv_kernel,
        conv_stride=config.conv_stride,
        conv_bias=config.conv_bias,
        feat_extract_norm=config.feat_extract_norm,
        do_stable_layer_norm=config.do_stable_layer_norm,
        num_conv_pos_embeddings=config.num_conv_pos_embeddings,
        num_conv_pos_embedding_groups=config.num_conv_pos_embedding_groups,
        layer_norm_eps=config.layer_norm_eps,
        mask_time_prob=config.mask_time_prob,
        mask_feature_prob=0.0,
        apply_spec_augment=config.mask_time_prob > 0,
        hidden_dropout=config.hidden_dropout,
        attention_dropout=config.hidden_dropout,
        activation_dropout=0.0,
        feat_proj_dropout=config.hidden_dropout,
        layerdrop=0.0,
    )
    # Any: Transformers 4 has no types here, Transformers 5 has
    build: Any = CONFIG_MAPPING[config.kind]
    if "num_buckets" in inspect.signature(build).parameters:
        shared["num_buckets"] = config.num_buckets
        shared["max_bucket_distance"] = config.max_bucket_distance
    return cast("PretrainedConfig", build(**shared, attn_implementation=attention_of(config.kind)))


def attention_of(kind: str) -> str:
    """How Transformers computes attention in an encoder of this `model_type`.

    Always named: where a configuration names another one, Transformers may fetch code for it.
    """
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    models: Any = MODEL_MAPPING
    return "sdpa" if models[CONFIG_MAPPING[kind]]._supports_sdpa else "eager"


def is_speech_encoder(kind: str) -> bool:
    """Whether Transformers has an encoder of this `model_type` with a convolutional front end."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    if kind not in CONFIG_MAPPING:
        return False
    config: Any = CONFIG_MAPPING[kind]
    needed = {"conv_dim", "conv_kernel", "conv_stride", "num_conv_pos_embeddings"}
    return needed <= set(inspect.signature(config).parameters) and config in MODEL_MAPPING


def base_prefix(kind: str) -> str:
    """How the names of an encoder's tensors begin in a Transformers model that holds a head too.

    Args:
        kind: a `model_type` that `is_speech_encoder` knows.
    """
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    models: Any = MODEL_MAPPING
    return cast(str, models[CONFIG_MAPPING[kind]].base_model_prefix)


class TransformersEncoder(nn.Module):
    """WavLM, wav2vec 2.0 or a relative, exactly as Transformers computes it: the reference."""

    def __init__(self, config: EncoderConfig, model: PreTrainedModel | None = None) -> None:
        super().__init__()
        self.config = config
        if model is None:
            from transformers import MODEL_MAPPING

            # Transformers passes WavLM's padding mask as bool beside a float bias, as intended
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            shape = transformers_config(config)
            build: Any = MODEL_MAPPING[type(shape)]
            model = build(shape)
        self.model = model
        self.layer_weights: nn.Parameter | None = None
        if config.weighted_layers:
            count = config.num_hidden_layers + 1  # what the first layer is given counts, too
            self.layer_weights = nn.Parameter(torch.ones(count) / count)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(samples.shape[1], device=samples.device)
        attention_mask = (positions[None, :] < lengths[:, None]).long()
        hidden = self.frames(samples, attention_mask)
        mask = conv_frame_mask(lengths, hidden.shape[1], self.config)
        return hidden, mask

    def frames(self, samples: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Hidden vectors `[batch, frames, hidden]`: of the last layer, or of all, weighted."""
        if self.layer_weights is None:
            outputs = self.model(samples, attention_mask=attention_mask)
            return cast(Tensor, outputs.last_hidden_state)
        layers: Any = self.model.encoder
        last: list[Tensor] = []
        # before the normalisation behind it, which is in `hidden_states` as versions please
        hook = layers.layers[-1].register_forward_hook(
            lambda *call: last.append(call[2][0] if isinstance(call[2], tuple) else call[2])
        )
        try:
            outputs = self.model(samples, attention_mask=attention_mask, output_hidden_states=True)
        finally:
            hook.remove()
        if self.config.norms_last_layer:
            last = [outputs.last_hidden_state]
        return weighted_layers([*outputs.hidden_states[:-1], last[-1]], self.layer_weights)


def weighted_layers(states: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Mean of what all layers give, as Transformers' classifiers learn to weight it.

    Args:
        states: what the first layer is given and what each one gives, `[batch, frames, hidden]`.
        weights: one each, before the softmax.
    """
    shares = torch.softmax(weights, dim=0)
    total = states[0] * shares[0]
    for index, state in enumerate(states[1:], 1):
        total = total + state * shares[index]
    return total


class AsWritten(nn.Module):
    """A `TransformersEncoder` for export, without a mask: for rows that are run one by one.

    What Transformers makes of a mask traces to operators that no device has; what is left of it
    for a single row without padding is nothing.
    """

    def __init__(self, reference: TransformersEncoder) -> None:
        super().__init__()
        self.config, self.reference = reference.config, reference

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        config: Any = self.reference.model.config
        usual = config._attn_implementation
        config._attn_implementation = "eager"  # the others treat a single frame in a way of its own
        try:
            hidden = self.reference.frames(samples, None)
        finally:
            config._attn_implementation = usual
        return hidden, conv_frame_mask(lengths, hidden.shape[1], self.config)
