"""The files of a bundle: their names, which names are safe, and their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from edge_ser.errors import BundleError

MANIFEST = "manifest.json"
# What it is called until the bundle is proved: nothing opens as a bundle without its manifest.
DRAFT = "manifest.json.draft"
GOLDEN = "golden.npz"
PARITY = "parity.json"
SENSITIVITY = "sensitivity.json"
SCORES = "scores.json"
# What the bundle tells people and other programs of itself, made of the rest.
CARD = "MODEL_CARD.md"
BOM = "bom.cdx.json"
TRANSPARENCY = "TRANSPARENCY.md"
DOCUMENTS = (CARD, TRANSPARENCY, BOM)
# Who made the bundle: beside its files, and not one of those that the manifest lists.
SIGNATURE = "model.sig"
_HASH_BLOCK_BYTES = 1 << 20


def outermost_manifest(names: Iterable[str]) -> str | None:
    """Of the files in a zip, the manifest that it is a bundle by; None where there is none."""
    manifests = [name for name in names if PurePosixPath(name).name == MANIFEST]
    return min(manifests, key=lambda name: name.count("/"), default=None)


def sha256(*paths: Path) -> str:
    """Hash of files one after the other, read in blocks."""
    with ExitStack() as stack:
        return sha256_of(*(stack.enter_context(path.open("rb")) for path in paths))


def sha256_of(*files: BinaryIO) -> str:
    """Hash of opened files one after the other, each from where it stands."""
    digest = hashlib.sha256()
    for file in files:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def graph_sha256(path: Path) -> str:
    """Hash of an ONNX file followed by its weights, if they lie in a file `.data` beside it."""
    beside = path.with_name(f"{path.name}.data")
    return sha256(path, *([beside] if beside.is_file() else []))


def fingerprint_of(manifest: bytes) -> str:
    """The one number that stands for a bundle: the SHA-256 of its manifest's bytes.

    The manifest lists size and SHA-256 of every other file, and opening a bundle checks them: of an
    opened bundle it changes with every byte, and `sha256sum manifest.json` repeats it.
    """
    return hashlib.sha256(manifest).hexdigest()


def safe_name(name: str, source: object) -> str:
    """A name that a bundle gives one of its files, which must lie inside it.

    Raises:
        BundleError: it lies elsewhere, or is none; says `source`.
    """
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if unsafe or not path.parts:
        raise BundleError(
            source, expected="paths inside the bundle", found=repr(name), advice="do not use it"
        )
    return name


def altered(path: object, expected: int, found: int) -> BundleError:
    """The error about a file of another size, in bytes, than the manifest says."""
    return BundleError(
        path,
        expected=f"{expected} bytes",
        found=str(found),
        advice="the file was truncated or altered; copy the bundle again",
    )
