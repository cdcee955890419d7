"""The joint model, in the reference form that deployed models are compared with.

One file, top to bottom: the encoders, the poolings, the heads, and `JointModel` that joins them.

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

import math
import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser_export.config import EncoderConfig, ModelConfig

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Added to attention scores of padded keys. Finite, and inside float16's range (65 504), so that
# the same graph stays valid in half precision; exp(-30000) is exactly 0 in every precision.
MASKED_SCORE = -30_000.0

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400  # 25 ms: receptive field of one frame, for every encoder here
HOP_SAMPLES = 160  # 10 ms: hop of the spectral encoder before its two strided convolutions
FFT_SIZE = 512
MEL_LOW_HZ, MEL_HIGH_HZ = 20.0, 7600.0
LOG_FLOOR = 1e-3  # of mel power, for samples of unit variance: about 50 dB under speech


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid frames: `[batch, frames, hidden]` -> `[batch, hidden]`."""
    weight = mask.unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1)


def key_bias(mask: Tensor) -> Tensor:
    """Additive attention bias `[batch, 1, 1, frames]` that hides padded keys."""
    return ((1.0 - mask) * MASKED_SCORE)[:, None, None, :]


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """Softmax attention, written out: `[batch, heads, frames, width]` each -> the same.

    Written out rather than `scaled_dot_product_attention`, which exporters turn into operators
    that runtimes below opset 23 do not have, or into more than they need.
    """
    scores = torch.matmul(q * scale, k.transpose(-1, -2)) + bias
    return torch.matmul(torch.softmax(scores, dim=-1), v)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`[batch, frames, hidden]` -> `[batch, heads, frames, hidden / heads]`."""
    batch, frames, hidden = x.shape
    return x.view(batch, frames, heads, hidden // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Inverse of `split_heads`."""
    batch, heads, frames, width = x.shape
    return x.transpose(1, 2).reshape(batch, frames, heads * width)


# --- encoders: (samples [batch, n], lengths [batch]) -> hidden [batch, frames, hidden], mask


def conv_geometry(config: EncoderConfig) -> tuple[int, int]:
    """Receptive field and hop, in samples, of the unpadded convolutional front end."""
    field, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def conv_frame_mask(lengths: Tensor, frames: int, config: EncoderConfig) -> Tensor:
    """Mask of the frames that see real samples only: frame t ends at t * hop + field.

    Comparing products keeps integer division, which has no half precision form, out of the graph.
    """
    field, hop = conv_geometry(config)
    ends = torch.arange(frames, device=lengths.device) * hop + field
    return (ends[None, :] <= lengths[:, None]).float()


def transformers_config(config: EncoderConfig) -> PretrainedConfig:
    """The configuration as Transformers writes it."""
    from transformers import Wav2Vec2Config, WavLMConfig

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
    if config.kind == "wav2vec2":
        return Wav2Vec2Config(**shared)  # type: ignore[no-untyped-call]
    return WavLMConfig(  # type: ignore[no-untyped-call]
        **shared,
        num_buckets=config.num_buckets,
        max_bucket_distance=config.max_bucket_distance,
    )


class TransformersEncoder(nn.Module):
    """WavLM or wav2vec 2.0 exactly as Transformers computes it: the reference."""

    def __init__(self, config: EncoderConfig, model: PreTrainedModel | None = None) -> None:
        super().__init__()
        self.config = config
        if model is None:
            from transformers import Wav2Vec2Model, WavLMModel

            # Transformers passes WavLM's padding mask as bool beside a float bias, as intended
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            build: Any = Wav2Vec2Model if config.kind == "wav2vec2" else WavLMModel
            model = build(transformers_config(config))
        self.model = model

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(samples.shape[1], device=samples.device)
        attention_mask = (positions[None, :] < lengths[:, None]).long()
        hidden = self.model(samples, attention_mask=attention_mask).last_hidden_state
        mask = conv_frame_mask(lengths, hidden.shape[1], self.config)
        return hidden, mask


def mel_filters(bands: int) -> Tensor:
    """Slaney-style triangular mel filters `[FFT_SIZE / 2 + 1, bands]`, area-normalised."""

    def to_mel(hz: Tensor) -> Tensor:  # linear below 1 kHz, logarithmic above (Slaney 1998)
        linear = hz / (200 / 3)
        return torch.where(
            hz < 1000, linear, 15 + 27 * torch.log(hz.clamp(min=1.0) / 1000) / math.log(6.4)
        )

    def to_hz(mel: Tensor) -> Tensor:
        return torch.where(
            mel < 15, mel * (200 / 3), 1000 * torch.exp((mel - 15) / 27 * math.log(6.4))
        )

    low, high = to_mel(torch.tensor([MEL_LOW_HZ, MEL_HIGH_HZ], dtype=torch.float64))
    edges = to_hz(torch.linspace(float(low), float(high), bands + 2, dtype=torch.float64))
    bins = torch.arange(FFT_SIZE // 2 + 1, dtype=torch.float64) * SAMPLE_RATE_HZ / FFT_SIZE
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).float()


