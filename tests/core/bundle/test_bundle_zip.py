"""Zipped bundles: as good as directories, and harmless where they are hostile."""

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundle_files import EditManifest, TinyBundle, ZipBundle, listing, snapshot

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

# Opening


@pytest.mark.parametrize("prefix", ["", "my-bundle/", "a/b/"])
def test_a_zip_gives_what_the_directory_gives(
    prefix: str, tmp_path: Path, zip_bundle: ZipBundle, ser: edge_ser.Recognizer,
    utterances: list[Path],
) -> None:  # fmt: skip
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip", prefix)
    bundle = Bundle.open(path)
    assert bundle.manifest == ser.manifest
    assert bundle.graph_path.read_bytes() == ser.bundle.graph_path.read_bytes()
    assert bundle.golden().reference.vad.tolist() == ser.bundle.golden().reference.vad.tolist()
    assert edge_ser.load(path, threads=1)(utterances[0]) == ser(utterances[0])


def test_an_unpacked_zip_lives_as_long_as_its_bundle(
    scratch: Path, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    bundle = Bundle.open(zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip"))
    assert bundle.graph_path.is_file() and len(listing(scratch)) == 1
    del bundle
    assert listing(scratch) == []


def test_strangers_beside_the_bundle_in_a_zip_are_not_in_the_way(
    tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    # what a Mac's archiver adds, and another model's manifest one level down
    extra = [("__MACOSX/b/._manifest.json", b"\0\5\26\7"), ("b/notes/old-manifest.json", b"{}")]
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip", "b/", extra)
    assert Bundle.open(path).manifest == Bundle.open(DEFAULT_BUNDLE).manifest


def test_a_zip_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match=r"expected a manifest.json inside, found none"):
        Bundle.open(path)


def test_damage_in_a_zip_is_reported_of_the_zip(
    scratch: Path, bundle_dir: Path, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    (bundle_dir / "parity.json").unlink()
    path = zip_bundle(bundle_dir, tmp_path / "bundle.zip")
    with pytest.raises(BundleError) as caught:
        Bundle.open(path)
    message = str(caught.value)
    assert "parity.json" in message and "found none" in message
    assert str(path) in message, "the user knows the zip, not where it was unpacked"
    assert str(scratch) not in message
    assert listing(scratch) == []


# Hostile zips


def test_a_zip_that_claims_another_size_is_refused(
    scratch: Path, bundle_dir: Path, tmp_path: Path, edit_manifest: EditManifest,
    zip_bundle: ZipBundle,
) -> None:  # fmt: skip
    def shrink(m: dict[str, Any]) -> None:
        m["files"][0]["bytes"] -= 1

    edit_manifest(bundle_dir, shrink)
    with pytest.raises(BundleError, match=r"bundle.zip: .*: expected \d+ bytes, found \d+"):
        Bundle.open(zip_bundle(bundle_dir, tmp_path / "bundle.zip"))
    assert listing(scratch) == []


def test_a_zip_whose_directory_lies_about_the_size_unpacks_no_more_than_it_says(
    scratch: Path, bundle_dir: Path, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    size = (bundle_dir / "parity.json").stat().st_size
    (bundle_dir / "parity.json").write_bytes(b"\0" * 50_000_000)
    path = zip_bundle(bundle_dir, tmp_path / "bomb.zip")
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02", data.rindex(b"model.onnx"))
    assert data[start + 46 : start + 57] == b"parity.json"
    struct.pack_into("<I", data, start + 24, size)  # the uncompressed size
    path.write_bytes(data)
    with pytest.raises(BundleError):
        Bundle.open(path)
    assert listing(scratch) == []


def test_a_damaged_zip_is_refused_or_gives_the_same(
    scratch: Path, tmp_path: Path, tiny_bundle: TinyBundle, zip_bundle: ZipBundle
) -> None:
    bundle = tiny_bundle()
    good = zip_bundle(bundle, tmp_path / "good.zip").read_bytes()
    expected = snapshot(bundle)
    path = tmp_path / "damaged.zip"
    rng = np.random.default_rng(11)
    refused = 0
    for trial in range(400):
        data = bytearray(good)
        if trial % 4 == 0:
            del data[rng.integers(len(data)) :]
        else:
            for position in rng.integers(0, len(data), rng.integers(1, 4)):
                data[position] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            opened = Bundle.open(path)
        except BundleError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            for entry in opened.manifest.files:
                assert (opened.root / entry.path).read_bytes() == expected[entry.path]
            del opened
    assert refused > 250
    assert listing(scratch) == []


def test_an_encrypted_or_oddly_compressed_zip_is_refused(
    tmp_path: Path, tiny_bundle: TinyBundle, zip_bundle: ZipBundle
) -> None:
    good = zip_bundle(tiny_bundle(), tmp_path / "bundle.zip").read_bytes()
    start = good.index(b"PK\x01\x02")
    for offset, value in ((8, 1), (10, 99)):  # the flag of encryption, an unknown method
        data = bytearray(good)
        struct.pack_into("<H", data, start + offset, value)
        (tmp_path / "odd.zip").write_bytes(data)
        with pytest.raises(BundleError):
            Bundle.open(tmp_path / "odd.zip")


def test_an_entry_without_a_name_is_none_of_the_bundle(
    tiny_bundle: TinyBundle, zip_bundle: ZipBundle, tmp_path: Path
) -> None:
    packed = zip_bundle(tiny_bundle(), tmp_path / "tiny.zip", extra=[("nameless", b"mine")])
    # a name ends where a zero is
    packed.write_bytes(packed.read_bytes().replace(b"nameless", b"\0ameless"))
    with zipfile.ZipFile(packed) as archive:
        assert "" in archive.namelist()
    bundle = Bundle.open(packed)
    assert bundle.manifest.name == "tiny"
    bundle.close()
