"""A bundle that is one .zip: unpacked, because runtimes map weights from real files."""

from __future__ import annotations

import errno
import lzma
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from edge_ser import scratch
from edge_ser.bundle.files import MANIFEST, SIGNATURE, altered, outermost_manifest, safe_name
from edge_ser.bundle.foreign import no_bundle
from edge_ser.bundle.limits import (
    MAX_SIGNATURE_BYTES,
    MAX_ZIP_ENTRIES,
    MAX_ZIP_RATIO,
    MIN_ZIP_ROOM_BYTES,
    check_at_most,
    read_manifest_bytes,
)
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

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


class Unpacked(NamedTuple):
    """What was unpacked.

    Attributes:
        folder: temporary; whoever unpacks removes it, see `scratch.remove`.
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
        raise no_bundle(path, "a bundle (a directory or .zip)", "another file")
    try:
        folder = scratch.new_folder()
    except OSError as error:
        raise _no_place(path, error) from error
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack_into(folder, archive, path)
    except BaseException as error:
        scratch.remove(folder)
        if isinstance(error, EdgeSerError) or not isinstance(error, _DAMAGED):
            raise
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise _no_place(path, error) from error
        raise BundleError(path, expected="a sound zip file", found=str(error)) from error


def _no_place(path: Path, error: OSError) -> BundleError:
    """What to say where the zip cannot be unpacked."""
    with zipfile.ZipFile(path) as archive:
        megabytes = math.ceil(sum(i.file_size for i in archive.infolist()) / 1e6)
    return BundleError(
        path,
        expected=f"{megabytes} MB of room to unpack it, in {_temporary_place()}",
        found=(error.strerror or str(error)).lower(),
        advice="set TMPDIR to another place, or unpack it once and give the directory",
    )


def _temporary_place() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # there is none that can be written
        return "a folder for temporary files"


def _unpack_into(folder: Path, archive: zipfile.ZipFile, path: Path) -> Unpacked:
    check_at_most(len(archive.infolist()), MAX_ZIP_ENTRIES, "entries", path)
    # an entry may have no name, which `is_dir` does not bear
    members = [i for i in archive.infolist() if not i.filename.endswith("/")]
    outermost = outermost_manifest(i.filename for i in members)
    if outermost is None:
        raise BundleError(path, expected=f"a {MANIFEST} inside", found="none")
    prefix = outermost[: -len(MANIFEST)]
    with archive.open(outermost) as file:
        text = read_manifest_bytes(file, f"{path}: {MANIFEST}")
    manifest = Manifest.from_json(text, f"{path}: {MANIFEST}")
    room = max(MAX_ZIP_RATIO * path.stat().st_size, MIN_ZIP_ROOM_BYTES)
    check_at_most(
        sum(f.bytes for f in manifest.files), room, "bytes unpacked, of a .zip of its size", path
    )
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
    if prefix + SIGNATURE in archive.namelist():
        with archive.open(prefix + SIGNATURE) as file:  # what is longer is refused as it is read
            (folder / SIGNATURE).write_bytes(file.read(MAX_SIGNATURE_BYTES + 1))
    return Unpacked(folder, manifest, text)
