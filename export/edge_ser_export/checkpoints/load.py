"""Checkpoints: found out by looking, loaded safely, every tensor accounted for.

Four kinds are known (see `docs/checkpoints.md`): a run directory of the EmoSphere-SER training
code, the MSP-Podcast challenge baseline, audEERING's wav2vec 2.0 dimensional model, and our own.
Nothing is ever left at its random initialisation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_ser.bundle.bundle import sha256
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import CheckpointError, MissingPathError, UsageError
from edge_ser_export.builtin import CHECKPOINT_NAMES, find_checkpoint, installed_checkpoints
from edge_ser_export.checkpoints.own_format import FORMAT, own_config, read_safetensors
from edge_ser_export.checkpoints.safe_pickle import (
    check_statistics,
    load_state_dict,
    load_statistics,
    load_torch,
)
from edge_ser_export.checkpoints.sizes import (
    encoder_config,
    head_sizes,
    infer_encoder,
    pooling_width,
)
from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.joint import JointModel

# Regions of the authors' finer grids, which count one extra for the neutral centre.
_GRIDS = {8: (90, 90), 19: (60, 60), 33: (45, 45), 73: (30, 30)}
_SHOWN = 6  # names listed in an error
DEFAULT_EPOCH = "best"  # of a run directory


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: the joint model, in evaluation mode.
        kind: which of the known kinds.
        name: for people and file names.
        sha256: of the file, or of the names and hashes of all files used.
        notes: what was assumed because the checkpoint does not say.
        half: the weights are stored in 16 bits.
    """

    model: JointModel
    kind: str
    name: str
    sha256: str
    notes: tuple[str, ...]
    half: bool

    @property
    def config(self) -> ModelConfig:
        """Of the model."""
        return self.model.config

    def release(self) -> None:
        """Give the weights' memory back; the model cannot be used after it.

        Deleting the model is not enough: the exporter's caches hold on to parameters.
        """
        for parameter in self.model.parameters():
            parameter.data = torch.empty(0)


def load_checkpoint(
    source: str | Path, epoch: str | None = None, neutral_radius: float | None = None
) -> Checkpoint:
    """Load any known kind.

    Args:
        source: a path, or the name of a checkpoint inside this package.
        epoch: of a run directory: `best` (if None), `final`, or a number.
        neutral_radius: of the neutral region, for run directories whose region head has one.

    Raises:
        MissingPathError: no such path.
        MissingExtraError: a built-in one, and the package that holds it is missing.
        UsageError: an epoch or a radius for a checkpoint that is no run directory, or a radius
            for one whose regions have no neutral one.
        CheckpointError: of no known kind, unsafe, incomplete, or of another architecture.
    """
    path = find_checkpoint(source)
    if not path.exists():
        raise MissingPathError(
            path,
            expected=f"a checkpoint, or one of {', '.join(CHECKPOINT_NAMES)}",
            found="no such path",
        )
    parts = [p for p in path.glob("*.pt") if p.stem.endswith(("_ssl", "_pool", "_ser"))]
    published = (path / "config.json").is_file() and not parts
    if not path.is_file() and not published:
        return _load_run(path, DEFAULT_EPOCH if epoch is None else epoch, neutral_radius)
    for option, value in (("--epoch", epoch), ("--neutral-radius", neutral_radius)):
        if value is not None:
            raise UsageError(
                option,
                expected="none, as only run directories of the EmoSphere-SER training code need it",
                found=f"{value} for {path.name}",
                advice=f"drop {option}, or give the run directory",
            )
    return _load_published(path) if published else _load_own(path)


# --- ours


def _load_own(path: Path) -> Checkpoint:
    header: dict[str, Any]
    tensors: dict[str, Tensor]
    if path.suffix == ".safetensors":
        header, tensors = read_safetensors(path)
    else:
        content = load_torch(path)
        header = content if isinstance(content, dict) else {}
        tensors = header.get("state_dict", {})
    if header.get("format") != FORMAT:
        raise CheckpointError(
            path,
            expected="an edge-ser checkpoint, or the directory of a known kind",
            found="a file without edge-ser's configuration",
            advice="for a state dict of the EmoSphere-SER training code give its run directory",
        )
    if not isinstance(tensors, dict) or not all(torch.is_tensor(t) for t in tensors.values()):
        raise CheckpointError(path, expected="named tensors", found="something else")
    config = own_config(header, str(path))
    half = bool(tensors) and all(t.dtype == torch.float16 for t in tensors.values())
    name = (
        path.stem
        if path in installed_checkpoints().values()
        else f"{path.parent.name}-{path.stem}".strip("-")
    )
    # the spectral encoder computes its tables as it is built; they are in no checkpoint
    build = JointModel if config.encoder.kind == "spectral" else _meta
    model = _fill(build(config), tensors, path)
    return Checkpoint(model, "edge-ser", f"emosphere-{name}", sha256(path), (), half)


