"""A bundle that is one .zip: unpacked, because runtimes map weights from real files."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_ser.bundle.files import MANIFEST, altered, safe_name
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import BundleError, EdgeSerError

# What `zipfile` and the decompressors behind it raise for a damaged or hostile file.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    OSError,
)


class Unpacked(NamedTuple):
    """What was unpacked.

    Attributes:
        folder: temporary; whoever unpacks removes it, see `remove`.
        manifest: checked.
        text: of the manifest, byte for byte.
    """

    folder: Path
    manifest: Manifest
    text: bytes


def unpack(path: Path) -> Unpacked:
    """Unpack what the manifest lists, and no more of it than it says.

    Raises:
        BundleError: no zip file, a damaged one, or one without a manifest that can be read.
    """
    if not zipfile.is_zipfile(path):
        raise BundleError(path, expected="a bundle (a directory or .zip)", found="another file")
    folder = Path(tempfile.mkdtemp(prefix="edge-ser-"))
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack_into(folder, archive, path)
    except _DAMAGED as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, EdgeSerError):
            raise
        raise BundleError(path, expected="a sound zip file", found=str(error)) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack_into(folder: Path, archive: zipfile.ZipFile, path: Path) -> Unpacked:
    members = [i for i in archive.infolist() if not i.is_dir()]
    manifests = [i for i in members if PurePosixPath(i.filename).name == MANIFEST]
    outermost = min(manifests, key=lambda i: i.filename.count("/"), default=None)
    if outermost is None:
        raise BundleError(path, expected=f"a {MANIFEST} inside", found="none")
    prefix, text = outermost.filename[: -len(MANIFEST)], archive.read(outermost)
    manifest = Manifest.from_json(text, f"{path}: {MANIFEST}")
    for entry in manifest.files:
        target = folder / safe_name(entry.path, path)
        try:
            info = archive.getinfo(prefix + entry.path)
        except KeyError:
            continue  # whoever verifies the bundle names what is missing
        target.parent.mkdir(parents=True, exist_ok=True)
        if info.file_size != entry.bytes:
            raise altered(f"{path}: {entry.path}", entry.bytes, info.file_size)
        with archive.open(info) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
    (folder / MANIFEST).write_bytes(text)
    return Unpacked(folder, manifest, text)


def remove(folder: Path, pid: int) -> None:
    """Remove what process `pid` unpacked; one forked from it has a copy of the intention only."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
