"""Checkpoints and clips that a user without any can begin with.

They are files of a package of their own, `edge-ser-export-data`, which a device does not carry and
whoever brings checkpoints and speech can do without: it is looked for when it is needed.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from edge_ser.errors import MissingExtraError

CHECKPOINT_NAMES = ("spectral", "wavlm-tiny")
_PACKAGE = "edge_ser_export_data"


def find_checkpoint(source: str | Path) -> Path:
    """Path of a checkpoint: of one of `CHECKPOINT_NAMES`, or the path that was given.

    Raises:
        MissingExtraError: it is one of the names, and the package with the files is missing.
    """
    if str(source) not in CHECKPOINT_NAMES:
        return Path(source)
    folder = _folder(f"the checkpoint {source}", "checkpoints", "give the path of another, or")
    return folder / f"{source}.safetensors"


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
        raise MissingExtraError(
            feature,
            _PACKAGE,
            "",
            advice=f"{instead} run `pip install ./export/edge_ser_export_data` in edge-ser's "
            "source tree",
        ) from error
    return Path(str(package.__file__)).parent / name
