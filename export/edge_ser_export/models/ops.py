"""Tensor operations that encoders and poolings share, written so that every exporter takes them.

Shapes: a mask is float32 `[batch, frames]`, 1 where the frame is of the row and 0 in padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Added to attention scores of padded keys. Finite, and inside float16's range (65 504), so that
# the same graph stays valid in half precision; exp(-30000) is exactly 0 in every precision.
MASKED_SCORE = -30_000.0


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
