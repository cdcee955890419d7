"""What tests of bundles share: their fixtures' types, and the content of a directory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ser.bundle.files import MANIFEST, SIGNATURE
from edge_ser.bundle.manifest import Manifest, file_entry

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
ZipBundle = Callable[..., Path]
TinyBundle = Callable[..., Path]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def seal_as_is(folder: Path, manifest: Manifest) -> Manifest:
    """As somebody would who changes files and their hashes, and nothing that tells of them."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    unlisted = (MANIFEST, SIGNATURE)
    files = tuple(file_entry(folder, p) for p in paths if p.name not in unlisted)
    manifest = replace(manifest, files=files)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())
