"""Adapters of PEFT: which files they are, and where the model lies that they change."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import shown
from edge_ser_export.checkpoints.files import CONFIG, has_weights, read_json
from edge_ser_export.checkpoints.hub import cached

ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Fields that change the arithmetic, with the only value that is merged here.
_FIXED = {"peft_type": "LORA", "use_dora": False, "fan_in_fan_out": False, "lora_bias": False}
# Ways of starting that leave the base as it was; others (PiSSA, OLoRA, CorDA, LoftQ) take their
# start out of its weights, and the adapter then fits no base that anybody else has.
_INITIAL = (None, True, False, "gaussian", "eva", "orthogonal")
# A name of a module, or of its end. PEFT takes an expression here, which would be run.
_MODULE = re.compile(r"[A-Za-z0-9_.]+")
_MERGE_FIRST = (
    "merge the adapter into the base first (peft: merge_and_unload), save that as a model of its"
    " own and give its directory"
)


@dataclass(frozen=True)
class AdapterFiles:
    """A low-rank adapter, and the model that it changes.

    Attributes:
        weights: of the adapter.
        config: content of its configuration.
        base: directory of the model.
    """

    weights: Path
    config: dict[str, Any]
    base: Path

    def scale(self, module: str, rank: int) -> float:
        """What the product of both matrices of a module is multiplied with.

        Raises:
            CheckpointError: no number says so.
        """
        alpha = self.config.get("lora_alpha", 8)
        patterns = self.config.get("alpha_pattern") or {}
        for pattern, value in patterns.items():
            if module == pattern or module.endswith(f".{pattern}"):
                alpha = value
                break  # as in PEFT, the first that fits
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
            raise CheckpointError(
                self.weights.parent / ADAPTER_CONFIG,
                expected="lora_alpha, a number above 0",
                found=shown(alpha, 40),
            )
        return float(alpha) / (math.sqrt(rank) if self.config.get("use_rslora") else rank)


def is_adapted(folder: Path) -> bool:
    """Whether an adapter lies there with its weights."""
    return (folder / ADAPTER_CONFIG).is_file() and any((folder / n).is_file() for n in _WEIGHTS)


def find_adapter(folder: Path) -> AdapterFiles:
    """The files of an adapter and of its base.

    The base is what lies beside it, or what `base_model_name_or_path` names: a directory, seen from
    here or from the adapter's, or a repository in the hub's cache.

    Raises:
        CheckpointError: of another kind, or its base is nowhere.
    """
    config = read_json(folder / ADAPTER_CONFIG)
    _check_config(config, folder / ADAPTER_CONFIG)
    weights = next(folder / name for name in _WEIGHTS if (folder / name).is_file())
    return AdapterFiles(weights, config, _find_base(folder, config))


def _check_config(config: dict[str, Any], source: Path) -> None:
    """Refuse what would be another sum than base and product."""
    for name, only in _FIXED.items():
        value = config.get(name, only)
        if value != only and (value or only):
            raise _not_merged(source, f"{name} {only}", value)
    initial = config.get("init_lora_weights")
    if initial not in _INITIAL:
        expected = "init_lora_weights that leaves the base as it is"
        raise _not_merged(source, expected, initial)
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise _not_merged(source, "alpha_pattern, a table of modules", patterns)
    for pattern in patterns:
        if not _MODULE.fullmatch(pattern):
            raise _not_merged(source, "names of modules in alpha_pattern", pattern)


def _not_merged(source: Path, expected: str, found: object) -> CheckpointError:
    return CheckpointError(source, expected=expected, found=shown(found, 40), advice=_MERGE_FIRST)


def _find_base(folder: Path, config: dict[str, Any]) -> Path:
    name = config.get("base_model_name_or_path")
    if has_weights(folder):
        return folder
    if isinstance(name, str) and name:
        for place in (Path(name), folder / name):
            if (place / CONFIG).is_file():
                return place
        revision = config.get("revision")
        snapshot = cached(name, revision if isinstance(revision, str) else "main")
        if snapshot is not None and (snapshot / CONFIG).is_file():
            return snapshot
    raise CheckpointError(
        folder,
        expected=f"the model that the adapter changes, {shown(name, 80)}",
        found="an adapter without its base: it is no directory here, nor in the hub's cache",
        advice="put config.json and weights of the base beside the adapter, or fetch it:"
        " huggingface-cli download NAME",
    )
