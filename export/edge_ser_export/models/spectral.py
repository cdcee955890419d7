"""The spectral encoder of the small default model: log-mel front end inside the graph.

Shapes: `batch` rows of `n` samples at 16 kHz, already normalised; `frames` per row.
"""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser_export.models.config import EncoderConfig
from edge_ser_export.models.ops import attention, key_bias, masked_mean, merge_heads, split_heads

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400  # 25 ms: receptive field of one frame, for every encoder here
HOP_SAMPLES = 160  # 10 ms: hop of the spectral encoder before its two strided convolutions
FFT_SIZE = 512
MEL_LOW_HZ, MEL_HIGH_HZ = 20.0, 7600.0
VECTOR_FLOATS = 16  # of the widest registers: products of fewer columns than that gain nothing
LOG_FLOOR = 1e-3  # of mel power, for samples of unit variance: about 50 dB under speech
# Filters of the groups of bins that a transform of a quarter of the samples gives: k, N/2 - k,
# N/4 + k, N/4 - k.
_GROUPS = ("filters", "filters_mirrored", "filters_above_quarter", "filters_below_quarter")


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
        with torch.device("cpu"):  # also where a model is built without memory
            basis, filters = dft_basis(FFT_SIZE // 2 + 1), mel_filters(bands)
        self.register_buffer("basis", basis, persistent=False)
        # rounded to half precision, so that exported files hold them in half the bytes
        self.register_buffer("filters", filters.half().float(), persistent=False)
        self.basis: Tensor
        self.filters: Tensor

    def forward(self, samples: Tensor) -> Tensor:
        if self.training:  # power spectra span more digits than bfloat16 has
            with torch.autocast(samples.device.type, enabled=False):
                return self._log_mel(samples)
        return self._log_mel(samples)

    def _log_mel(self, samples: Tensor) -> Tensor:
        real, imaginary = torch.matmul(_windows(samples), self.basis).chunk(2, dim=2)
        power = torch.matmul(real * real + imaginary * imaginary, self.filters)
        return torch.log(power + LOG_FLOOR)


class FastLogMel(nn.Module):
    """The same spectrogram with a quarter of the multiplications: for export, not training.

    A real DFT of N points is four of every fourth sample each (Cooley and Tukey 1965, radix 4).
    With S_r[k] the transform of the samples 4 m + r, phases included, the symmetries of real
    signals give every bin of 0..N/2 from k = 0..N/8:

        X[k]         = (S0 + S2) +   (S1 + S3)      X[N/4 + k] = (S0 - S2) - i (S1 - S3)
        X[N/2 - k]* = (S0 + S2) -   (S1 + S3)      X[N/4 - k]* = (S0 - S2) + i (S1 - S3)

    Only powers are needed, so the conjugations (*) fall away.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        bins = FFT_SIZE // 8 + 1
        basis = dft_basis(bins)
        parts = torch.stack([basis[r::4] for r in range(4)])  # [4, window / 4, 2 bins]
        self.register_buffer("basis", parts, persistent=False)
        # per group of bins: rows for squared cosines and for squared sines, whose sum is the power;
        # a bin that two groups hold counts once
        k, quarter, half = torch.arange(bins), FFT_SIZE // 4, FFT_SIZE // 2
        order = torch.stack([k, half - k, quarter + k, quarter - k])
        flat = order.flatten()
        is_repeated = torch.stack([(flat[:i] == o).any() for i, o in enumerate(flat)])
        filters = mel_filters(bands).half().float()[order] * ~is_repeated.view(4, bins, 1)
        filters = filters.repeat(1, 2, 1)  # [4, 2 bins, bands]
        # the upper three groups meet the upper bands alone
        lowest = int(filters[1:].amax((0, 1)).nonzero()[0])
        self.skipped = lowest - lowest % VECTOR_FLOATS
        # a table each, which stays one constant of the graph
        low, *upper = filters
        for name, table in zip(_GROUPS, (low, *(f[:, self.skipped :] for f in upper)), strict=True):
            self.register_buffer(name, table.clone(), persistent=False)
        self.basis: Tensor
        self.filters: Tensor

    def forward(self, samples: Tensor) -> Tensor:
        windows = _windows(samples)
        batch, frames, _ = windows.shape
        windows = windows.view(batch, frames, WINDOW_SAMPLES // 4, 4).permute(0, 3, 1, 2)
        spectra = torch.matmul(windows, self.basis)
        s0, s1, s2, s3 = spectra.unbind(1)  # each [batch, frames, 2 bins]: cosines, sines
        p, q, u, v = s0 + s2, s1 + s3, s0 - s2, s1 - s3
        v_cos, v_sin = v.chunk(2, dim=2)
        turned = torch.cat([v_sin, -v_cos], dim=2)  # i v, in terms of cosines and sines
        groups = (p + q, p - q, u - turned, u + turned)
        low, *upper = (
            torch.matmul(x * x, self.get_buffer(name))
            for x, name in zip(groups, _GROUPS, strict=True)
        )
        high = upper[0] + upper[1] + upper[2]
        if self.skipped:
            high = F.pad(high, (self.skipped, 0))
        return torch.log(low + high + LOG_FLOOR)


def dft_basis(bins: int) -> Tensor:
    """Hann-windowed cosines and sines `[WINDOW_SAMPLES, 2 bins]` of a DFT of FFT_SIZE points."""
    # in float64 from exact integer phases, rounded once
    time = torch.arange(WINDOW_SAMPLES)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * time.double() / WINDOW_SAMPLES)
    phase = (time[:, None] * torch.arange(bins)[None, :]) % FFT_SIZE
    angle = phase.double() * (2 * math.pi / FFT_SIZE)
    return (torch.cat([angle.cos(), angle.sin()], dim=1) * window[:, None]).float()


def _windows(samples: Tensor) -> Tensor:
    """`[batch, n]` -> `[batch, frames, WINDOW_SAMPLES]`, where frames = (n - 400) // 160 + 1.

    A window is two hops, and what a third that ends with the window has beyond them.
    """
    batch, count = samples.shape
    frames = (count - WINDOW_SAMPLES) // HOP_SAMPLES + 1
    first, second, third = (
        samples[:, start : start + frames * HOP_SAMPLES].reshape(batch, frames, HOP_SAMPLES)
        for start in (0, HOP_SAMPLES, WINDOW_SAMPLES - HOP_SAMPLES)
    )
    return torch.cat([first, second, third[:, :, 3 * HOP_SAMPLES - WINDOW_SAMPLES :]], dim=2)


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
        self.log_mel: LogMel | FastLogMel = LogMel(config.mel_bands)
        self.conv1 = nn.Conv1d(config.mel_bands, width, 5, stride=2, padding=2)
        self.conv2 = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.pos_conv = nn.Conv1d(
            width, width, kernel, padding=kernel // 2, groups=config.num_conv_pos_embedding_groups
        )
        layers = [SpectralLayer(config) for _ in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def stem(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the transformer layers are given: `[batch, frames, hidden]`, and the mask."""
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
        return (x + F.gelu(self.pos_conv(x))).transpose(1, 2), mask

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, mask = self.stem(samples, lengths)
        bias = key_bias(mask)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x), mask


def with_fast_log_mel(encoder: SpectralEncoder) -> SpectralEncoder:
    """An encoder of the same parameters whose spectra are computed by `FastLogMel`."""
    form = copy.copy(encoder)
    form._modules = dict(encoder._modules)  # its own table of modules, not its own modules
    form.log_mel = FastLogMel(encoder.log_mel.filters.shape[1])
    return form
