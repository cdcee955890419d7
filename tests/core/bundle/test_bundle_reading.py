"""Reading bundles: complete or refused."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers.bundle_files import EditManifest, ZipBundle, snapshot

from edge_ser.bundle.bundle import Bundle, is_bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, MissingPathError

# Opening


def test_default_bundle_opens() -> None:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    listed = {f.path for f in bundle.manifest.files}
    assert listed == set(snapshot(DEFAULT_BUNDLE)) - {"manifest.json"}
    assert bundle.graph_path.is_file()
    sizes = [p.stat().st_size for p in DEFAULT_BUNDLE.iterdir() if p.name != "manifest.json"]
    assert bundle.size_bytes == sum(sizes)


def test_is_bundle(tmp_path: Path, zip_bundle: ZipBundle) -> None:
    assert is_bundle(DEFAULT_BUNDLE)
    assert is_bundle(zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip"))
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("text")
    assert not is_bundle(tmp_path / "notes.txt")
    # every checkpoint of PyTorch is a zip file
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", b"weights")
    assert not is_bundle(tmp_path / "model.pt")
    (tmp_path / "bundle.zip").write_bytes((tmp_path / "bundle.zip").read_bytes()[:-100])
    assert not is_bundle(tmp_path / "bundle.zip")


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="expected a bundle, found no such file"):
        Bundle.open(tmp_path / "none")


def test_another_directory_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected a bundle with manifest.json, found none"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06"])
def test_another_file_is_no_bundle(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="expected a bundle"):
        Bundle.open(path)


# Damage


def test_every_missing_file_is_named(bundle_dir: Path) -> None:
    for entry in Bundle.open(bundle_dir).manifest.files:
        kept = (bundle_dir / entry.path).read_bytes()
        (bundle_dir / entry.path).unlink()
        with pytest.raises(BundleError, match=f"{entry.path}: expected a file.*found none"):
            Bundle.open(bundle_dir)
        (bundle_dir / entry.path).write_bytes(kept)
    Bundle.open(bundle_dir)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_truncated_file_is_named_with_its_sizes(name: str, bundle_dir: Path) -> None:
    size = (bundle_dir / name).stat().st_size
    os.truncate(bundle_dir / name, size - 1)
    with pytest.raises(BundleError, match=f"{name}: expected {size} bytes, found {size - 1}; "):
        Bundle.open(bundle_dir)


@pytest.mark.parametrize("share", [0.0, 0.37, 0.9999])
def test_one_flipped_bit_in_the_graph_is_found(share: float, bundle_dir: Path) -> None:
    path = bundle_dir / "model.onnx"
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"model.onnx: expected sha256 .*; the file was altered"):
        Bundle.open(bundle_dir)


def test_the_graph_must_be_listed(bundle_dir: Path, edit_manifest: EditManifest) -> None:
    def unlist(m: dict[str, Any]) -> None:
        m["files"] = [f for f in m["files"] if f["path"] != "model.onnx"]

    edit_manifest(bundle_dir, unlist)
    with pytest.raises(BundleError, match=r"expected the graph model.onnx among its files"):
        Bundle.open(bundle_dir)


@pytest.mark.parametrize("graph", ["../model.onnx", "/tmp/model.onnx", "none.onnx", "", "sub"])
def test_the_graph_must_be_inside(
    graph: str, bundle_dir: Path, edit_manifest: EditManifest
) -> None:
    edit_manifest(bundle_dir, lambda m: m.update(graph=graph))
    with pytest.raises(BundleError):
        Bundle.open(bundle_dir)