# --- the EmoSphere-SER training code


def _load_run(path: Path, epoch: str, neutral_radius: float | None) -> Checkpoint:
    parts = {part: path / f"{epoch}_{part}.pt" for part in ("ssl", "pool", "dim_ser", "sev_ser")}
    statistics = path / "train_norm_stat.pkl"
    if not any(path.glob("*_ssl.pt")) and not any(f.is_file() for f in parts.values()):
        here = ", ".join(sorted(p.name for p in path.iterdir())[:_SHOWN]) or "nothing"
        raise CheckpointError(
            path,
            expected="a run directory (best_ssl.pt, best_pool.pt, best_dim_ser.pt, best_sev_ser.pt,"
            " train_norm_stat.pkl) or a published model (config.json and weights)",
            found=here,
        )
    if not any(f.is_file() for f in parts.values()):
        epochs = sorted(p.name.removesuffix("_ssl.pt") for p in path.glob("*_ssl.pt"))
        raise CheckpointError(path, expected=f"epoch {epoch}", found=f"epochs {', '.join(epochs)}")
    files = [*parts.values(), statistics]
    missing = [p.name for p in files if not p.is_file()]
    if missing:
        raise CheckpointError(
            path,
            expected="all five files of a run",
            found=f"no {', '.join(missing)}",
            advice="copy them from the training machine; without them answers would be random",
        )
    mean, std = load_statistics(statistics)
    tensors = {part: load_state_dict(file) for part, file in parts.items()}
    encoder, notes = _run_encoder(path, tensors["ssl"], parts["ssl"])
    width, layers, outputs = head_sizes(tensors["dim_ser"], parts["dim_ser"])
    _, _, regions = head_sizes(tensors["sev_ser"], parts["sev_ser"])
    if outputs != 3:
        raise CheckpointError(
            parts["dim_ser"], expected="3 outputs (arousal, dominance, valence)", found=f"{outputs}"
        )
    if regions not in _GRIDS:
        raise CheckpointError(
            parts["sev_ser"], expected=f"one of {list(_GRIDS)} regions", found=f"{regions}"
        )
    if regions == 8 and neutral_radius is not None:
        raise UsageError(
            "--neutral-radius",
            expected="none, as the 8 regions of this run have no neutral one among them",
            found=f"{neutral_radius} for {path.name}",
            advice="drop --neutral-radius",
        )
    if regions != 8 and neutral_radius is None:
        raise CheckpointError(
            parts["sev_ser"],
            expected="the radius of the neutral region that its labels were made with",
            found=f"{regions} regions and no radius",
            advice="give --neutral-radius",
        )
    azimuth, polar = _GRIDS[regions]
    if regions != 8:
        notes.append("regions numbered by polar angle, then azimuth, the neutral one last")
    config = ModelConfig(
        encoder=encoder,
        pooling_dim=pooling_width(tensors["pool"], parts["pool"]),
        head_dim=width,
        head_layers=layers,
        region_count=regions,
        azimuth_step_degrees=azimuth,
        polar_step_degrees=polar,
        neutral_radius=neutral_radius,
        mean=mean,
        std=std,
    )
    prefixes = {
        "ssl": "encoder.model.",
        "pool": "pooling.",
        "dim_ser": "vad_head.",
        "sev_ser": "region_head.",
    }
    state = {prefixes[p] + k: v for p, part in tensors.items() for k, v in part.items()}
    model = _fill(_meta(config), state, path)
    return Checkpoint(
        model,
        "emosphere-run",
        f"emosphere-{path.resolve().name}",
        _hash_files(files),
        tuple(notes),
        False,
    )


def _run_encoder(
    path: Path, tensors: dict[str, Tensor], file: Path
) -> tuple[EncoderConfig, list[str]]:
    described = path / "config.json"
    if not described.is_file():
        return infer_encoder(tensors, file)
    config = encoder_config(_read_json(described), str(described))
    # training-time masking is known by its parameter, whatever the configuration says
    masked = "masked_spec_embed" in tensors
    return replace(config, mask_time_prob=0.05 if masked else 0.0), []


# --- published models: a directory with config.json


