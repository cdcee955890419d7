"""Writing a bundle: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from edge_ser.bundle.files import MANIFEST, sha256
from edge_ser.bundle.manifest import FileEntry, Manifest
from edge_ser.errors import UsageError


def check_new_bundle(path: Path) -> None:
    """Refuse a place that no bundle can be written to, before the work that would fill it.

    Raises:
        UsageError: `path` exists and is not a bundle, or nothing can be made in its folder.
    """
    if os.path.lexists(path) and not _may_replace(path):
        raise UsageError(
            path, expected="a new directory", found="something else there", advice="choose -o"
        )
    folder = path.parent
    try:
        while not folder.exists():
            folder = folder.parent
        # only trying tells: rights, read-only and virtual file systems, names that are too long
        os.rmdir(tempfile.mkdtemp(prefix=f".{path.name}.", dir=folder))
    except OSError as error:
        raise UsageError(
            path,
            expected="a folder that can be written",
            found=f"{folder}, where nothing can be made ({error.strerror or error})",
            advice="make it writable, or choose another place",
        ) from error


@contextmanager
def new_bundle(path: Path) -> Iterator[Path]:
    """A temporary sibling to write into, which becomes `path` when the block ends well.

    An existing bundle at `path` is replaced; anything else there is left alone.

    Raises:
        UsageError: see `check_new_bundle`.
    """
    check_new_bundle(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield work
        # mkdtemp gives 0700, which would follow the bundle to where others must read it
        work.chmod(0o755)
        if path.exists():
            old = work.with_name(work.name + ".old")
            os.replace(path, old)
            os.replace(work, path)
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        else:
            os.replace(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _may_replace(path: Path) -> bool:
    """Whether what is there is a bundle of ours, as far as its manifest says."""
    try:
        if path.is_dir():
            text = (path / MANIFEST).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(
                    next(n for n in archive.namelist() if PurePosixPath(n).name == MANIFEST)
                )
        data = json.loads(text)
        return isinstance(data, dict) and {"schema", "graph", "files"} <= set(data)
    except (OSError, ValueError, StopIteration, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """List all files of `folder` in the manifest and write it; returns the complete manifest."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = tuple(
        FileEntry(p.relative_to(folder).as_posix(), p.stat().st_size, sha256(p)) for p in paths
    )
    manifest = replace(manifest, files=files)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest
