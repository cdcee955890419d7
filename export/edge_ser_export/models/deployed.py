"""The deployment form of Transformers' encoders: the same weights, for exporters and devices.

What differs from Transformers' modules, none of which changes a result:

- lengths come in as numbers and become masks by comparison, where Transformers' mask code traces
  to operators that TensorRT refuses (NonZero, integer CumSum);
- the relative position bias is one table over clamped distances: WavLM's buckets saturate at
  `max_bucket_distance`, so 2 * distance + 1 rows hold every value, without Log or Where;
- `gru_rel_pos_linear(...).view(2, 4).sum(-1)` is one smaller linear layer;
- attention is matrix products and a softmax;
- the weight normalisation of the positional convolution is folded;
- log-mel spectra come from four short transforms instead of a long one;
- group normalisation over time (base-sized models) takes its statistics over the row's own
  frames, so that a padded row gives what the row alone gives; for CPUs it is folded into the
  convolution before it, see `DeploymentEncoder._normalised_convolution`.

Parameters are shared with the reference, not copied, so the form can also be trained through.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser_export.models.config import EncoderConfig
from edge_ser_export.models.ops import attention, key_bias, merge_heads, split_heads
from edge_ser_export.models.reference import (
    TransformersEncoder,
    conv_frame_mask,
    weighted_layers,
)

# WavLM's gate, update * (reset * constant - 1) + 2, lies between 1 + min(constant, 0) and
# max(2, 1 + constant): for constants within (-0.9, 2), scores of padded keys scaled by it still
# vanish in the softmax and stay inside float16's range.
_GATE_LEAST, _GATE_MOST = 0.9, 3.0


class DeploymentEncoder(nn.Module):
    """WavLM or wav2vec 2.0 in deployment form, over the modules of a `TransformersEncoder`."""

    def __init__(
        self, reference: TransformersEncoder, windows: bool = False, doubles: bool = False
    ) -> None:
        super().__init__()
        model = cast(Any, reference.model)
        config = reference.config
        self.config = config
        self.windows = windows
        self.doubles = doubles
        self.depth: int | None = None  # see DeploymentModel.shorten
        self.gates_keep_sign = False
        self.convolutions = model.feature_extractor.conv_layers
        self.projection = model.feature_projection
        self.encoder = model.encoder
        self.layer_weights = reference.layer_weights
        self.position = PositionalConvolution(model.encoder.pos_conv_embed, config)
        self.bias = None
        if config.kind == "wavlm":
            self.bias = RelativeBias(model.encoder.layers[0].attention, config)
        build = GatedAttention if config.kind == "wavlm" else PlainAttention
        self.attentions = nn.ModuleList(
            build(layer.attention, config.num_attention_heads) for layer in model.encoder.layers
        )

    def fold(self) -> None:
        """Fold weight normalisation, position table and gates to constants."""
        self.position.fold()
        for module in (self.bias, *self.attentions):
            if isinstance(module, RelativeBias | GatedAttention):
                module.fold()
        gated = [a for a in self.attentions if isinstance(a, GatedAttention)]
        lowest = min((float(a.constant.min()) for a in gated), default=0.0)
        highest = max((float(a.constant.max()) for a in gated), default=0.0)
        self.gates_keep_sign = lowest > -_GATE_LEAST and highest < _GATE_MOST - 1

    def embed(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the transformer layers are given: `[batch, frames, hidden]`, and the mask."""
        projected = self.projection(self.stem(samples, lengths))
        x = projected if isinstance(projected, Tensor) else projected[0]  # HuBERT's gives x alone
        mask = conv_frame_mask(lengths, x.shape[1], self.config)
        x = x * mask.unsqueeze(2)
        return x + self.position(x), mask

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Frames `[batch, frames, hidden]` and their mask; shortened: each layer, too."""
        x, mask = self.embed(samples, lengths)
        stable = self.config.do_stable_layer_norm
        if not stable:
            x = self.encoder.layer_norm(x)
        x = first = self.encoder.dropout(x)
        masked = key_bias(mask)
        keys: Tensor | None = masked
        table = None if self.bias is None else self.bias(x.shape[1])
        if table is not None and self.gates_keep_sign:
            # once for all layers: what a gate makes of it hides padding just as well
            table, keys = table + masked / _GATE_MOST, None
        between = []
        layers = list(zip(self.encoder.layers, self.attentions, strict=True))
        for layer, attend in layers[: self.depth]:
            if stable:
                x = x + layer.dropout(attend(layer.layer_norm(x), table, keys))
                x = x + layer.feed_forward(layer.final_layer_norm(x))
            else:
                x = layer.layer_norm(x + layer.dropout(attend(x, table, keys)))
                x = layer.final_layer_norm(x + layer.feed_forward(x))
            between.append(x)
        x = self.encoder.layer_norm(x) if stable else x
        if self.layer_weights is not None:
            last = x if self.config.norms_last_layer else between[-1]
            x = weighted_layers([first, *between[:-1], last], self.layer_weights)
        return x, mask, *(between if self.depth is not None else ())

    def stem(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Convolutional front end: samples `[batch, n]` -> `[batch, frames, channels]`."""
        if self.windows:
            return self._stem_windows(samples, lengths)
        x = samples.unsqueeze(1)  # [batch, channels, time]
        for index, layer in enumerate(self.convolutions):
            grouped = self.config.feat_extract_norm == "group" and index == 0
            if grouped and self.doubles:
                x = self._normalised_convolution(layer, samples, lengths).transpose(1, 2)
            else:
                x = layer.conv(x)
            if self.config.feat_extract_norm == "layer":
                x = layer.layer_norm(x.transpose(1, 2)).transpose(1, 2)
            elif grouped and not self.doubles:
                x = self._group_norm(layer.layer_norm, x, lengths)
            x = layer.activation(x)
        return x.transpose(1, 2)

    def _normalised_convolution(self, layer: Any, samples: Tensor, lengths: Tensor) -> Tensor:
        """Convolution and group normalisation as one product, `[batch, frames, channels]`.

        What a filter w makes of windows with mean m and covariance C has mean w m and variance
        w C w, so ten numbers per frame are looked at instead of 512, and both steps are one linear
        map of the window. A filter that keeps what is faint in the signal makes a small difference
        of large terms: in float64 what is left of it is exact enough, in float32 it is not. The
        convolution's bias is left out, as the mean takes it away.
        """
        kernel, stride = self.config.conv_kernel[0], self.config.conv_stride[0]
        windows = strided_windows(samples.unsqueeze(2), kernel, stride)  # [batch, frames, kernel]
        frames = windows.shape[1]
        valid = self._valid_frames(frames, lengths).double().unsqueeze(1)  # [batch, 1, frames]
        count = valid.sum(2, keepdim=True)
        # taken from the samples, not by transposing the windows: some versions of ONNX Runtime
        # fuse a transposition into the product after it, and have no such product in float64
        taps = tap_rows(samples.double(), kernel, stride, frames)  # [batch, kernel, frames]
        mean = (taps * valid).sum(2, keepdim=True) / count  # [batch, kernel, 1]
        centred = (taps - mean) * valid
        # the other factor need not be centred: what its mean adds is the sum of `centred`, zero
        covariance = centred @ windows.double() / count  # [batch, kernel, kernel]
        filters = layer.conv.weight.squeeze(1).t().double()  # [kernel, channels]
        norm = layer.layer_norm
        variance = (filters * (covariance @ filters)).sum(1, keepdim=True)  # [batch, 1, channels]
        weight = filters * (torch.rsqrt(variance + norm.eps) * norm.weight)
        bias = norm.bias - mean.squeeze(2).unsqueeze(1) @ weight
        y: Tensor = windows @ weight.to(windows.dtype) + bias.to(windows.dtype)
        return y

    def _valid_frames(self, frames: int, lengths: Tensor) -> Tensor:
        """Which frames of the first convolution lie within a row, `[batch, frames]`."""
        ends = torch.arange(frames, device=lengths.device) * self.config.conv_stride[0]
        return ends[None, :] + self.config.conv_kernel[0] <= lengths[:, None]

    def _group_norm(self, norm: nn.GroupNorm, x: Tensor, lengths: Tensor) -> Tensor:
        """Per-channel normalisation over the row's own time steps, `[batch, channels, time]`."""
        valid = self._valid_frames(x.shape[2], lengths).to(x.dtype)
        count = valid.sum(1)[:, None, None]
        valid = valid.unsqueeze(1)
        mean = (x * valid).sum(2, keepdim=True) / count
        centred = x - mean
        variance = (centred * centred * valid).sum(2, keepdim=True) / count
        # what is thin first: two passes over the frames instead of three. Frames of padding get
        # values that no frame of the row sees
        scale = torch.rsqrt(variance + norm.eps) * norm.weight[:, None]
        return centred * scale + norm.bias[:, None]

    def _stem_windows(self, samples: Tensor, lengths: Tensor) -> Tensor:
        x = samples.unsqueeze(2)  # [batch, time, channels]
        for index, layer in enumerate(self.convolutions):
            kernel, stride = self.config.conv_kernel[index], self.config.conv_stride[index]
            weight = layer.conv.weight.permute(0, 2, 1).flatten(1)  # [out, kernel * in]
            x = F.linear(strided_windows(x, kernel, stride), weight, layer.conv.bias)
            if self.config.feat_extract_norm == "layer":
                x = layer.layer_norm(x)
            elif index == 0:
                x = self._group_norm(layer.layer_norm, x.transpose(1, 2), lengths).transpose(1, 2)
            x = layer.activation(x)
        return x


