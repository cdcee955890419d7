"""How a small raw-waveform encoder learns from a trained model, which labels alone teach slowly.

Three steps, each optional: pooling, heads and transformer layers of the same shape start from the
teacher's (as DistilBERT's do, Sanh et al. 2019, arXiv:1910.01108); the convolutional stem first
learns to give what the teacher's transformer is given; and while training on labels, the student's
frames are held near the teacher's (DistilHuBERT, Chang et al., ICASSP 2022, arXiv:2110.01900).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge_ser.errors import UsageError
from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.encoders import find_encoder
from edge_ser_export.models.joint import JointModel
from edge_ser_export.models.reference import TransformersEncoder
from edge_ser_export.models.spectral import HOP_SAMPLES, LogMel, SpectralEncoder

_MEL_BANDS = 64
# log-mel energies of speech of unit variance lie near -2 +- 3
_MEL_OFFSET, _MEL_SCALE = 2.0, 3.0
# Utterances per step, and the peak learning rate, of `pretrain_stem`. The error falls with the
# number of steps, hardly with the size of a batch: 8 rows reach in a quarter of the time what 32
# do.
STEM_ROWS = 8
STEM_RATE = 3e-3
# Spectral layer -> the module of a Transformers layer that does the same.
_TWINS = {
    "attention_norm": "layer_norm",
    "q_proj": "attention.q_proj",
    "k_proj": "attention.k_proj",
    "v_proj": "attention.v_proj",
    "out_proj": "attention.out_proj",
    "feed_forward_norm": "final_layer_norm",
    "up_proj": "feed_forward.intermediate_dense",
    "down_proj": "feed_forward.output_dense",
}


def frame_hop(config: EncoderConfig) -> int:
    """Samples from one encoder frame to the next."""
    return find_encoder(config.kind).hop(config)


def start_from_teacher(student: JointModel, teacher: JointModel) -> int:
    """Copy what has the same shape: pooling, heads, and transformer layers of a spectral teacher.

    Args:
        student: changed in place.
        teacher: a trained model.

    Returns:
        how many tensors were copied.
    """
    copied = 0
    for name in ("pooling", "vad_head", "region_head"):
        copied += _copy(getattr(teacher, name), getattr(student, name))
    source, target = teacher.encoder, student.encoder
    if isinstance(source, SpectralEncoder) and isinstance(target, TransformersEncoder):
        encoder = cast(Any, target.model).encoder
        copied += _copy(source.norm, encoder.layer_norm)
        for teacher_layer, student_layer in zip(source.layers, encoder.layers, strict=False):
            for teacher_name, student_name in _TWINS.items():
                copied += _copy(
                    teacher_layer.get_submodule(teacher_name),
                    student_layer.get_submodule(student_name),
                )
    return copied


def check_teacher(teacher: ModelConfig, mean: float, std: float) -> None:
    """The teacher is given the student's samples: they must be normalised as its own were.

    Args:
        teacher: its configuration.
        mean: that the student's samples are normalised with.
        std: the same.

    Raises:
        UsageError: they are not.
    """
    alike = abs(teacher.std / std - 1) < 0.1 and abs(teacher.mean - mean) < 0.1 * std
    if teacher.normalization != "corpus" or not alike:
        raise UsageError(
            "--teacher",
            expected=f"a model trained on samples of mean {mean:.2g}, deviation {std:.3g}",
            found=f"{teacher.normalization} normalisation, mean {teacher.mean:.2g}, "
            f"deviation {teacher.std:.3g}",
            advice="train the teacher on the same corpus",
        )


def _copy(source: nn.Module | None, target: nn.Module | None) -> int:
    if source is None or target is None:
        return 0
    have, want = source.state_dict(), target.state_dict()
    if {k: v.shape for k, v in have.items()} != {k: v.shape for k, v in want.items()}:
        return 0
    target.load_state_dict(have)
    return len(have)


def pretrain_stem(
    encoder: DeploymentEncoder,
    teacher: JointModel | None,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    rate: float,
) -> Iterator[float]:
    """Train stem, projection and positional convolution on the frames of the same audio.

    The target is what a spectral teacher's transformer is given; without one, the log-mel spectrum
    through a linear readout.

    Args:
        encoder: trained in place.
        teacher: a spectral model, or None.
        batches: endless (samples `[b, n]`, lengths `[b]`).
        steps: optimiser steps.
        rate: peak learning rate, with 50 steps of warm-up and a linear decay to a tenth.

    Yields:
        the squared error of every step, relative to the target's variance.
    """
    device = next(encoder.parameters()).device
    front = teacher.encoder if teacher and isinstance(teacher.encoder, SpectralEncoder) else None
    same_width = front is not None and front.norm.weight.shape[0] == encoder.config.hidden_size
    log_mel = LogMel(_MEL_BANDS).to(device)
    outputs = encoder.config.hidden_size if same_width else _MEL_BANDS
    readout = (
        nn.Identity() if same_width else nn.Linear(encoder.config.hidden_size, outputs).to(device)
    )
    stem = [encoder.convolutions, encoder.projection, encoder.position, readout]
    parameters = [p for module in stem for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    encoder.train()
    for step in range(steps):
        samples, lengths = next(batches)
        with torch.no_grad():
            if same_width and front is not None:
                target, mask = front.stem(samples, lengths)
                stride = 4 * HOP_SAMPLES // frame_hop(encoder.config)
            else:
                target = log_mel(samples)[:, :: frame_hop(encoder.config) // HOP_SAMPLES]
                target = (target + _MEL_OFFSET) / _MEL_SCALE
                mask, stride = torch.ones(target.shape[:2], device=device), 1
        with torch.autocast(device.type, torch.bfloat16):
            hidden, valid = encoder.embed(samples, lengths)
            predicted = readout(hidden)[:, ::stride]
        count = min(predicted.shape[1], target.shape[1])
        weight = (mask[:, :count] * valid[:, ::stride][:, :count]).unsqueeze(2)
        difference = (predicted[:, :count].float() - target[:, :count]) * weight
        spread = (target[:, :count] * weight).var()
        error = difference.square().mean() / spread
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * (1 - 0.9 * step / steps)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        yield float(error.detach())


class FrameDistillation(nn.Module):
    """Squared error between projected student frames and a frozen teacher's frames."""

    def __init__(self, teacher: JointModel, student: EncoderConfig) -> None:
        super().__init__()
        self.teacher = teacher.eval().requires_grad_(False)
        hops = frame_hop(teacher.config.encoder), frame_hop(student)
        if max(hops) % min(hops):
            raise UsageError(
                "--teacher",
                expected=f"frames that fall on the student's, {hops[1]} samples apart",
                found=f"frames {hops[0]} samples apart",
            )
        # every so many frames of the student meet one of the teacher's, or the reverse
        self.student_stride = max(1, hops[0] // hops[1])
        self.teacher_stride = max(1, hops[1] // hops[0])
        width = teacher.config.encoder.hidden_size
        self.projection = nn.Linear(student.hidden_size, width)
        if student.hidden_size == width:  # where layers start from the teacher's, frames are its
            nn.init.eye_(self.projection.weight)
            nn.init.zeros_(self.projection.bias)

    def forward(self, samples: Tensor, lengths: Tensor, hidden: Tensor) -> Tensor:
        """Loss for student frames `[batch, frames, hidden]`, relative to the target's variance."""
        with torch.no_grad():
            target, mask = self.teacher.encoder(samples, lengths)
            target, mask = target[:, :: self.teacher_stride], mask[:, :: self.teacher_stride]
        guess = self.projection(hidden[:, :: self.student_stride])
        count = min(guess.shape[1], target.shape[1])
        guess, target, mask = guess[:, :count], target[:, :count], mask[:, :count, None]
        error = ((guess - target) ** 2 * mask).sum() / (mask.sum() * target.shape[2])
        relative: Tensor = error / target.var()
        return relative
