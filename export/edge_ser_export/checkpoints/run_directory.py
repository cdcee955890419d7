"""Run directories of the EmoSphere-SER training code: one state dict for each module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.files import folder_name, hash_files, read_json
from edge_ser_export.checkpoints.labels import check_outputs
from edge_ser_export.checkpoints.preprocessor import refuse_other_normalization
from edge_ser_export.checkpoints.safe_pickle import load_state_dict, load_statistics
from edge_ser_export.checkpoints.sizes import (
    encoder_config,
    head_sizes,
    infer_encoder,
    pooling_width,
)
from edge_ser_export.checkpoints.tensors import build_and_fill
from edge_ser_export.models.config import EncoderConfig, ModelConfig

DEFAULT_EPOCH = "best"
STATISTICS = "train_norm_stat.pkl"
# Part of a run -> how the names of its tensors begin in the model.
_PARTS = {
    "ssl": "encoder.model.",
    "pool": "pooling.",
    "dim_ser": "vad_head.",
    "sev_ser": "region_head.",
}
# Regions of the authors' finer grids, which count one extra for the neutral centre.
_GRIDS = {8: (90, 90), 19: (60, 60), 33: (45, 45), 73: (30, 30)}
_SHOWN = 6  # names listed in an error


def is_run_directory(path: Path) -> bool:
    """Whether parts of a run lie there."""
    return any(p.stem.endswith(("_ssl", "_pool", "_ser")) for p in path.glob("*.pt"))


def load_run(path: Path, epoch: str | None, neutral_radius: float | None) -> Checkpoint:
    """Load the parts of one epoch.

    Args:
        path: of the directory.
        epoch: `best` (if None), `final`, or a number.
        neutral_radius: of the neutral region, where the region head has one.

    Raises:
        UsageError: a radius for regions without a neutral one.
        CheckpointError: a part is missing, unsafe, or of another architecture.
    """
    epoch = DEFAULT_EPOCH if epoch is None else epoch
    files = {part: path / f"{epoch}_{part}.pt" for part in _PARTS}
    _check_files(path, epoch, files)
    mean, std = load_statistics(path / STATISTICS)
    refuse_other_normalization(path, {})
    tensors = {part: load_state_dict(file) for part, file in files.items()}
    encoder, notes = _encoder(path, tensors["ssl"], files["ssl"])
    width, layers, outputs = head_sizes(tensors["dim_ser"], files["dim_ser"])
    check_outputs(outputs, files["dim_ser"])
    _, _, regions = head_sizes(tensors["sev_ser"], files["sev_ser"])
    azimuth, polar = _grid(regions, neutral_radius, files["sev_ser"])
    if regions != 8:
        notes.append("regions numbered by polar angle, then azimuth, the neutral one last")
    config = ModelConfig(
        encoder=encoder,
        pooling_dim=pooling_width(tensors["pool"], files["pool"]),
        head_dim=width,
        head_layers=layers,
        region_count=regions,
        azimuth_step_degrees=azimuth,
        polar_step_degrees=polar,
        neutral_radius=neutral_radius,
        mean=mean,
        std=std,
    )
    named = {f"{files[p].name}: {k}": v for p, part in tensors.items() for k, v in part.items()}
    prefixes = {f"{files[part].name}: ": place for part, place in _PARTS.items()}
    return Checkpoint(
        model=build_and_fill(config, named, path, prefixes),
        kind="emosphere-run",
        name=f"emosphere-{folder_name(path)}",
        sha256=hash_files([*files.values(), path / STATISTICS]),
        notes=tuple(notes),
        epoch=epoch,
    )


def _check_files(path: Path, epoch: str, files: dict[str, Path]) -> None:
    if not any(path.glob("*_ssl.pt")) and not any(f.is_file() for f in files.values()):
        here = ", ".join(sorted(p.name for p in path.iterdir())[:_SHOWN]) or "nothing"
        raise CheckpointError(
            path,
            expected="a run directory (best_ssl.pt, best_pool.pt, best_dim_ser.pt, best_sev_ser.pt,"
            " train_norm_stat.pkl) or a published model (config.json and weights)",
            found=here,
        )
    if not any(f.is_file() for f in files.values()):
        epochs = sorted(p.name.removesuffix("_ssl.pt") for p in path.glob("*_ssl.pt"))
        raise CheckpointError(path, expected=f"epoch {epoch}", found=f"epochs {', '.join(epochs)}")
    missing = [p.name for p in (*files.values(), path / STATISTICS) if not p.is_file()]
    if missing:
        raise CheckpointError(
            path,
            expected="all five files of a run",
            found=f"no {', '.join(missing)}",
            advice="copy them from the training machine; without them answers would be random",
        )


def _grid(regions: int, neutral_radius: float | None, file: Path) -> tuple[int, int]:
    """Azimuth and polar step, in degrees, of a region head's partition."""
    if regions not in _GRIDS:
        raise CheckpointError(file, expected=f"one of {list(_GRIDS)} regions", found=f"{regions}")
    if regions == 8 and neutral_radius is not None:
        raise UsageError(
            "--neutral-radius",
            expected="none, as the 8 regions of this run have no neutral one among them",
            found=f"{neutral_radius} for {file.parent.name}",
            advice="drop --neutral-radius",
        )
    if regions != 8 and neutral_radius is None:
        raise CheckpointError(
            file,
            expected="the radius of the neutral region that its labels were made with",
            found=f"{regions} regions and no radius",
            advice="give --neutral-radius",
        )
    return _GRIDS[regions]


def _encoder(path: Path, tensors: dict[str, Tensor], file: Path) -> tuple[EncoderConfig, list[str]]:
    described = path / "config.json"
    if not described.is_file():
        return infer_encoder(tensors, file)
    config = encoder_config(read_json(described), str(described))
    # training-time masking is known by its parameter, whatever the configuration says
    masked = "masked_spec_embed" in tensors
    return replace(config, mask_time_prob=0.05 if masked else 0.0), []
