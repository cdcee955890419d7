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
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            # names of modules, as PEFT writes them; no expression of a stranger's is run
            if re.search(rf"(^|\.){re.escape(pattern)}$", module):
                alpha = value
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
    for name, only in _FIXED.items():
        value = config.get(name, only)
        if value != only and (value or only):
            raise CheckpointError(
                folder / ADAPTER_CONFIG,
                expected=f"{name} {only}",
                found=shown(value, 40),
                advice="merge the adapter into the base first (peft: merge_and_unload), save that"
                " as a model of its own and give its directory",
            )
    weights = next(folder / name for name in _WEIGHTS if (folder / name).is_file())
    return AdapterFiles(weights, config, _find_base(folder, config))


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