def _load_published(path: Path) -> Checkpoint:
    config = _read_json(path / "config.json")
    kind = config.get("model_type")
    loaders: dict[str, Callable[..., tuple[ModelConfig, dict[str, str], list[str]]]] = {
        "ser": _baseline,
        "wav2vec2": _audeering,
    }
    if kind not in loaders:
        raise CheckpointError(
            path / "config.json",
            expected="model_type ser (MSP-Podcast challenge baseline) or wav2vec2 (audEERING)",
            found=f"model_type {kind}",
        )
    weights = [path / n for n in ("model.safetensors", "pytorch_model.bin")]
    file = next((w for w in weights if w.is_file()), None)
    if file is None:
        raise CheckpointError(
            path, expected="model.safetensors or pytorch_model.bin", found="neither"
        )
    safe = file.suffix == ".safetensors"
    tensors = read_safetensors(file)[1] if safe else load_state_dict(file)
    joint, prefixes, notes = loaders[str(kind)](config, tensors, path, file)
    state = {_renamed(k, prefixes): v for k, v in tensors.items()}
    model = _fill(_meta(joint), state, file)
    return Checkpoint(
        model,
        str(kind),
        f"{joint.family}-{path.resolve().name}",
        _hash_files([path / "config.json", file]),
        tuple(notes),
        all(t.dtype == torch.float16 for t in tensors.values()),
    )


def _baseline(
    config: dict[str, Any], tensors: dict[str, Tensor], path: Path, file: Path
) -> tuple[ModelConfig, dict[str, str], list[str]]:
    ssl = {
        k.removeprefix("ssl_model."): v for k, v in tensors.items() if k.startswith("ssl_model.")
    }
    encoder, notes = infer_encoder(ssl, file)
    head = {
        k.removeprefix("ser_model."): v for k, v in tensors.items() if k.startswith("ser_model.")
    }
    width, layers, outputs = head_sizes(head, file)
    if outputs != 3:
        raise CheckpointError(
            file, expected="3 outputs (arousal, dominance, valence)", found=f"{outputs}"
        )
    mean, std = config.get("mean"), config.get("std")
    check_statistics(path / "config.json", mean, std)
    joint = ModelConfig(
        family="msp-baseline",
        encoder=encoder,
        pooling="attentive-statistics",
        head_dim=width,
        head_layers=layers,
        region_count=0,
        mean=float(config["mean"]),
        std=float(config["std"]),
        weights_licence="MIT",
    )
    prefixes = {
        "ssl_model.": "encoder.model.",
        "pool_model.": "pooling.",
        "ser_model.": "vad_head.",
    }
    return joint, prefixes, notes


def _audeering(
    config: dict[str, Any], tensors: dict[str, Tensor], path: Path, file: Path
) -> tuple[ModelConfig, dict[str, str], list[str]]:
    encoder = encoder_config(config, str(path / "config.json"))
    labels = config.get("id2label")
    names = [str(n).lower() for n in labels.values()] if isinstance(labels, dict) else []
    told = [n for n in names if not n.startswith("label_")]  # Transformers' own placeholders
    if told and names != list(DIMENSIONS):
        raise CheckpointError(
            path / "config.json", expected=f"id2label {list(DIMENSIONS)}", found=f"{names}"
        )
    masked = "wav2vec2.masked_spec_embed" in tensors
    joint = ModelConfig(
        family="wav2vec2-dimensional",
        encoder=replace(encoder, mask_time_prob=0.05 if masked else 0.0),
        pooling="mean",
        head="tanh",
        region_count=0,
        normalization="utterance",
        eps=1e-7,  # of Transformers' feature extractor
        weights_licence="CC-BY-NC-SA-4.0",
    )
    return joint, {"wav2vec2.": "encoder.model.", "classifier.": "vad_head."}, []


# --- shared


def _meta(config: ModelConfig) -> JointModel:
    """A model without memory or initialisation: every tensor will come from the checkpoint."""
    with torch.device("meta"):
        return JointModel(config)


def _fill(model: JointModel, tensors: dict[str, Tensor], source: Path) -> JointModel:
    """Put every tensor into the model, or refuse with the list of what does not fit."""
    expected = model.state_dict()
    tensors = {_weight_norm_name(k, expected): v for k, v in tensors.items()}
    missing = sorted(set(expected) - set(tensors))
    unexpected = sorted(set(tensors) - set(expected))
    wrong = [
        f"{k} {list(tensors[k].shape)} instead of {list(v.shape)}"
        for k, v in expected.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", wrong))
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
    model.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)


def _weight_norm_name(name: str, expected: dict[str, Tensor]) -> str:
    """Old names of weight normalisation for new ones, or the reverse, as the model has them."""
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        modern = f"parametrizations.weight.{new}"
        for have, want in ((old, modern), (modern, old)):
            if name.endswith("." + have) and name not in expected:
                return name.removesuffix(have) + want
    return name


def _renamed(name: str, prefixes: dict[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(path, expected="JSON", found=str(error)) from error
    if not isinstance(data, dict):
        raise CheckpointError(path, expected="a JSON object", found=type(data).__name__)
    return data
