"""The one description of a model: what `joint.py` builds and what a checkpoint stores."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from edge_ser.audio import Preprocessing
from edge_ser.emotion.decode import CATEGORY_LOGITS, REGION_LOGITS, VAD
from edge_ser.emotion.heads import Head, describe_heads
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.bounds import (
    CATEGORIES,
    CONVOLUTIONS,
    FIELD_SAMPLES,
    SIZES,
    check_bound,
    check_size,
    shown,
)

PoolingKind = Literal["style", "attentive-statistics", "mean", "sum", "max"]
HeadKind = Literal["regression", "tanh", "projected"]
NormalizationKind = Literal["corpus", "utterance"]


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder: samples in, one hidden vector per frame out.

    The field names are those of `transformers.WavLMConfig`, so that a configuration travels in
    both directions without a table. Fields that a kind does not have keep their default.
    """

    kind: str = "wavlm"  # see `encoders.find_encoder`
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: str = "layer"  # "layer", or "group" over time (base-sized models)
    do_stable_layer_norm: bool = True
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    num_buckets: int = 320  # WavLM: buckets of the relative position bias
    max_bucket_distance: int = 800  # WavLM: frames at which the buckets saturate
    layer_norm_eps: float = 1e-5
    mask_time_prob: float = 0.0  # SpecAugment, in training only; > 0 owns `masked_spec_embed`
    hidden_dropout: float = 0.1  # in training only
    weighted_layers: bool = False  # frames are a learned mean of what all layers give
    norms_last_layer: bool = True  # of these the last one, as `do_stable_layer_norm` does it
    mel_bands: int = 64  # spectral: triangular filters between 20 and 7600 Hz

    @property
    def hop_samples(self) -> int:
        """Samples between frames of the convolutional front end."""
        return math.prod(self.conv_stride)

    @property
    def field_samples(self) -> int:
        """Samples that one frame of the unpadded convolutional front end sees."""
        hops = [math.prod(self.conv_stride[:i]) for i in range(len(self.conv_stride))]
        return 1 + sum((k - 1) * hop for k, hop in zip(self.conv_kernel, hops, strict=True))


@dataclass(frozen=True)
class ModelConfig:
    """A joint model: encoder, pooling over time, attribute head, optional region head."""

    family: str = "emosphere-ser"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    pooling: PoolingKind = "style"
    pooling_dim: int = 1024  # width inside the style pooling
    pooling_heads: int = 2
    head: HeadKind = "regression"
    head_dim: int = 1024
    head_layers: int = 1
    has_dimensions: bool = True  # arousal, dominance and valence
    region_count: int = 8  # 0: the model has no region head
    categories: tuple[str, ...] = ()  # their names, in the order of the head; none: no such head
    azimuth_step_degrees: int = 90
    polar_step_degrees: int = 90
    neutral_radius: float | None = None
    normalization: NormalizationKind = "corpus"
    mean: float = 0.0  # of raw samples in [-1, 1], over the training corpus
    std: float = 1.0
    eps: float = 1e-6
    weights_licence: str = "unknown"

    def preprocessing(
        self, max_seconds: float = 12.0, short: Literal["refuse", "pad"] = "refuse"
    ) -> Preprocessing:
        """How audio is prepared for the model; 12 s are what the published models were given.

        The shortest utterance is one frame of the encoder, and no less than 25 ms.
        """
        # here, as encoders are built from what this module holds
        from edge_ser_export.models.encoders import find_encoder

        frame = find_encoder(self.encoder.kind).field(self.encoder)
        return Preprocessing(
            min_samples=max(Preprocessing.min_samples, frame),
            max_seconds=max_seconds,
            short=short,
            normalization=self.normalization,
            mean=self.mean,
            std=self.std,
            eps=self.eps,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the model gives, in its order."""
        present = {
            VAD: self.has_dimensions,
            REGION_LOGITS: self.region_count > 0,
            CATEGORY_LOGITS: bool(self.categories),
        }
        return tuple(name for name, is_there in present.items() if is_there)

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the outputs mean."""
        return describe_heads(self.outputs, self.partition, self.categories)

    @property
    def partition(self) -> Partition:
        """The regions that the head names."""
        return Partition(self.azimuth_step_degrees, self.polar_step_degrees, self.neutral_radius)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any], source: str) -> ModelConfig:
        """Read a configuration back.

        Args:
            data: what `to_dict` gave.
            source: named in the error message.

        Raises:
            CheckpointError: a field is unknown or of the wrong type.
        """
        if not isinstance(data, dict) or not isinstance(data.get("encoder"), dict):
            raise CheckpointError(
                source, expected="a configuration with an `encoder` table", found=shown(data, 80)
            )
        encoder = checked(EncoderConfig, data["encoder"], f"{source}: encoder")
        fields = {k: v for k, v in data.items() if k != "encoder"}
        return cast(ModelConfig, checked(cls, {**fields, "encoder": encoder}, source))


