"""Names and links in bundles: none may lead out of it, and neither may external weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundle_files import EditManifest, TinyBundle, ZipBundle, listing, snapshot

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

UNSAFE = ["../x", "sub/../../x", "/etc/hostname", "..", ".", "", "..\\x", "sub\\x", "C:x", "C:/x"]


def add_entry(path: str) -> Callable[[dict[str, Any]], None]:
    """List one more file, whose content is one byte, `x`."""
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of b"x"
    return lambda m: m["files"].append({"path": path, "bytes": 1, "sha256": digest})


# Names that lead out of the bundle


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused(name: str, bundle_dir: Path, edit_manifest: EditManifest) -> None:
    (bundle_dir.parent / "x").write_bytes(b"x")
    edit_manifest(bundle_dir, add_entry(name))
    with pytest.raises(BundleError, match="expected paths inside the bundle"):
        Bundle.open(bundle_dir)


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_in_a_zip_are_refused_and_write_nothing(
    name: str, scratch: Path, bundle_dir: Path, tmp_path: Path, edit_manifest: EditManifest,
    zip_bundle: ZipBundle,
) -> None:  # fmt: skip
    edit_manifest(bundle_dir, add_entry(name))
    extra = [] if name in ("", ".") else [(name, b"x")]
    path = zip_bundle(bundle_dir, tmp_path / "evil.zip", extra=extra)
    before = snapshot(tmp_path)
    with pytest.raises(BundleError, match="expected paths inside the bundle"):
        Bundle.open(path)
    assert snapshot(tmp_path) == before
    assert listing(scratch) == []


def test_entries_of_a_zip_that_are_not_listed_are_not_unpacked(
    scratch: Path, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    extra = [("../escaped", b"x"), ("/escaped", b"x"), ("stranger.bin", b"x")]
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip", extra=extra)
    bundle = Bundle.open(path)
    assert not list(scratch.rglob("*escaped")) and not list(tmp_path.rglob("escaped"))
    assert set(snapshot(bundle.root)) - {"manifest.json"} == {f.path for f in bundle.manifest.files}


@pytest.mark.parametrize(
    "name",
    ["a\0b", "a\0/b", "x" * 300, "\ud800", "a/", "model.onnx/x"],
    ids=["zero", "zero in folder", "too long", "surrogate", "folder", "below a file"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_names_that_no_file_can_have_are_refused(
    name: str, zipped: bool, bundle_dir: Path, tmp_path: Path, edit_manifest: EditManifest,
    zip_bundle: ZipBundle,
) -> None:  # fmt: skip
    edit_manifest(bundle_dir, add_entry(name))
    path = zip_bundle(bundle_dir, tmp_path / "bundle.zip") if zipped else bundle_dir
    with pytest.raises(BundleError):
        Bundle.open(path)


def test_a_link_out_of_the_bundle_is_refused(bundle_dir: Path, tmp_path: Path) -> None:
    outside = (bundle_dir / "parity.json").rename(tmp_path / "outside.json")
    (bundle_dir / "parity.json").symlink_to(outside)
    with pytest.raises(BundleError, match=r"parity.json: expected .*inside.*found a link out"):
        Bundle.open(bundle_dir)


def test_a_linked_directory_out_of_the_bundle_is_refused(
    tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    bundle = tiny_bundle(graph="sub/model.onnx")
    Bundle.open(bundle)
    (bundle / "sub").rename(tmp_path / "elsewhere")
    (bundle / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="found a link out"):
        Bundle.open(bundle)


def test_a_bundle_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(DEFAULT_BUNDLE)
    assert Bundle.open(tmp_path / "link").manifest.name


# External data


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin"])
@pytest.mark.parametrize("graph", ["model.onnx", "sub/model.onnx"])
def test_weights_in_a_listed_file_are_read(
    location: str, graph: str, tiny_bundle: TinyBundle, noise: np.ndarray
) -> None:
    ser = edge_ser.load(tiny_bundle(location=location, graph=graph), threads=1)
    inline = edge_ser.load(tiny_bundle("inline"), threads=1)
    x = noise + np.float32(0.2)
    assert ser(x, 16_000) == inline(x, 16_000)
    assert ser(x, 16_000).arousal > 1


def test_weights_in_a_file_that_is_not_listed_are_refused(
    tiny_bundle: TinyBundle, edit_manifest: EditManifest
) -> None:
    bundle = tiny_bundle(location="weights.bin")

    def unlist(m: dict[str, Any]) -> None:
        m["files"] = [f for f in m["files"] if f["path"] != "weights.bin"]

    edit_manifest(bundle, unlist)
    with pytest.raises(BundleError, match=r"expected weights in files of the bundle.*weights.bin"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/weights.bin", "sub/../../w", "sub\\w", "C:w"]
)
def test_weights_outside_the_bundle_are_refused(location: str, tiny_bundle: TinyBundle) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open(tiny_bundle(location=location))
    assert repr(location) in str(caught.value)


def test_weights_at_an_address_in_memory_are_refused(tiny_bundle: TinyBundle) -> None:
    # ONNX Runtime's own mark for "offset is a pointer", even if a file of that name is listed
    bundle = tiny_bundle(location="*/_ORT_MEM_ADDR_/*")
    assert (bundle / "*" / "_ORT_MEM_ADDR_" / "*").is_file()
    with pytest.raises(BundleError):
        Bundle.open(bundle)


def test_weights_relative_to_a_nested_graph_must_not_climb(tiny_bundle: TinyBundle) -> None:
    with pytest.raises(BundleError):
        Bundle.open(tiny_bundle(location="../weights.bin", graph="sub/model.onnx"))


def test_what_the_system_cannot_open_is_an_error_of_ours() -> None:
    with pytest.raises(BundleError, match="expected a bundle that can be read, found File name"):
        Bundle.open("a" * 300)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read")
def test_a_disk_that_fails_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to("/proc/self/mem")
    with pytest.raises(BundleError, match="a bundle that can be read, found Input/output error"):
        Bundle.open(tmp_path)
