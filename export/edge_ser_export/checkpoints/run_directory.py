"""Run directories of two training codes: one state dict for each module.

EmoSphere-SER's, and that of the MSP-Podcast challenge baseline from which it grew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.files import CONFIG, folder_name, hash_files, read_json
from edge_ser_export.checkpoints.first_look import STATISTICS, find_run_files
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

# Regions of the authors' finer grids, which count one extra for the neutral centre.
_GRIDS = {8: (90, 90), 19: (60, 60), 33: (45, 45), 73: (30, 30)}


def load_run(path: Path, epoch: str | None, neutral_radius: float | None) -> Checkpoint:
    """Load the parts of one epoch.

    Args:
        path: of the directory.
        epoch: `best`, `final`, or a number; if None, what the training code calls its best: `best`
            of EmoSphere-SER, `final` of the challenge baseline.
        neutral_radius: of the neutral region, where the region head has one.

    Raises:
        UsageError: a radius for regions without a neutral one, or for a run without regions.
        CheckpointError: a part is missing, unsafe, or of another architecture.
    """
    run = find_run_files(path, epoch)
    files, challenge = run.parts, run.challenge
    statistics = load_statistics(path / STATISTICS)
    refuse_other_normalization(path, {})
    tensors = {part: load_state_dict(file) for part, file in files.items()}
    encoder, notes = _encoder(path, tensors["ssl"], files["ssl"])
    base = ModelConfig(encoder=encoder, mean=statistics[0], std=statistics[1])
    if challenge:
        if neutral_radius is not None:
            which = "the regions of this run, which has no head for them, have"
            raise _no_neutral_region(which, neutral_radius, path)
        config = _challenge_config(base, tensors["ser"], files["ser"])
    else:
        config = _emosphere_config(base, tensors, files, neutral_radius)
        if config.region_count != 8:
            notes.append("regions numbered by polar angle, then azimuth, the neutral one last")
    named = {f"{files[p].name}: {k}": v for p, part in tensors.items() for k, v in part.items()}
    prefixes = {f"{files[part].name}: ": place for part, place in run.prefixes.items()}
    described = [f for f in (path / CONFIG,) if f.is_file()]
    return Checkpoint(
        model=build_and_fill(config, named, path, prefixes),
        kind="msp-run" if challenge else "emosphere-run",
        name=f"{'msp-baseline' if challenge else 'emosphere'}-{folder_name(path)}",
        sha256=hash_files([*files.values(), path / STATISTICS, *described]),
        notes=tuple(notes),
        epoch=run.epoch,
    )


def _challenge_config(base: ModelConfig, head: dict[str, Tensor], file: Path) -> ModelConfig:
    width, layers, outputs = head_sizes(head, file)
    check_outputs(outputs, file)
    return replace(
        base,
        family="msp-baseline",
        pooling="attentive-statistics",
        head_dim=width,
        head_layers=layers,
        region_count=0,
    )


def _emosphere_config(
    base: ModelConfig,
    tensors: dict[str, dict[str, Tensor]],
    files: dict[str, Path],
    neutral_radius: float | None,
) -> ModelConfig:
    width, layers, outputs = head_sizes(tensors["dim_ser"], files["dim_ser"])
    check_outputs(outputs, files["dim_ser"])
    _, _, regions = head_sizes(tensors["sev_ser"], files["sev_ser"])
    azimuth, polar = _grid(regions, neutral_radius, files["sev_ser"])
    return replace(
        base,
        pooling_dim=pooling_width(tensors["pool"], files["pool"]),
        head_dim=width,
        head_layers=layers,
        region_count=regions,
        azimuth_step_degrees=azimuth,
        polar_step_degrees=polar,
        neutral_radius=neutral_radius,
    )


def _grid(regions: int, neutral_radius: float | None, file: Path) -> tuple[int, int]:
    """Azimuth and polar step, in degrees, of a region head's partition."""
    if regions not in _GRIDS:
        raise CheckpointError(file, expected=f"one of {list(_GRIDS)} regions", found=f"{regions}")
    if regions == 8 and neutral_radius is not None:
        raise _no_neutral_region("the 8 regions of this run have", neutral_radius, file.parent)
    if regions != 8 and neutral_radius is None:
        raise CheckpointError(
            file,
            expected="the radius of the neutral region that its labels were made with",
            found=f"{regions} regions and no radius",
            advice="give --neutral-radius",
        )
    return _GRIDS[regions]


def _no_neutral_region(which: str, radius: float, path: Path) -> UsageError:
    return UsageError(
        "--neutral-radius",
        expected=f"none, as {which} no neutral one among them",
        found=f"{radius} for {path.name}",
        advice="drop --neutral-radius",
    )


def _encoder(path: Path, tensors: dict[str, Tensor], file: Path) -> tuple[EncoderConfig, list[str]]:
    described = path / CONFIG
    if not described.is_file():
        return infer_encoder(tensors, file)
    config = encoder_config(read_json(described), str(described))
    # training-time masking is known by its parameter, whatever the configuration says
    masked = "masked_spec_embed" in tensors
    return replace(config, mask_time_prob=0.05 if masked else 0.0), []
