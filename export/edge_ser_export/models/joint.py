"""The joint model, in the reference form that deployed models are compared with.

One file, top to bottom: the poolings, the heads, and `JointModel` that joins them with an encoder
of `encoders.py`.

References:
    EmoSphere-SER: Cho et al., "EmoSphere-SER: Enhancing Speech Emotion Recognition Through
        Spherical Representation with Auxiliary Classification", Interspeech 2025,
        arXiv:2505.19693.
    WavLM: Chen et al., IEEE JSTSP 2022, arXiv:2110.13900 (Transformers' `WavLMModel`).
    Style pooling: the style encoder of Meta-StyleSpeech, Min et al., ICML 2021,
        arXiv:2106.03153.
    Attentive statistics pooling: Okabe et al., Interspeech 2018, arXiv:1803.10963.
    wav2vec 2.0 dimensional model: Wagner et al., IEEE TPAMI 2023, arXiv:2203.07378.

Shapes: `batch` rows of `n` samples at 16 kHz, already normalised; `frames` per row after the
encoder; a mask is float32 `[batch, frames]`, 1 where the frame is of the row and 0 in padding.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.encoders import find_encoder
from edge_ser_export.models.ops import (
    MASKED_SCORE,
    attention,
    key_bias,
    masked_mean,
    merge_heads,
    split_heads,
)

# --- poolings: (hidden [batch, frames, hidden], mask) -> [batch, pooled]


class LinearNorm(nn.Module):
    """A linear layer under the name `fc`, as published style poolings store it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fc(x))


class ConvNorm(nn.Module):
    """A same-padded convolution under the name `conv`."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=(kernel - 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(x))


class ConvGLU(nn.Module):
    """Residual gated convolution: x + a * sigmoid(b), `[batch, hidden, frames]` -> the same."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, 2 * width, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv1(x).chunk(2, dim=1)
        return x + cast(Tensor, self.dropout(a * torch.sigmoid(b)))


class StyleAttention(nn.Module):
    """Self attention with residual; scores are divided by sqrt of the *model* width."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.w_qs = nn.Linear(width, width)
        self.w_ks = nn.Linear(width, width)
        self.w_vs = nn.Linear(width, width)
        self.fc = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (split_heads(w(x), self.heads) for w in (self.w_qs, self.w_ks, self.w_vs))
        y = merge_heads(attention(q, k, v, key_bias(mask), x.shape[2] ** -0.5))
        return cast(Tensor, self.dropout(self.fc(y))) + x


class StylePooling(nn.Module):
    """Style encoder used as pooling: `[batch, frames, inputs]` -> `[batch, width]`."""

    def __init__(self, inputs: int, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.spectral = nn.Sequential(
            LinearNorm(inputs, width),
            nn.Mish(),
            nn.Dropout(dropout),
            LinearNorm(width, width),
            nn.Mish(),
            nn.Dropout(dropout),
        )
        self.temporal = nn.Sequential(ConvGLU(width, 5, dropout), ConvGLU(width, 5, dropout))
        self.slf_attn = StyleAttention(width, heads, dropout)
        self.fc = LinearNorm(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = (self.spectral(x) * mask.unsqueeze(2)).transpose(1, 2)
        for block in self.temporal:
            # the published code lets padding leak through these convolutions in a padded batch;
            # zeroing it makes every row equal to the row run alone
            x = block(x) * mask.unsqueeze(1)
        x = self.slf_attn(x.transpose(1, 2), mask)
        return masked_mean(self.fc(x), mask)


class AttentiveStatisticsPooling(nn.Module):
    """Attention-weighted mean and standard deviation: `[batch, frames, d]` -> `[batch, 2 d]`."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.sap_linear = nn.Linear(inputs, inputs)
        self.attention = nn.Parameter(torch.empty(inputs, 1).normal_())

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = torch.matmul(torch.tanh(self.sap_linear(x)), self.attention)
        hidden = ((1.0 - mask) * MASKED_SCORE).unsqueeze(2)
        weight = torch.softmax(scores + hidden, dim=1)  # [batch, frames, 1]
        mean = (x * weight).sum(1)
        variance = (x * x * weight).sum(1) - mean * mean
        return torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)


