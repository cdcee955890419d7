"""The training objective of EmoSphere-SER (arXiv:2505.19693, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

AUXILIARY_EPOCHS = 5
AUXILIARY_END = 0.01


def ccc_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Sum over the dimensions of 1 - CCC, over a batch: `[batch, 3]` twice -> scalar.

    Population variances, as in the evaluation.
    """
    mean_p, mean_t = predicted.mean(0), target.mean(0)
    covariance = ((predicted - mean_p) * (target - mean_t)).mean(0)
    spread = predicted.var(0, unbiased=False) + target.var(0, unbiased=False)
    return (1 - 2 * covariance / (spread + (mean_p - mean_t) ** 2 + 1e-8)).sum()


def class_weights(regions: Tensor, count: int) -> Tensor:
    """Inverse frequency N / (count * n_c) of each region; 0 for a region that never occurs."""
    frequency = torch.bincount(regions, minlength=count).float()
    weight = regions.numel() / (count * frequency.clamp(min=1))
    return torch.where(frequency > 0, weight, torch.zeros_like(weight))


def auxiliary_weight(epoch: int, floor: float) -> float:
    """Dynamic weight of the region loss in an epoch counted from 0.

    1 - (epoch / 5) (1 - 0.01) for epochs 0..4, then `floor`. The paper's floor is 0, which leaves
    the region head behind while encoder and pooling go on changing; a small floor keeps it fresh.
    """
    if epoch >= AUXILIARY_EPOCHS:
        return floor
    return max(1 - epoch / AUXILIARY_EPOCHS * (1 - AUXILIARY_END), floor)
