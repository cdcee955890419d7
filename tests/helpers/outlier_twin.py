"""A model's twin that says the same in float32, and is hard on integers.

Large language models have a few channels that are a hundred times louder than the rest. A twin has
them too: gamma and beta of three channels of a LayerNorm are multiplied by a factor, and what the
next linear layers multiply these channels with is divided by it.
"""

import copy
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn

from edge_ser_export.models.joint import JointModel

CHANNELS = 3
FACTOR = 100.0


def norms(model: JointModel) -> dict[str, tuple[nn.LayerNorm, list[nn.Linear]]]:
    """Normalisations that linear layers alone read, by the part of the model that they feed.

    WavLM's first norm of a layer feeds the gates of its position bias too, and is left out.
    """
    encoder, pooling = cast(Any, model.encoder), cast(Any, model.pooling)
    found: dict[str, tuple[nn.LayerNorm, list[nn.Linear]]] = {}
    if model.config.encoder.kind == "spectral":
        for i, x in enumerate(encoder.layers):
            found[f"layer {i} attention"] = x.attention_norm, [x.q_proj, x.k_proj, x.v_proj]
            found[f"layer {i} feed-forward"] = x.feed_forward_norm, [x.up_proj]
        last = encoder.norm
    else:
        for i, x in enumerate(encoder.model.encoder.layers):
            dense = x.feed_forward.intermediate_dense
            found[f"layer {i} feed-forward"] = x.final_layer_norm, [dense]
        last = encoder.model.encoder.layer_norm
    found["pooling spectral"] = last, [pooling.spectral[0].fc]
    return found


def outlier_twin(model: JointModel, parts: Iterable[str] | None = None) -> JointModel:
    """A copy with outliers in front of some parts (all of `norms`), in the loudest channels."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for part, (norm, readers) in norms(twin).items():
            if parts is not None and part not in parts:
                continue
            channels = norm.weight.abs().topk(CHANNELS).indices
            norm.weight[channels] *= FACTOR
            norm.bias[channels] *= FACTOR
            for linear in readers:
                linear.weight[:, channels] /= FACTOR
    return twin
