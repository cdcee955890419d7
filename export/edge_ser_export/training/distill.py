"""Two ways to start a small raw-waveform encoder, which learns slowly from labels alone.

Both teach per-frame targets: the stem the log-mel spectrum of the same audio, the encoder the
frames of a trained teacher (as in DistilHuBERT, Chang et al., ICASSP 2022, arXiv:2110.01900).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser_export.config import EncoderConfig
from edge_ser_export.deploy import DeploymentEncoder
from edge_ser_export.model import JointModel, conv_geometry
from edge_ser_export.spectral import HOP_SAMPLES, LogMel

_MEL_BANDS = 64
# log-mel energies of speech of unit variance lie near -2 +- 3
_MEL_OFFSET, _MEL_SCALE = 2.0, 3.0


def frame_hop(config: EncoderConfig) -> int:
    """Samples from one encoder frame to the next."""
    return 4 * HOP_SAMPLES if config.kind == "spectral" else conv_geometry(config)[1]


def pretrain_stem(
    encoder: DeploymentEncoder,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    rate: float,
) -> Iterator[float]:
    """Train front end and projection to predict the log-mel spectrum of their frame.

    Args:
        encoder: its front end and projection are trained in place.
        batches: endless (samples `[b, n]`, lengths `[b]`).
        steps: optimiser steps.
        rate: peak learning rate, with 50 steps of warm-up and a linear decay to a tenth.

    Yields:
        the mean squared error of every step.
    """
    device = next(encoder.parameters()).device
    log_mel = LogMel(_MEL_BANDS).to(device)
    readout = nn.Linear(encoder.config.hidden_size, _MEL_BANDS).to(device)
    stem = [encoder.convolutions, encoder.projection, readout]
    parameters = [p for module in stem for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    stride = frame_hop(encoder.config) // HOP_SAMPLES
    encoder.train()
    for step in range(steps):
        samples, lengths = next(batches)
        with torch.no_grad():
            target = (log_mel(samples)[:, ::stride] + _MEL_OFFSET) / _MEL_SCALE
        with torch.autocast(device.type, torch.bfloat16):
            hidden, _ = encoder.projection(encoder.stem(samples, lengths))
            predicted = readout(hidden)
        count = min(predicted.shape[1], target.shape[1])
        error = F.mse_loss(predicted[:, :count].float(), target[:, :count])
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * (1 - 0.9 * step / steps)
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        yield float(error.detach())


class FrameDistillation(nn.Module):
    """Squared error between projected student frames and a frozen teacher's frames."""

    def __init__(self, teacher: JointModel, student: EncoderConfig) -> None:
        super().__init__()
        self.teacher = teacher.eval().requires_grad_(False)
        self.ratio = frame_hop(teacher.config.encoder) // frame_hop(student)
        self.projection = nn.Linear(student.hidden_size, teacher.config.encoder.hidden_size)

    def forward(self, samples: Tensor, lengths: Tensor, hidden: Tensor) -> Tensor:
        """Loss for student frames `[batch, frames, hidden]`, relative to the target's variance."""
        with torch.no_grad():
            target, mask = self.teacher.encoder(samples, lengths)
        guess = self.projection(hidden[:, :: self.ratio])
        count = min(guess.shape[1], target.shape[1])
        guess, target, mask = guess[:, :count], target[:, :count], mask[:, :count, None]
        error = ((guess - target) ** 2 * mask).sum() / (mask.sum() * target.shape[2])
        relative: Tensor = error / target.var()
        return relative
