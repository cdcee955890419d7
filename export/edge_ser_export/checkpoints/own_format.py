"""The project's own checkpoint format: one `.safetensors` or `.pt` file with its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from edge_ser.bundle.files import sha256
from edge_ser.errors import CheckpointError
from edge_ser.replacement import replacement
from edge_ser_export.bounds import shown
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.dense import check_dense
from edge_ser_export.checkpoints.file_kind import foreign
from edge_ser_export.checkpoints.files import folder_name
from edge_ser_export.checkpoints.safe_pickle import load_torch
from edge_ser_export.checkpoints.tensors import build_and_fill
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.joint import JointModel

FORMAT = "edge-ser"
VERSION = 1


def save_checkpoint(model: JointModel, path: Path, half: bool = False) -> None:
    """Write a model with its configuration; the file appears when it is complete.

    Args:
        model: the joint model.
        path: `.safetensors` (configuration in its metadata) or `.pt`.
        half: store float16, half the size; compute stays float32 after loading.

    Raises:
        CheckpointError: another suffix, or a weight outside float16's range.
    """
    dtype = torch.float16 if half else torch.float32
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    broken = [k for k, v in state.items() if not torch.isfinite(v).all()]
    if broken:
        raise CheckpointError(path, expected="finite weights", found=f"{broken[0]} is not finite")
    if path.suffix not in (".safetensors", ".pt"):
        raise CheckpointError(path, expected="a name in .safetensors or .pt", found=path.suffix)
    config = model.config.to_dict()
    with replacement(path) as partial:
        if path.suffix == ".safetensors":
            header = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config)}
            save_file(state, partial, metadata=header)
            _sort_metadata(partial)
            partial.chmod(0o644)  # safetensors writes for the owner alone
        else:
            content = {"format": FORMAT, "version": VERSION, "config": config, "state_dict": state}
            torch.save(content, partial)


def _sort_metadata(path: Path) -> None:
    """Order a header's metadata by name: safetensors writes it in another order every time.

    Without this, the same weights would have another hash after every save.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:  # as it is unless safetensors takes to another spelling of JSON
            file.seek(8)
            file.write(text.ljust(size))


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except Exception as error:  # safetensors raises its own type, which it does not export stably
        kind, advice = foreign(path)
        raise CheckpointError(
            path,
            expected="a safetensors file",
            found=kind or str(error),
            advice=advice or "copy the file again",
        ) from error
    check_dense(tensors, path)
    return metadata, tensors


def is_own(path: Path) -> bool:
    """Whether a safetensors file holds edge-ser's configuration; False for what is none."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except Exception:  # as in read_safetensors, which says in words what the file is
        return False


def load_own(path: Path) -> Checkpoint:
    """A checkpoint as `save_checkpoint` writes it.

    Raises:
        CheckpointError: another file, a damaged one, or one of a newer version.
    """
    header: dict[str, Any]
    tensors: dict[str, Tensor]
    if path.suffix == ".safetensors":
        header, tensors = read_safetensors(path)
    else:
        content = load_torch(path)
        header = content if isinstance(content, dict) else {}
        tensors = header.get("state_dict", {})
    if not isinstance(header.get("format"), str) or header["format"] != FORMAT:
        raise CheckpointError(
            path,
            expected="an edge-ser checkpoint, or the directory of a known kind",
            found="a file without edge-ser's configuration",
            advice="for a state dict of the EmoSphere-SER training code give its run directory",
        )
    if not isinstance(tensors, dict) or not all(
        isinstance(k, str) and torch.is_tensor(t) for k, t in tensors.items()
    ):
        raise CheckpointError(path, expected="named tensors", found="something else")
    check_dense(tensors, path)
    config = own_config(header, str(path))
    folder = folder_name(path.parent) if path.parent.name else ""
    return Checkpoint(
        model=build_and_fill(config, tensors, path, {"": ""}),
        kind="edge-ser",
        name=f"emosphere-{folder}-{path.stem}" if folder else f"emosphere-{path.stem}",
        sha256=sha256(path),
        half=bool(tensors) and all(t.dtype == torch.float16 for t in tensors.values()),
    )


def own_config(header: dict[str, Any], source: str) -> ModelConfig:
    """Configuration out of the header of our format.

    Raises:
        CheckpointError: a newer version, or a damaged configuration.
    """
    version = header.get("version")
    if not isinstance(version, int | str) or version not in (VERSION, str(VERSION)):
        raise CheckpointError(
            source,
            expected=f"checkpoint format version {VERSION}",
            found=f"version {version if isinstance(version, str) else shown(version)}",
            advice="upgrade edge-ser",
        )
    config = header.get("config")
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                source, expected="a JSON configuration", found=str(error)
            ) from error
    return ModelConfig.from_dict(config, source)  # type: ignore[arg-type]