def strided_windows(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Windows `[batch, frames, kernel * channels]` of `[batch, time, channels]`.

    Reshapes the signal to blocks of one stride and joins shifted views of them, so that nothing
    is gathered element by element.
    """
    batch, time, channels = x.shape
    frames = (time - kernel) // stride + 1
    blocks = frames - 1 + -(-kernel // stride)
    padding = blocks * stride - time
    x = F.pad(x, (0, 0, 0, padding)) if padding > 0 else x[:, : blocks * stride]
    view = x.reshape(batch, blocks, stride * channels)
    parts = [
        view[:, start : start + frames, : min(kernel - start * stride, stride) * channels]
        for start in range(-(-kernel // stride))
    ]
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]


def tap_rows(samples: Tensor, kernel: int, stride: int, frames: int) -> Tensor:
    """What each tap of a filter meets, `[batch, kernel, frames]`, of samples `[batch, n]`."""
    span = (frames - 1) * stride + 1
    return torch.stack([samples[:, tap : tap + span : stride] for tap in range(kernel)], dim=1)


class PositionalConvolution(nn.Module):
    """Grouped convolution over frames, same-padded, with GELU: `[batch, frames, hidden]`."""

    def __init__(self, embedding: Any, config: EncoderConfig) -> None:
        super().__init__()
        self.embedding = embedding
        self.kernel = config.num_conv_pos_embeddings
        self.groups = config.num_conv_pos_embedding_groups
        self.folded: Tensor | None = None

    def fold(self) -> None:
        """Keep the plain weight, so that no normalisation runs on the device."""
        self.folded = self.embedding.conv.weight.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        conv = self.embedding.conv
        weight = conv.weight if self.folded is None else self.folded
        y = F.conv1d(
            x.transpose(1, 2), weight, conv.bias, padding=self.kernel // 2, groups=self.groups
        )
        if self.kernel % 2 == 0:  # an even kernel gives one frame too many
            y = y[:, :, :-1]
        return F.gelu(y).transpose(1, 2)


class RelativeBias(nn.Module):
    """WavLM's bucketed relative position bias: frames -> `[1, heads, frames, frames]`."""

    def __init__(self, first_attention: Any, config: EncoderConfig) -> None:
        super().__init__()
        self.embedding = first_attention.rel_attn_embed
        self.reach = config.max_bucket_distance
        distances = torch.arange(-self.reach, self.reach + 1)
        buckets = first_attention._relative_positions_bucket(distances)
        self.register_buffer("buckets", buckets, persistent=False)
        self.buckets: Tensor
        self.folded: Tensor | None = None

    def fold(self) -> None:
        """Keep the table of every distance."""
        self.folded = self._table().detach().clone()

    def _table(self) -> Tensor:
        return cast(Tensor, self.embedding(self.buckets)).t().contiguous()  # [heads, 2 reach + 1]

    def forward(self, frames: int) -> Tensor:
        table = self._table() if self.folded is None else self.folded
        position = torch.arange(frames, device=table.device)
        distance = position[None, :] - position[:, None]
        row = distance.clamp(-self.reach, self.reach) + self.reach
        return table.index_select(1, row.reshape(-1)).view(1, -1, frames, frames)


class PlainAttention(nn.Module):
    """Multi-head self attention over the projections of a Transformers module."""

    def __init__(self, module: Any, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = module.q_proj, module.k_proj
        self.v_proj, self.out_proj = module.v_proj, module.out_proj

    def score_bias(self, x: Tensor, table: Tensor | None, keys: Tensor | None) -> Tensor:
        """What is added to the attention scores."""
        return cast(Tensor, keys)

    def forward(self, x: Tensor, table: Tensor | None, keys: Tensor | None) -> Tensor:
        q, k, v = (split_heads(p(x), self.heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        bias = self.score_bias(x, table, keys)
        y = attention(q, k, v, bias, q.shape[-1] ** -0.5)
        return cast(Tensor, self.out_proj(merge_heads(y)))


class GatedAttention(PlainAttention):
    """WavLM's attention: a position bias that every query gates (WavLM, section III-A)."""

    def __init__(self, module: Any, heads: int) -> None:
        super().__init__(module, heads)
        self.linear = module.gru_rel_pos_linear
        self.constant = module.gru_rel_pos_const  # [1, heads, 1, 1]
        # as buffers, whose names tell a graph's reader which layer they are of
        self.register_buffer("gate_weight", None, persistent=False)
        self.register_buffer("gate_bias", None, persistent=False)
        self.gate_weight: Tensor | None
        self.gate_bias: Tensor | None

    def fold(self) -> None:
        """Keep the summed gate weights."""
        weight, bias = self._gate()
        self.gate_weight, self.gate_bias = weight.detach().clone(), bias.detach().clone()

    def _gate(self) -> tuple[Tensor, Tensor]:
        # eight outputs, summed in two groups of four: a linear layer with two
        weight = self.linear.weight.view(2, 4, -1).sum(1).t().contiguous()
        return weight, self.linear.bias.view(2, 4).sum(1)

    def score_bias(self, x: Tensor, table: Tensor | None, keys: Tensor | None) -> Tensor:
        weight, bias = self.gate_weight, self.gate_bias
        if weight is None or bias is None:
            weight, bias = self._gate()
        gates = torch.sigmoid(split_heads(x, self.heads) @ weight + bias)
        update, reset = gates[..., 0:1], gates[..., 1:2]  # [batch, heads, frames, 1]
        scale = update * (reset * self.constant - 1.0) + 2.0
        biased: Tensor = cast(Tensor, table) * scale
        return biased if keys is None else biased + keys