class MeanPooling(nn.Module):
    """Mean over the valid frames."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(x, mask)


class SumPooling(nn.Module):
    """Sum over the valid frames."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x * mask.unsqueeze(-1)).sum(1)


class MaxPooling(nn.Module):
    """Largest of each number over the valid frames."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x + ((1.0 - mask) * MASKED_SCORE).unsqueeze(-1)).amax(1)


_PLAIN_POOLINGS = {"mean": MeanPooling, "sum": SumPooling, "max": MaxPooling}

# --- heads: [batch, pooled] -> [batch, k]


class RegressionHead(nn.Module):
    """(Linear, LayerNorm, ReLU, Dropout) blocks and a linear output."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs if i == 0 else width, width),
                nn.LayerNorm(width),
                nn.ReLU(),
                nn.Dropout(0.5),
            )
            for i in range(layers)
        )
        self.out = nn.Sequential(nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.fc:
            x = block(x)
        return cast(Tensor, self.out(x))


class TanhHead(nn.Module):
    """Linear, tanh, linear: the head of the published wav2vec 2.0 dimensional model."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, inputs)
        self.dropout = nn.Dropout(0.1)
        self.out_proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.out_proj(self.dropout(torch.tanh(self.dense(x)))))


class ProjectedHead(nn.Module):
    """Two linear layers, which Transformers' classifiers have on either side of the mean.

    There the first one is applied to every frame; the mean of what it gives is what it gives for
    the mean.
    """

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.projector = nn.Linear(inputs, width)
        self.classifier = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.projector(x)))


# --- the joint model


class JointModel(nn.Module):
    """Encoder, pooling and heads of a `ModelConfig`.

    `forward` maps normalised samples `[batch, n]` and lengths `[batch]` (int64) to
    what the model has of `vad [batch, 3]`, ordered arousal, dominance, valence on 0..1 (not
    clipped), `region_logits [batch, regions]` and `category_logits [batch, categories]`, in this
    order, which is that of `ModelConfig.outputs`.
    """

    def __init__(self, config: ModelConfig, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        hidden = config.encoder.hidden_size
        if encoder is not None:
            self.encoder = encoder
        else:
            self.encoder = find_encoder(config.encoder.kind).build(config.encoder)
        self.pooling: nn.Module
        if config.pooling == "style":
            self.pooling = StylePooling(hidden, config.pooling_dim, config.pooling_heads)
            pooled = config.pooling_dim
        elif config.pooling == "attentive-statistics":
            self.pooling = AttentiveStatisticsPooling(hidden)
            pooled = 2 * hidden
        else:
            self.pooling = _PLAIN_POOLINGS[config.pooling]()
            pooled = hidden
        self.vad_head = self._head(pooled, 3 if config.has_dimensions else 0)
        self.region_head = self._head(pooled, config.region_count)
        self.category_head = self._head(pooled, len(config.categories))

    def _head(self, inputs: int, outputs: int) -> nn.Module | None:
        if not outputs:
            return None
        if self.config.head == "tanh":
            return TanhHead(inputs, outputs)
        if self.config.head == "projected":
            return ProjectedHead(inputs, self.config.head_dim, outputs)
        return RegressionHead(inputs, self.config.head_dim, self.config.head_layers, outputs)

    @property
    def heads(self) -> tuple[nn.Module, ...]:
        """Those that the model has, in the order of its outputs."""
        heads = (self.vad_head, self.region_head, self.category_head)
        return tuple(head for head in heads if head is not None)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        hidden, mask = self.encoder(samples, lengths)
        pooled = self.pooling(hidden, mask)
        return tuple(head(pooled) for head in self.heads)
