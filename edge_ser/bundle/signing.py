"""Putting a signature into a bundle, which is otherwise left as it is."""

from __future__ import annotations

import copy
import shutil
import zipfile
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import MANIFEST, SIGNATURE, outermost_manifest
from edge_ser.bundle.keys import PrivateKey
from edge_ser.bundle.signature import make_signature
from edge_ser.bundle.trust import UNASKED
from edge_ser.errors import UsageError
from edge_ser.replacement import replacement


def sign_bundle(path: Path, key: PrivateKey) -> Bundle:
    """Sign a bundle; an earlier signature is replaced.

    Args:
        path: of a directory or a .zip.
        key: that signs.

    Returns:
        the bundle that was signed.

    Raises:
        BundleError, MissingPathError: see `Bundle.open`: only a whole bundle is signed.
        UsageError: nothing can be written there.
    """
    bundle = Bundle.open(path, UNASKED)
    content = make_signature(bundle.manifest, bundle.fingerprint, key)
    target = path if path.is_file() else path / SIGNATURE
    try:
        beside = path if path.is_file() else path / MANIFEST
        with replacement(target, beside.stat().st_mode & 0o777) as work:
            if path.is_file():
                _write_zip(path, content, work)
            else:
                work.write_bytes(content)
    except OSError as error:
        raise UsageError(
            target, expected="a place that can be written", found=error.strerror or str(error)
        ) from error
    return bundle


def _write_zip(path: Path, signature: bytes, to: Path) -> None:
    """The archive with the signature beside its manifest, and everything else as it was."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as out:
        manifest = outermost_manifest(source.namelist())
        assert manifest is not None  # it was opened as a bundle
        name = manifest[: -len(MANIFEST)] + SIGNATURE
        for info in source.infolist():
            if info.filename == name:
                continue
            # a copy, as writing changes it
            with source.open(info) as old, out.open(copy.copy(info), "w", force_zip64=True) as new:
                shutil.copyfileobj(old, new)
        out.writestr(name, signature)
