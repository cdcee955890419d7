"""Which packages and modules are installed, without importing them."""

from __future__ import annotations

import importlib.metadata
import importlib.util


def version(package: str) -> str:
    """Of an installed package; "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def is_installed(module: str) -> bool:
    """Whether a module of the top level can be found."""
    return importlib.util.find_spec(module) is not None