class LogMel(nn.Module):
    """Log-mel spectrogram inside the graph: samples `[batch, n]` -> `[batch, frames, bands]`.

    A Hann-windowed real DFT as one matrix product. The window is 2.5 hops long, so the frames
    are three shifted views of the signal reshaped to hops: no convolution, no gather.
    The tables follow from the constants above and are not part of a checkpoint.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        # Tables in float64 from exact integer phases, rounded once to half precision: the noise
        # this adds lies under LOG_FLOOR, and exported files hold them in half the bytes.
        time = torch.arange(WINDOW_SAMPLES)
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * time.double() / WINDOW_SAMPLES)
        phase = (time[:, None] * torch.arange(FFT_SIZE // 2 + 1)[None, :]) % FFT_SIZE
        angle = phase.double() * (2 * math.pi / FFT_SIZE)
        basis = torch.cat([angle.cos(), angle.sin()], dim=1) * window[:, None]
        self.register_buffer("basis", basis.half().float(), persistent=False)
        self.register_buffer("filters", mel_filters(bands).half().float(), persistent=False)
        self.basis: Tensor
        self.filters: Tensor

    def forward(self, samples: Tensor) -> Tensor:
        if self.training:  # power spectra span more digits than bfloat16 has
            with torch.autocast(samples.device.type, enabled=False):
                return self._log_mel(samples)
        return self._log_mel(samples)

    def _log_mel(self, samples: Tensor) -> Tensor:
        # frames = (n - 400) // 160 + 1 lie in `frames + 2` hops; 80 zeros complete the last one
        padded = F.pad(samples, (0, 3 * HOP_SAMPLES - WINDOW_SAMPLES))
        count = padded.shape[1] // HOP_SAMPLES
        hops = padded[:, : count * HOP_SAMPLES].reshape(samples.shape[0], count, HOP_SAMPLES)
        rest = WINDOW_SAMPLES - 2 * HOP_SAMPLES
        windows = torch.cat([hops[:, :-2], hops[:, 1:-1], hops[:, 2:, :rest]], dim=2)
        real, imaginary = torch.matmul(windows, self.basis).chunk(2, dim=2)
        power = torch.matmul(real * real + imaginary * imaginary, self.filters)
        return torch.log(power + LOG_FLOOR)


class SpectralLayer(nn.Module):
    """Pre-norm transformer layer, `[batch, frames, hidden]` -> the same."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.attention_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.up_proj = nn.Linear(width, config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, width)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        y = self.attention_norm(x)
        q, k, v = (split_heads(p(y), self.heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        y = merge_heads(attention(q, k, v, bias, q.shape[-1] ** -0.5))
        x = x + self.dropout(self.out_proj(y))
        y = self.down_proj(F.gelu(self.up_proj(self.feed_forward_norm(x))))
        return x + cast(Tensor, self.dropout(y))


class SpectralEncoder(nn.Module):
    """Log-mel front end, two strided convolutions and a few transformer layers; 40 ms frames.

    The encoder of the small default model. The utterance's mean log energy is removed, so that
    the level of a recording does not move its emotion.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        kernel = config.num_conv_pos_embeddings
        self.log_mel = LogMel(config.mel_bands)
        self.conv1 = nn.Conv1d(config.mel_bands, width, 5, stride=2, padding=2)
        self.conv2 = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.pos_conv = nn.Conv1d(
            width, width, kernel, padding=kernel // 2, groups=config.num_conv_pos_embedding_groups
        )
        layers = [SpectralLayer(config) for _ in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.log_mel(samples)  # [batch, frames at 10 ms, bands]
        ends = torch.arange(x.shape[1], device=x.device) * HOP_SAMPLES + WINDOW_SAMPLES
        mask = (ends[None, :] <= lengths[:, None]).float()
        level = masked_mean(x.mean(2, keepdim=True), mask)  # [batch, 1]
        # Padded frames are zero before every convolution, as the convolution's own padding is:
        # a row then never feels what follows it in the batch.
        x = ((x - level.unsqueeze(1)) / 3.0 * mask.unsqueeze(2)).transpose(1, 2)
        mask = mask[:, ::2]
        x = F.gelu(self.conv1(x)) * mask.unsqueeze(1)  # [batch, hidden, frames at 20 ms]
        mask = mask[:, ::2]
        x = F.gelu(self.conv2(x)) * mask.unsqueeze(1)  # [batch, hidden, frames at 40 ms]
        x = (x + F.gelu(self.pos_conv(x))).transpose(1, 2)
        bias = key_bias(mask)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x), mask


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


# --- the joint model


class JointModel(nn.Module):
    """Encoder, pooling and heads of a `ModelConfig`.

    `forward` maps normalised samples `[batch, n]` and lengths `[batch]` (int64) to
    `vad [batch, 3]`, ordered arousal, dominance, valence on 0..1 (not clipped), and
    `region_logits [batch, regions]`, or None where the model has no region head.
    """

    def __init__(self, config: ModelConfig, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        hidden = config.encoder.hidden_size
        if encoder is not None:
            self.encoder = encoder
        elif config.encoder.kind == "spectral":
            self.encoder = SpectralEncoder(config.encoder)
        else:
            self.encoder = TransformersEncoder(config.encoder)
        self.pooling: nn.Module
        if config.pooling == "style":
            self.pooling = StylePooling(hidden, config.pooling_dim, config.pooling_heads)
            pooled = config.pooling_dim
        elif config.pooling == "attentive-statistics":
            self.pooling = AttentiveStatisticsPooling(hidden)
            pooled = 2 * hidden
        else:
            self.pooling = MeanPooling()
            pooled = hidden
        self.vad_head = self._head(pooled, 3)
        self.region_head = self._head(pooled, config.region_count) if config.region_count else None

    def _head(self, inputs: int, outputs: int) -> nn.Module:
        if self.config.head == "tanh":
            return TanhHead(inputs, outputs)
        return RegressionHead(inputs, self.config.head_dim, self.config.head_layers, outputs)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        hidden, mask = self.encoder(samples, lengths)
        pooled = self.pooling(hidden, mask)
        regions = None if self.region_head is None else self.region_head(pooled)
        return self.vad_head(pooled), regions
