"""What a checkpoint's path tells before anything of it is read: this takes no torch.

Importing torch takes longer than all of it, and a path that is mistyped is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.adapter_files import find_adapter, is_adapted
from edge_ser_export.checkpoints.file_kind import foreign, foreign_folder
from edge_ser_export.checkpoints.files import (
    CONFIG,
    TENSORS,
    WEIGHTS,
    find_weights,
    has_weights,
    refuse_adapters,
)

STATISTICS = "train_norm_stat.pkl"
# Part of a run -> how the names of its tensors begin in the model.
_EMOSPHERE = {
    "ssl": "encoder.model.",
    "pool": "pooling.",
    "dim_ser": "vad_head.",
    "sev_ser": "region_head.",
}
_CHALLENGE = {"ssl": "encoder.model.", "pool": "pooling.", "ser": "vad_head."}
_SHOWN = 6  # names listed in an error


@dataclass(frozen=True)
class RunFiles:
    """The files of one epoch of a run directory.

    Attributes:
        epoch: its name.
        challenge: whether the challenge baseline was trained, which has no regions.
        parts: of the model, by name; all are there.
        prefixes: of each part, how the names of its tensors begin in the model.
    """

    epoch: str
    challenge: bool
    parts: dict[str, Path]
    prefixes: Mapping[str, str]


def is_run_directory(path: Path) -> bool:
    """Whether parts of a run lie there."""
    return any(p.stem.endswith(("_ssl", "_pool", "_ser")) for p in path.glob("*.pt"))


def find_run_files(path: Path, epoch: str | None) -> RunFiles:
    """The files of an epoch.

    Args:
        path: of the directory.
        epoch: `best`, `final`, or a number; if None, what the training code calls its best: `best`
            of EmoSphere-SER, `final` of the challenge baseline.

    Raises:
        CheckpointError: no run directory, no such epoch, or a part is missing.
    """
    heads = {p.stem for p in path.glob("*_ser.pt")}
    challenge = bool(heads) and not any(h.endswith(("_dim_ser", "_sev_ser")) for h in heads)
    prefixes = _CHALLENGE if challenge else _EMOSPHERE
    epoch = ("final" if challenge else "best") if epoch is None else epoch
    files = {part: path / f"{epoch}_{part}.pt" for part in prefixes}
    _check_files(path, epoch, files)
    return RunFiles(epoch, challenge, files, prefixes)


def refuse_at_sight(path: Path, epoch: str | None = None) -> None:
    """Refuse what is no checkpoint by its name, its files or its first bytes.

    Args:
        path: of a file or a directory that is there.
        epoch: of a run directory; see `find_run_files`.

    Raises:
        CheckpointError: saying what it is.
    """
    if path.is_dir():
        if is_adapted(path):
            find_adapter(path)
            return
        refuse_adapters(path)
        refuse_frameworks(path)
        if is_run_directory(path) or not (path / CONFIG).is_file():
            find_run_files(path, epoch)
        else:
            find_weights(path)
        return
    beside = (path.parent / CONFIG).is_file()
    if beside and (path.name in (CONFIG, *WEIGHTS) or path.suffix in TENSORS):
        return  # of a published model, whose directory says what it is
    kind, advice = foreign(path)
    if kind:
        expected = "a safetensors file" if path.suffix == ".safetensors" else "a PyTorch checkpoint"
        raise CheckpointError(path, expected=expected, found=kind, advice=advice)


def refuse_frameworks(path: Path) -> None:
    """Say which framework's a directory is that has no weights that are read.

    Raises:
        CheckpointError: one that is known and cannot be loaded.
    """
    if not path.is_dir() or has_weights(path) or is_run_directory(path):
        return
    kind, advice = foreign_folder(path)
    if kind:
        raise CheckpointError(
            path, expected="a checkpoint of a known kind", found=kind, advice=advice
        )


def _check_files(path: Path, epoch: str, files: dict[str, Path]) -> None:
    if not is_run_directory(path):
        here = ", ".join(sorted(p.name for p in path.iterdir())[:_SHOWN]) or "nothing"
        raise CheckpointError(
            path,
            expected="a run directory (best_ssl.pt, best_pool.pt, best_dim_ser.pt, best_sev_ser.pt,"
            " train_norm_stat.pkl) or a published model (config.json and weights)",
            found=here,
        )
    if not any(f.is_file() for f in files.values()):
        names = [(f.name, f"_{part}.pt") for part in files for f in path.glob(f"*_{part}.pt")]
        epochs = sorted({n.removesuffix(ending) for n, ending in names}, key=lambda e: (len(e), e))
        # the last one where nothing says which was the best
        other = next((e for e in ("best", "final") if e in epochs), epochs[-1])
        raise CheckpointError(
            path,
            expected=f"epoch {epoch}",
            found=f"epochs {', '.join(epochs)}",
            advice=f"give --epoch {other}",
        )
    missing = [p.name for p in (*files.values(), path / STATISTICS) if not p.is_file()]
    if missing:
        raise CheckpointError(
            path,
            expected=f"all {'five' if len(files) == 4 else 'four'} files of a run",
            found=f"no {', '.join(missing)}",
            advice="copy them from the training machine; without them answers would be random",
        )
