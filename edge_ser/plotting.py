"""Where a picture may be written, for every command that draws one."""

from __future__ import annotations

from pathlib import Path

from edge_ser.errors import UsageError
from edge_ser.libraries import import_library

_SUFFIXES = (".png", ".svg")


def check_plot_path(path: Path, command: str) -> None:
    """Refuse a picture that cannot be written, before anything is measured.

    Args:
        path: of the picture.
        command: that draws it, such as "edge-ser bench".

    Raises:
        UsageError: neither PNG nor SVG, or no such directory.
        LibraryError: matplotlib is not installed, or does not load.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError("--plot", expected="a file that ends in .png or .svg", found=path.name)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(path, expected="a file in an existing directory", found="none such")
    import_library("matplotlib", f"{command} --plot", extra="export")
