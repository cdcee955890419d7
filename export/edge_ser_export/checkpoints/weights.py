"""The weights of a published model: one file, or shards with an index."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.files import INDEX, read_json
from edge_ser_export.checkpoints.own_format import read_safetensors
from edge_ser_export.checkpoints.safe_pickle import load_state_dict

_SHOWN = 4  # names listed in an error
# How the names of a model begin that another one held while it was trained: torch's parallel and
# compiled modules, Lightning's and other loops' `self.model`.
_WRAPPERS = ("module.", "model.", "_orig_mod.")


def read_weights(path: Path) -> tuple[dict[str, Tensor], list[Path]]:
    """Tensors by name, and the files that they were read from.

    Args:
        path: what `find_weights` gave.

    Raises:
        CheckpointError: damaged or unsafe, or shards that are not those of their index.
    """
    if not path.name.endswith(INDEX):
        return read_tensors(path), [path]
    shards = _shards(path)
    tensors: dict[str, Tensor] = {}
    for name, listed in shards.items():
        shard = read_tensors(path.parent / name)
        others = sorted(set(shard) ^ listed)
        if others:
            raise CheckpointError(
                path.parent / name,
                expected=f"the {len(listed)} tensors that {path.name} lists for it",
                found=f"others: {', '.join(others[:_SHOWN])}",
                advice="copy the shards and their index again, of one version",
            )
        tensors |= shard
    return tensors, [path, *(path.parent / name for name in shards)]


def unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names that they have in the model itself."""
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            return unwrapped({k.removeprefix(wrapper): v for k, v in tensors.items()})
    return tensors


def weight_files(path: Path) -> list[Path]:
    """The files with a model's tensors.

    Args:
        path: what `find_weights` gave.

    Raises:
        CheckpointError: an index that names none, or others than lie beside it.
    """
    if not path.name.endswith(INDEX):
        return [path]
    return [path.parent / name for name in _shards(path)]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of one file, by name.

    Raises:
        CheckpointError: damaged or unsafe.
    """
    return read_safetensors(path)[1] if path.suffix == ".safetensors" else load_state_dict(path)


def _shards(index: Path) -> dict[str, set[str]]:
    """Name of each shard -> names of its tensors."""
    table = read_json(index).get("weight_map")
    suffix = Path(index.name.removesuffix(INDEX)).suffix
    shards: dict[str, set[str]] = {}
    for tensor, name in table.items() if isinstance(table, dict) else ():
        # a bare name: an index must not lead out of its folder
        if not isinstance(name, str) or Path(name).name != name or Path(name).suffix != suffix:
            raise CheckpointError(
                f"{index}: weight_map",
                expected=f"names of {suffix} files beside it",
                found=f"{name!r:.60}",
            )
        shards.setdefault(name, set()).add(tensor)
    if not shards:
        raise CheckpointError(
            index, expected="a weight_map of tensors and shards", found=f"{table!r:.60}"
        )
    missing = [name for name in shards if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            index,
            expected=f"its {len(shards)} shards beside it",
            found=f"no {', '.join(missing[:_SHOWN])}",
            advice="copy them from where the model was published",
        )
    return shards
