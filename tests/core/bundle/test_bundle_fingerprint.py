"""One number for a bundle: it changes with any byte, and with nothing else."""

import hashlib
import shutil
from pathlib import Path

import pytest
from helpers.bundle_files import ZipBundle, seal_as_is

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

FILES = sorted(p.name for p in DEFAULT_BUNDLE.iterdir() if p.name != "manifest.json")


def flip_a_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_it_is_what_sha256sum_says_of_the_manifest() -> None:
    text = (DEFAULT_BUNDLE / "manifest.json").read_bytes()
    assert Bundle.open(DEFAULT_BUNDLE).fingerprint == hashlib.sha256(text).hexdigest()


def test_a_recogniser_has_it(ser: edge_ser.Recognizer) -> None:
    assert ser.bundle.fingerprint == Bundle.open(DEFAULT_BUNDLE).fingerprint


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_byte_of_any_file_changes_it(name: str, share: float, bundle_dir: Path) -> None:
    before = Bundle.open(bundle_dir)
    path = bundle_dir / name
    flip_a_bit(path, round(share * (path.stat().st_size - 1)))
    # as it is, no bundle at all; where somebody sealed it again, another one
    with pytest.raises(BundleError, match="altered"):
        Bundle.open(bundle_dir)
    seal_as_is(bundle_dir, before.manifest)
    text = (bundle_dir / "manifest.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() != before.fingerprint


def test_any_byte_of_the_manifest_changes_it(bundle_dir: Path) -> None:
    before = Bundle.open(bundle_dir).fingerprint
    path = bundle_dir / "manifest.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert Bundle.open(bundle_dir).fingerprint != before


@pytest.mark.parametrize("prefix", ["", "a/b/"])
def test_neither_place_nor_zip_changes_it(
    prefix: str, tmp_path: Path, bundle_dir: Path, zip_bundle: ZipBundle
) -> None:
    before = Bundle.open(DEFAULT_BUNDLE).fingerprint
    moved = Path(shutil.move(bundle_dir, tmp_path / "elsewhere"))
    assert Bundle.open(moved).fingerprint == before
    assert Bundle.open(zip_bundle(moved, tmp_path / "b.zip", prefix)).fingerprint == before
