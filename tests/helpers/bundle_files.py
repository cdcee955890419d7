"""What tests of bundles share: their fixtures' types, and the content of a directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
ZipBundle = Callable[..., Path]
TinyBundle = Callable[..., Path]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())
