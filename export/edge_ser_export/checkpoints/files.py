"""The files of a checkpoint's directory."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edge_ser.bundle.files import sha256
from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import JSON_BYTES, check_bound

CONFIG = "config.json"  # of Transformers: what a model's directory says of it
# Its weights: one file, or shards with an index.
_WHOLE = ("model.safetensors", "pytorch_model.bin")
INDEX = ".index.json"
# Whole files before shards, safetensors before pickles.
WEIGHTS = (*_WHOLE, *(name + INDEX for name in _WHOLE))
# Files of tensors, whatever their name.
TENSORS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, with or without a byte order mark before it.

    Raises:
        CheckpointError: anything else.
    """
    check_bound("bytes", path.stat().st_size, JSON_BYTES, path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, expected="JSON", found=str(error)) from error
    if not isinstance(data, dict):
        raise CheckpointError(path, expected="a JSON object", found=type(data).__name__)
    return data


def refuse_adapters(folder: Path) -> None:
    """Refuse weights that are changes of others, which lie elsewhere.

    Raises:
        CheckpointError: an adapter's configuration lies in the folder.
    """
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            folder,
            expected="weights that are whole",
            found="an adapter beside its base (adapter_config.json)",
            advice="merge the adapter into the base first (peft: merge_and_unload), save that as a"
            " model of its own and give its directory",
        )


def find_weights(folder: Path) -> Path:
    """The file with a model's weights, or the index of its shards.

    Raises:
        CheckpointError: there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    logs = sorted(folder.glob("*.ckpt"))
    if len(logs) == 1:
        return logs[0]
    raise CheckpointError(
        folder,
        expected=f"{' or '.join(_WHOLE)}, or one of them in shards with its {INDEX[1:]}",
        found=f"{len(logs)} .ckpt files: give the one that you want" if logs else "neither",
    )


def has_weights(folder: Path) -> bool:
    """Whether there is something for `find_weights` in a directory with `config.json`."""
    return (folder / CONFIG).is_file() and (
        any((folder / name).is_file() for name in WEIGHTS) or any(folder.glob("*.ckpt"))
    )


def hash_files(files: list[Path]) -> str:
    """SHA-256, in hexadecimal, of the names and hashes of several files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def folder_name(folder: Path) -> str:
    """What to call a checkpoint by its folder: of a hub's cache, the repository's name.

    There `models--org--name/snapshots/<commit>` becomes `org-name`.
    """
    folder = folder.resolve()
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "-")
    return folder.name
