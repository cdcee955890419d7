"""Encoders: what there is to know about a kind of them, once.

`find_encoder` is the whole interface. A checkpoint names its kind in `EncoderConfig.kind`: one of
`ENCODERS`, or the `model_type` of any other encoder of Transformers with a convolutional front end.
The latter has no form of ours: it is traced as Transformers writes it, and the gate judges.
To add a form, write its module and a line in `ENCODERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from edge_ser_export.models.config import EncoderConfig
from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.reference import AsWritten, TransformersEncoder, is_speech_encoder
from edge_ser_export.models.spectral import (
    HOP_SAMPLES,
    WINDOW_SAMPLES,
    SpectralEncoder,
    with_fast_log_mel,
)


@dataclass(frozen=True)
class Form:
    """How an encoder is to be written; see `deployment.DeploymentModel`.

    Attributes:
        windows: convolutions as matrix products.
        fast: for export, not for training.
        doubles: a few sums in float64.
    """

    windows: bool = False
    fast: bool = False
    doubles: bool = False


@dataclass(frozen=True)
class EncoderKind:
    """A kind of encoder.

    Attributes:
        name: in `EncoderConfig.kind`.
        build: the reference module, with weights at random: samples `[batch, n]` and lengths
            `[batch]` to hidden `[batch, frames, hidden]` and mask `[batch, frames]`.
        deploy: its form for devices, sharing the weights; the same inputs and outputs.
        field: samples that one frame sees.
        hop: samples from one frame to the next.
        max_batch: rows that may share a run of the exported form; None: any number.
        computes_tables: whether building computes values that no checkpoint holds.
        quantizes: whether the products of its exported form can become eight-bit ones.
    """

    name: str
    build: Callable[[EncoderConfig], nn.Module]
    deploy: Callable[[nn.Module, Form], nn.Module]
    field: Callable[[EncoderConfig], int]
    hop: Callable[[EncoderConfig], int]
    max_batch: int | None = None
    computes_tables: bool = False
    quantizes: bool = True


def _deployed(encoder: nn.Module, form: Form) -> nn.Module:
    assert isinstance(encoder, TransformersEncoder)  # what `build` of these kinds gives
    return DeploymentEncoder(encoder, form.windows, form.doubles)


def _as_written(encoder: nn.Module, form: Form) -> nn.Module:
    assert isinstance(encoder, TransformersEncoder)  # what `build` of these kinds gives
    return AsWritten(encoder) if form.fast else encoder


def _spectral(encoder: nn.Module, form: Form) -> nn.Module:
    assert isinstance(encoder, SpectralEncoder)  # what `build` of this kind gives
    return with_fast_log_mel(encoder) if form.fast else encoder


def _field(config: EncoderConfig) -> int:
    return config.field_samples


def _hop(config: EncoderConfig) -> int:
    return config.hop_samples


ENCODERS = {
    e.name: e
    for e in (
        EncoderKind("wavlm", TransformersEncoder, _deployed, _field, _hop),
        EncoderKind("wav2vec2", TransformersEncoder, _deployed, _field, _hop),
        # computes what wav2vec 2.0 does
        EncoderKind("hubert", TransformersEncoder, _deployed, _field, _hop),
        EncoderKind(
            "spectral",
            SpectralEncoder,
            _spectral,
            lambda _: WINDOW_SAMPLES,
            lambda _: 4 * HOP_SAMPLES,
            computes_tables=True,
        ),
    )
}


def is_known(kind: str) -> bool:
    """Whether `find_encoder` finds it."""
    return kind in ENCODERS or is_speech_encoder(kind)


def find_encoder(kind: str) -> EncoderKind:
    """What there is to know about a kind of encoder.

    Args:
        kind: of an `EncoderConfig`, which has checked it.
    """
    if kind in ENCODERS:
        return ENCODERS[kind]
    return EncoderKind(
        kind, TransformersEncoder, _as_written, _field, _hop, max_batch=1, computes_tables=True,
        quantizes=False,
    )  # fmt: skip
