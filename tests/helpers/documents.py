"""What the documents of every sound bundle pass: the format's own schema, and the hub's reader."""

from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.check import check_bom
from edge_ser.bundle.files import BOM, CARD, DOCUMENTS

_SCHEMA = JsonStrictValidator(SchemaVersion.V1_6)


def check_schema(folder: Path) -> None:
    error = _SCHEMA.validate_str((folder / BOM).read_text())
    assert error is None, error


def check_documents(folder: Path) -> None:
    """The documents of a bundle are there, sound, and about its files."""
    bundle = Bundle.open(folder)
    assert set(DOCUMENTS) <= {entry.path for entry in bundle.manifest.files}
    check_schema(folder)
    check_bom(bundle)
    card = ModelCard((folder / CARD).read_text())
    assert bundle.manifest.target in card.data.tags
    assert card.text.startswith(f"\n# {bundle.manifest.name}")
