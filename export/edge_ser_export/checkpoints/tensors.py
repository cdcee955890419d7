"""From a checkpoint's tensors to a model: every tensor has its place, every place its tensor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.encoders import find_encoder
from edge_ser_export.models.joint import JointModel

_SHOWN = 6  # names listed in an error
_NAME_SHOWN = 120  # characters of each
# Names of weight normalisation's two tensors: before torch had parametrizations, and since.
_WEIGHT_NORM = (
    ("weight_g", "parametrizations.weight.original0"),
    ("weight_v", "parametrizations.weight.original1"),
)


def build_and_fill(
    config: ModelConfig, tensors: dict[str, Tensor], source: Path, prefixes: Mapping[str, str]
) -> JointModel:
    """A model with every tensor of a checkpoint in its place.

    Args:
        config: of the model.
        tensors: by their names in the checkpoint.
        source: named in errors.
        prefixes: how names begin in the checkpoint -> how they begin in the model.

    Returns:
        the model, in evaluation mode, without gradients.

    Raises:
        CheckpointError: tensors that are missing, unexpected, misshapen, not finite, or there
            twice, by their names in the checkpoint.
    """
    model = _empty_model(config, source)
    expected = model.state_dict()
    placed = _place(tensors, expected, source, prefixes)
    _check_fit(placed, tensors, model, source, prefixes)
    if find_encoder(config.encoder.kind).computes_tables:
        model = JointModel(config)  # they are in no checkpoint, and now its sizes are known to be
    model.load_state_dict({k: tensors[v].float() for k, v in placed.items()}, assign=True)
    return model.eval().requires_grad_(False)


def _empty_model(config: ModelConfig, source: Path) -> JointModel:
    """A model without memory or initialisation, as every tensor comes from the checkpoint."""
    try:
        with torch.device("meta"):
            return JointModel(config)
    except Exception as error:  # Transformers' modules raise whatever sizes lead them to
        raise CheckpointError(
            source,
            expected=f"sizes that a {config.encoder.kind} model can be built of",
            found=f"{' '.join(str(error).split()):.200}",
        ) from error


def _place(
    tensors: dict[str, Tensor],
    expected: dict[str, Tensor],
    source: Path,
    prefixes: Mapping[str, str],
) -> dict[str, str]:
    """Place in the model -> name in the checkpoint, of all tensors that have a place."""
    placed: dict[str, str] = {}
    for name in tensors:
        place = _weight_norm_name(_renamed(name, prefixes), expected)
        if place in placed:
            raise CheckpointError(
                source,
                expected="one tensor for each place in the model",
                found=f"{placed[place]} and {name}, two spellings of the same",
                advice="remove the one that the model was not trained with",
            )
        if place in expected:
            placed[place] = name
    return placed


def _check_fit(
    placed: dict[str, str],
    tensors: dict[str, Tensor],
    model: JointModel,
    source: Path,
    prefixes: Mapping[str, str],
) -> None:
    expected = model.state_dict()
    old = any(name.endswith(".weight_v") for name in tensors)
    missing = [_name_in_file(p, prefixes, old) for p in expected if p not in placed]
    unexpected = set(tensors) - set(placed.values())
    wrong = [
        f"{placed[p]} {list(tensors[placed[p]].shape)} instead of {list(v.shape)}"
        for p, v in expected.items()
        if p in placed and tensors[placed[p]].shape != v.shape
    ]
    problems = [
        f"{len(names)} {what}: {_listed(names)}"
        for what, names in (
            ("missing", sorted(missing)),
            ("unexpected", sorted(unexpected)),
            ("misshapen", wrong),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            source,
            expected=f"the {len(expected)} tensors of a {model.config.encoder.kind} model with"
            f" {model.config.pooling} pooling",
            found="; ".join(problems),
        )
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise CheckpointError(source, expected="finite floats", found=f"others in {name}")


def _listed(names: list[str]) -> str:
    listed = ", ".join(name[:_NAME_SHOWN] for name in names[:_SHOWN])
    return f"{listed}, ..." if len(names) > _SHOWN else listed


def _weight_norm_name(name: str, expected: dict[str, Tensor]) -> str:
    """Old names of weight normalisation for new ones, or the reverse, as the model has them."""
    for pair in _WEIGHT_NORM:
        for have, want in (pair, pair[::-1]):
            if name.endswith("." + have) and name not in expected:
                return name.removesuffix(have) + want
    return name


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    """Name in the model; "" for a name that begins like none of them."""
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return ""


def _name_in_file(place: str, prefixes: Mapping[str, str], old_weight_norm: bool) -> str:
    """The reverse of both, for what the checkpoint does not have."""
    name = next(
        (old + place.removeprefix(new) for old, new in prefixes.items() if place.startswith(new)),
        place,
    )
    for old, new in _WEIGHT_NORM:
        if old_weight_norm and name.endswith("." + new):
            return name.removesuffix(new) + old
    return name
