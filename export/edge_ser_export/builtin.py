"""Checkpoints and clips that a user without any can begin with.

They are files of a package of their own, `edge-ser-export-data`, which a device does not carry and
whoever brings checkpoints and speech can do without: it is looked for when it is needed.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from edge_ser.bundle.bundle import is_bundle
from edge_ser.errors import CheckpointError, MissingExtraError, MissingPathError, did_you_mean
from edge_ser.host.packages import is_installed
from edge_ser.install import pip_extra
from edge_ser_export.checkpoints.first_look import refuse_at_sight

CHECKPOINT_NAMES = ("spectral", "wavlm-tiny")
_PACKAGE = "edge_ser_export_data"
# As docs/model-card.md has it.
_TRAINED_ON = (
    "synthetic speech, which no person spoke, from a corpus of 14,200 clips (13.1 h) by "
    "espeak-ng, and by flite through WORLD, that this project's corpus script makes"
)


def find_checkpoint(source: str | Path) -> Path:
    """Path of a checkpoint: of one of `CHECKPOINT_NAMES`, or the path that was given.

    Raises:
        MissingExtraError: it is one of the names, and the package with the files is missing.
    """
    if str(source) not in CHECKPOINT_NAMES:
        return Path(source)
    folder = _folder(f"the checkpoint {source}", "checkpoints", "give the path of another, or")
    return folder / f"{source}.safetensors"


def trained_on(source: str | Path) -> str | None:
    """Speech that a checkpoint learnt from, in words; None where it is not one of ours."""
    return _TRAINED_ON if str(source) in CHECKPOINT_NAMES else None


def existing_checkpoint(source: str | Path, epoch: str | None = None) -> Path:
    """Path of a checkpoint, as `find_checkpoint` gives it, where there may be one.

    Args:
        source: path or name.
        epoch: of a run directory; see `first_look.find_run_files`.

    Raises:
        MissingPathError: nothing is there.
        CheckpointError: what is there is no checkpoint at first sight.
        MissingExtraError: see `find_checkpoint`.
    """
    path = find_checkpoint(source)
    if not path.exists():
        raise MissingPathError(
            path,
            expected=f"a checkpoint, or one of {', '.join(CHECKPOINT_NAMES)}",
            found="no such path",
            advice=did_you_mean(str(source), CHECKPOINT_NAMES),
        )
    if not path.is_dir() and not path.is_file():
        raise CheckpointError(path, expected="a file or a directory", found="a pipe or device")
    if is_bundle(path):
        raise CheckpointError(
            path,
            expected="a checkpoint",
            found="a bundle, which is what an export makes of one",
            advice="give the checkpoint that it was made from, or run the bundle: edge-ser predict "
            f"{path}",
        )
    refuse_at_sight(path, epoch)
    return path


def installed_checkpoints() -> dict[str, Path]:
    """Built-in checkpoints by name; empty where the package with the files is missing."""
    try:
        return {name: find_checkpoint(name) for name in CHECKPOINT_NAMES}
    except MissingExtraError:
        return {}


def default_calibration_samples() -> Path:
    """Folder of sixteen synthetic clips, two voices in eight octants, with `samples.csv`.

    Raises:
        MissingExtraError: the package with the files is missing.
    """
    return _folder("the built-in calibration clips", "calibration", "give --calibration DIR, or")


def installed_clips() -> list[Path]:
    """The clips themselves; none where the package with the files is missing."""
    try:
        return sorted(default_calibration_samples().glob("*.flac"))
    except MissingExtraError:
        return []


def _folder(feature: str, name: str, instead: str) -> Path:
    try:
        package = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != _PACKAGE:
            raise
        # the extra first: with it alone, checkpoints and speech of the user's own are enough
        first = "" if is_installed("torch") else f"`{pip_extra('export')}`, then "
        second = "`pip install ./export/edge_ser_export_data` in edge-ser's source tree"
        raise MissingExtraError(
            feature,
            _PACKAGE,
            "",
            advice=f"{instead} run {first}{second}",
        ) from error
    return Path(str(package.__file__)).parent / name
