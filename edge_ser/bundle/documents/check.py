"""Whether a bundle's bill of materials is one, and about these files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import BOM
from edge_ser.bundle.limits import MAX_DOCUMENT_BYTES, check_at_most
from edge_ser.errors import BundleError
from edge_ser.typed_json import Reader

# The kind of hash that files are told apart by, as the format calls it.
HASH = "SHA-256"
_ADVICE = "do not use it, or let its maker export it again"
# what the format has besides, and later versions add, is nothing to decide by
_READER = Reader(BundleError, _ADVICE, strict=False)


@dataclass(frozen=True)
class _Hash:
    alg: str
    content: str


@dataclass(frozen=True)
class _Part:
    type: str
    name: str
    hashes: tuple[_Hash, ...] = ()


@dataclass(frozen=True)
class _Model:
    type: Literal["machine-learning-model"]
    name: str
    components: tuple[_Part, ...]


@dataclass(frozen=True)
class _Metadata:
    component: _Model


@dataclass(frozen=True)
class _Bom:
    bomFormat: Literal["CycloneDX"]  # noqa: N815 - as the format has it
    specVersion: Literal["1.6"]  # noqa: N815
    version: int
    metadata: _Metadata
    components: tuple[_Part, ...]


def check_bom(bundle: Bundle) -> None:
    """Compare the bill of materials with what opening the bundle has checked.

    Bundles of earlier versions have none, which is no fault.

    Raises:
        BundleError: it is no CycloneDX 1.6 of a model, or names other files or hashes.
    """
    hashes = {entry.path: entry.sha256 for entry in bundle.manifest.files}
    if BOM not in hashes:
        return
    del hashes[BOM]  # none lists itself
    where = str(bundle.root / BOM)
    text = read_document(bundle, BOM)
    model = _READER.read(_Bom, _READER.parse(text, where), where).metadata.component
    if model.name != bundle.manifest.name:
        raise BundleError(
            where, expected=f"the model {bundle.manifest.name}", found=model.name, advice=_ADVICE
        )
    _compare(hashes, model.components, where)


def _compare(hashes: Mapping[str, str], parts: tuple[_Part, ...], where: str) -> None:
    """Refuse other files than the manifest's, or other hashes."""
    listed = [(part.name, part.hashes) for part in parts if part.type == "file"]
    digests_of = {name: {h.content for h in given if h.alg == HASH} for name, given in listed}
    for name, sha256 in hashes.items():
        if digests_of.get(name) != {sha256}:
            found = (
                ", ".join(f"{digest:.12}..." for digest in sorted(digests_of.get(name, ())))
                or "none"
            )
            raise BundleError(
                where, expected=f"{name} with sha256 {sha256:.12}...", found=found, advice=_ADVICE
            )
    others = sorted(set(digests_of) - set(hashes))
    if others or len(listed) > len(digests_of):
        raise BundleError(
            where,
            expected="each file of the bundle once",
            found=", ".join(others) or "one of them twice",
            advice=_ADVICE,
        )


def read_document(bundle: Bundle, name: str) -> bytes:
    """One of `files.DOCUMENTS`, as it was when the bundle was opened.

    Raises:
        BundleError: the bundle has none, or a longer one than any is.
    """
    size = next((f.bytes for f in bundle.manifest.files if f.path == name), None)
    if size is None:
        raise BundleError(
            bundle.root,
            expected=name,
            found="none, as in bundles of earlier versions",
            advice="export again",
        )
    check_at_most(size, MAX_DOCUMENT_BYTES, "bytes", bundle.root / name)
    return bundle.read(name)
