"""Checkpoints: found out by looking, loaded safely, every tensor accounted for.

The kinds are described in `docs/checkpoints.md`. Nothing is ever left at its random
initialisation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_ser.errors import UsageError
from edge_ser_export.builtin import existing_checkpoint, installed_checkpoints
from edge_ser_export.checkpoints.adapter_files import is_adapted
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.files import CONFIG, TENSORS, WEIGHTS, refuse_adapters
from edge_ser_export.checkpoints.first_look import is_run_directory, refuse_frameworks
from edge_ser_export.checkpoints.hub import snapshot_of
from edge_ser_export.checkpoints.own_format import is_own, load_own
from edge_ser_export.checkpoints.published import load_adapted, load_published
from edge_ser_export.checkpoints.run_directory import load_run


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
    path = existing_checkpoint(source, epoch)
    weights: Path | None = None
    if _is_of_published(path):
        path, weights = path.parent, None if path.name == CONFIG else path
    adapted = is_adapted(path)
    if not adapted:
        refuse_adapters(path)
    published = adapted or ((path / CONFIG).is_file() and not is_run_directory(path))
    refuse_frameworks(path)
    if path.is_dir() and not published:
        return replace(load_run(path, epoch, neutral_radius), origin=snapshot_of(path))
    for option, value in (("--epoch", epoch), ("--neutral-radius", neutral_radius)):
        if value is not None:
            raise UsageError(
                option,
                expected="none, as only run directories of the EmoSphere-SER training code need it",
                found=f"{value} for {path.name}",
                advice=f"drop {option}, or give the run directory",
            )
    if adapted:
        return replace(load_adapted(path), origin=snapshot_of(path))
    if published:
        return replace(load_published(path, weights), origin=snapshot_of(path))
    checkpoint = load_own(path)
    if path in installed_checkpoints().values():
        return replace(checkpoint, name=f"emosphere-{path.stem}")
    return checkpoint


def _is_of_published(path: Path) -> bool:
    """Whether a file is one of a published model's, whose directory says what it is."""
    if not path.is_file() or not (path.parent / CONFIG).is_file():
        return False
    if path.name == CONFIG:
        return True
    return (path.name in WEIGHTS or path.suffix in TENSORS) and not is_own(path)
