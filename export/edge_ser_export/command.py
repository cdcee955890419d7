"""The command line of an export, spelled out of its options."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path

from edge_ser_export.checkpoints.hub import snapshot_of
from edge_ser_export.options import ExportOptions

# Options whose names on the command line are not those of the fields.
_FLAGS = {
    "calibration_split": "split",
    "half_form": "fp16-form",
    "runtimes": "runtime",
    "devices": "device",
    "profiles": "profile",
    "backend": "trt-backend",
}


def spell_command(options: ExportOptions, names_only: bool = True) -> str:
    """The command that does what some options say; what is as by default is left out.

    Args:
        options: of an export.
        names_only: name what is read without the folder it lies in, and not where the bundle goes:
            a path of the exporting machine is nobody's business on the device.
    """
    snapshot = snapshot_of(Path(options.source))
    if snapshot is None:
        words = ["edge-ser", "export", _place(Path(options.source), names_only)]
    else:
        words = ["edge-ser", "export", snapshot.repository, "--revision", snapshot.commit]
    words += ["--target", options.target]
    paths = [
        ("calibration", options.calibration),
        ("audio", options.calibration_audio),
        *(("parity-audio", path) for path in options.parity_audio),
    ]
    if not names_only:
        paths.append(("out", options.out))
    for name, path in paths:
        words += [] if path is None else [f"--{name}", _place(path, names_only)]
    default = ExportOptions(options.source, options.target)
    for name in (
        "name", "licence", "calibration_split", "epoch", "neutral_radius", "max_seconds",
        "min_speech", "short", "runtimes", "keep_failed",
    ):  # fmt: skip
        words += _flag(name, getattr(options, name), getattr(default, name))
    for kind, defaults in (
        (options.precision, default.precision),
        (options.engine, default.engine),
    ):
        for field in fields(kind):
            words += _flag(field.name, getattr(kind, field.name), getattr(defaults, field.name))
    return shlex.join(words)


def place_name(path: Path) -> str:
    """Name of a file or folder, without where it lies."""
    return path.name or path.resolve().name


def _place(path: Path, names_only: bool) -> str:
    return place_name(path) if names_only else str(path)


def _flag(field: str, value: object, default: object) -> list[str]:
    """An option with its values, or nothing where it is as by default."""
    flag = f"--{_FLAGS.get(field, field.replace('_', '-'))}"
    if value == default:
        return []
    if value is True:
        return [flag]
    values = value if isinstance(value, tuple) else (value,)
    # an option of the command line that takes several may be given several times
    return [word for one in values for word in (flag, str(one))]