def checked(cls: type[Any], data: dict[str, Any], source: str) -> Any:
    """Build `EncoderConfig` or `ModelConfig` from untrusted values.

    Raises:
        CheckpointError: a field is unknown, of the wrong type, too large, or makes no sense.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(
        name if isinstance(name, str) else shown(name) for name in set(data) - set(fields)
    )
    if unknown:
        raise CheckpointError(
            source,
            expected=f"configuration fields of {cls.__name__}",
            found=f"unknown {', '.join(unknown)}"[:300],
            advice="upgrade edge-ser, or remove the field",
        )
    values: dict[str, Any] = {}
    for name, value in data.items():
        default = fields[name].default
        if name == "categories":
            values[name] = _names(value, source)
            continue
        if not _is_like(value, default):
            raise CheckpointError(source, expected=f"{name} like {default!r}", found=shown(value))
        _check_sizes(name, value, source)
        values[name] = tuple(value) if isinstance(default, tuple) else value
    config = cls(**values)
    if isinstance(config, EncoderConfig) and len(set(map(len, _convolutions(config)))) == 1:
        check_bound("samples of a frame", config.field_samples, FIELD_SAMPLES, source)
    for rule, holds in _rules(config).items():
        if not holds:
            checked_values = {
                k: v for k, v in values.items() if k != "encoder"
            }  # has rules of its own
            raise CheckpointError(source, expected=rule, found=f"{checked_values}"[:300])
    return config


def _is_like(value: object, default: object) -> bool:
    """Whether an untrusted value is of the type of a field's default."""
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(type(v) is int for v in value)
    if isinstance(default, bool | str):
        return isinstance(value, type(default))
    if isinstance(default, float):
        return _is_number(value)
    if isinstance(default, int):
        return type(value) is int
    if default is None:  # neutral_radius
        return value is None or _is_number(value)
    return True  # the encoder, which is checked by itself


def _names(value: object, source: str) -> tuple[str, ...]:
    """Names of categories."""
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise CheckpointError(source, expected="categories, a list of names", found=shown(value))
    check_bound("entries of categories", len(value), CATEGORIES, source)
    return tuple(value)


def _is_number(value: object) -> bool:
    """A float, or an integer that is one exactly."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= 2**53)


def _check_sizes(name: str, value: object, source: str) -> None:
    """Refuse what is too large to be looked at any further."""
    if isinstance(value, list | tuple):
        check_bound(f"entries of {name}", len(value), CONVOLUTIONS, source)
    if name in SIZES:
        for size in value if isinstance(value, list | tuple) else (value,):
            check_size(name, cast(int, size), source)


def _convolutions(config: EncoderConfig) -> tuple[tuple[int, ...], ...]:
    return config.conv_dim, config.conv_kernel, config.conv_stride


def _region_rules(config: ModelConfig) -> dict[str, bool]:
    """The region head must name the regions of the partition, all of them and no others."""
    try:
        count = len(config.partition.regions)
    except UsageError as error:
        return {f"a partition with {error.expected} as {error.subject}": False}
    rule = f"region_count 0, or {count} as the partition has regions"
    return {rule: config.region_count in (0, count)}


def _rules(config: EncoderConfig | ModelConfig) -> dict[str, bool]:
    """What must hold for a model to be built and to answer, in words."""
    if isinstance(config, ModelConfig):
        return {
            f"pooling one of {get_args(PoolingKind)}": config.pooling in get_args(PoolingKind),
            f"head one of {get_args(HeadKind)}": config.head in get_args(HeadKind),
            f"normalization one of {get_args(NormalizationKind)}": config.normalization
            in get_args(NormalizationKind),
            "finite mean and std, std > 0": math.isfinite(config.mean)
            and math.isfinite(config.std)
            and config.std > 0,
            "eps >= 0": math.isfinite(config.eps) and config.eps >= 0,
            "positive sizes": min(config.pooling_dim, config.head_dim, config.head_layers) > 0,
            "pooling_heads that divide pooling_dim": config.pooling_heads > 0
            and config.pooling_dim % config.pooling_heads == 0,
            "dimensions or categories": config.has_dimensions or bool(config.categories),
            "no region head without dimensions": config.has_dimensions or config.region_count == 0,
            "two categories or more, each with a name of its own": not config.categories
            or (
                len(config.categories) > 1
                and all(config.categories)
                and len(set(config.categories)) == len(config.categories)
            ),
            **_region_rules(config),
        }
    # here, as encoders are built from what this module holds
    from edge_ser_export.models.encoders import ENCODERS, is_known

    sizes = (
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
        config.num_conv_pos_embeddings,
        config.num_conv_pos_embedding_groups,
        config.num_buckets,
        config.max_bucket_distance,
        config.mel_bands,
        *config.conv_dim,
        *config.conv_kernel,
        *config.conv_stride,
    )
    positive = min(sizes) > 0
    return {
        f"kind one of {', '.join(ENCODERS)}, or of Transformers' speech encoders": is_known(
            config.kind
        ),
        "feat_extract_norm layer or group": config.feat_extract_norm in ("layer", "group"),
        "positive sizes": positive,
        "as many conv_dim as conv_kernel and conv_stride": len(config.conv_dim)
        == len(config.conv_kernel)
        == len(config.conv_stride)
        > 0,
        "num_attention_heads that divide hidden_size": positive
        and config.hidden_size % config.num_attention_heads == 0,
        "num_conv_pos_embedding_groups that divide hidden_size": positive
        and config.hidden_size % config.num_conv_pos_embedding_groups == 0,
        "layer_norm_eps > 0": 0 < config.layer_norm_eps < math.inf,
        "probabilities in 0..1": 0 <= config.hidden_dropout <= 1
        and 0 <= config.mask_time_prob <= 1,
    }
