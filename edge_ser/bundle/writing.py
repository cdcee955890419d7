"""Writing a bundle: all of it or nothing."""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_ser.bundle.documents.write import write_documents
from edge_ser.bundle.files import DOCUMENTS, DRAFT, MANIFEST, SIGNATURE, outermost_manifest
from edge_ser.bundle.limits import read_manifest_bytes
from edge_ser.bundle.manifest import Manifest, file_entry
from edge_ser.bundle.replacing import put_back, put_in_place
from edge_ser.errors import BundleError, UsageError
from edge_ser.scratch import is_scratch, new_folder, remove, remove_forgotten


def check_new_bundle(path: Path) -> None:
    """Refuse a place that no bundle can be written to, before the work that would fill it.

    Raises:
        UsageError: `path` exists and is not a bundle, or nothing can be made in its folder.
    """
    if os.path.lexists(path):
        _check_replaceable(path)
    folder = path.parent
    try:
        while not folder.exists():
            folder = folder.parent
        # only trying tells: rights, read-only and virtual file systems, names that are too long
        remove(new_folder(beside=folder / path.name))
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

    An existing bundle at `path` is replaced in one step where the system can; anything else there
    is left alone. What a killed run left beside it is removed. Until the block has ended, what it
    has sealed does not open as a bundle, whoever moves it and wherever to.

    Raises:
        UsageError: see `check_new_bundle`.
    """
    check_new_bundle(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    put_back(path)
    work = new_folder(beside=path)
    try:
        yield work
        # it has 0700, which would follow the bundle to where others must read it
        work.chmod(0o755)
        with contextlib.suppress(FileNotFoundError):  # not sealed, but copied whole
            (work / DRAFT).rename(work / MANIFEST)
        put_in_place(work, path)
    finally:
        remove(work)


def _check_replaceable(path: Path) -> None:
    """Refuse to replace what is no bundle of ours, or holds files that no bundle brought.

    Raises:
        UsageError: saying what lies there.
    """
    listed = _listed_files(path)
    if listed is None:
        raise UsageError(
            path, expected="a new directory", found="something else there", advice="choose -o"
        )
    if not path.is_dir():
        return
    remove_forgotten(beside=path / SIGNATURE)  # of a `sign` that was killed
    present = {p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir()}
    if foreign := sorted(present - listed - {MANIFEST, SIGNATURE}):
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UsageError(
            path,
            expected="a new directory, or a bundle with nothing else in it",
            found=f"a bundle beside {foreign[0]}{more}",
            advice="move what is yours out of it, or choose another -o",
        )


def is_bundle_of_ours(path: Path) -> bool:
    """Whether a directory or a file is a bundle that an export made, sound or not."""
    return _listed_files(path) is not None


def _listed_files(path: Path) -> set[str] | None:
    """What the manifest there lists; None where there is no manifest of ours."""
    try:
        if path.is_dir():
            with (path / MANIFEST).open("rb") as file:
                text = read_manifest_bytes(file, path)
        else:
            with zipfile.ZipFile(path) as archive:
                name = outermost_manifest(archive.namelist())
                if name is None:
                    return None
                with archive.open(name) as member:
                    text = read_manifest_bytes(member, path)
        data = json.loads(text)
        if not isinstance(data, dict) or not {"schema", "graph", "files"} <= set(data):
            return None
        return {str(entry["path"]) for entry in data["files"]}
    except (
        OSError, ValueError, TypeError, KeyError, RuntimeError, EOFError,
        struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, BundleError,
    ):  # fmt: skip
        return None


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write documents and manifest of `folder`, whose other files are complete.

    A signature is not listed: it is made of the finished manifest. In a folder of `new_bundle` the
    manifest has another name until the bundle is in its place.

    Returns:
        the manifest, which lists all files.

    Raises:
        BundleError: evidence, proof or the reference of the scores, which the documents tell,
            are damaged.
    """
    made_here = (MANIFEST, DRAFT, SIGNATURE, *DOCUMENTS)
    files = [
        file_entry(folder, path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in made_here
    ]
    files += write_documents(folder, manifest, files)
    manifest = replace(manifest, files=tuple(sorted(files, key=lambda entry: entry.path)))
    name = DRAFT if is_scratch(folder) else MANIFEST
    (folder / name).write_text(manifest.to_json(), encoding="utf-8")
    return manifest
