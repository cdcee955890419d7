"""Writing a bundle's documents, before the manifest that lists them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.bom import bill_of_materials
from edge_ser.bundle.documents.card import model_card
from edge_ser.bundle.documents.transparency import transparency_note
from edge_ser.bundle.files import BOM, CARD, TRANSPARENCY
from edge_ser.bundle.manifest import FileEntry, Manifest, file_entry
from edge_ser.bundle.parity_record import read_parity_record
from edge_ser.bundle.score_reference import recorded_reference


def write_documents(
    folder: Path, manifest: Manifest, files: Sequence[FileEntry]
) -> list[FileEntry]:
    """Write `files.DOCUMENTS`: the same for the same bundle, whoever writes them.

    Args:
        folder: of the bundle.
        manifest: of it; what it lists is not used.
        files: every other file of the bundle besides the manifest.

    Returns:
        the documents, as the manifest lists files.

    Raises:
        BundleError: evidence, proof or the reference of the scores are damaged.
    """
    bundle = Bundle(folder, replace(manifest, files=tuple(files)))
    record = read_parity_record(bundle)
    written = [
        _write(folder, CARD, model_card(bundle.manifest, record, recorded_reference(bundle))),
        _write(folder, TRANSPARENCY, transparency_note(manifest, record)),
    ]
    listed = sorted([*files, *written], key=lambda entry: entry.path)
    return [*written, _write(folder, BOM, bill_of_materials(manifest, record, listed))]


def _write(folder: Path, name: str, text: str) -> FileEntry:
    path = folder / name
    # what was there may be the file of another bundle, too, under another name
    path.unlink(missing_ok=True)
    path.write_bytes(text.encode())
    return file_entry(folder, path)
