"""Writing bundles: complete or absent, and nothing else is overwritten."""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.bundle_files import ZipBundle, listing, seal_as_is, snapshot

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import sha256
from edge_ser.bundle.writing import check_new_bundle, new_bundle, seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import UsageError


def test_a_new_bundle_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with new_bundle(target) as work:
        shutil.copytree(DEFAULT_BUNDLE, work, dirs_exist_ok=True)
        assert not target.exists()
        assert work.parent == target.parent, "a sibling, so that the move is atomic"
    assert Bundle.open(target).manifest.name
    assert listing(target.parent) == ["out"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o555 == 0o555, "others can read it"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_bundle_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), new_bundle(tmp_path / "out") as work:
        (work / "model.onnx").write_bytes(b"half")
        raise error
    assert listing(tmp_path) == []


def test_an_existing_bundle_is_replaced_whole(bundle_dir: Path) -> None:
    (bundle_dir / "left-over.txt").write_text("old")
    seal_as_is(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    with new_bundle(bundle_dir) as work:
        (work / "new.txt").write_text("new")
        seal_as_is(work, Bundle.open(DEFAULT_BUNDLE).manifest)
    assert listing(bundle_dir) == ["manifest.json", "new.txt"]
    assert listing(bundle_dir.parent) == [bundle_dir.name]


def test_an_existing_bundle_survives_a_failure(bundle_dir: Path) -> None:
    before = snapshot(bundle_dir)
    with pytest.raises(RuntimeError), new_bundle(bundle_dir) as work:
        (work / "new.txt").write_text("new")
        raise RuntimeError
    assert snapshot(bundle_dir) == before
    assert listing(bundle_dir.parent) == [bundle_dir.name]


def test_an_existing_zipped_bundle_is_replaced(tmp_path: Path, zip_bundle: ZipBundle) -> None:
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip")
    with new_bundle(path) as work:
        (work / "new.txt").write_text("new")
    assert path.is_dir()
    assert listing(tmp_path) == ["bundle.zip"]


def test_a_link_to_a_bundle_is_replaced_without_touching_its_target(
    bundle_dir: Path, tmp_path: Path
) -> None:
    before = snapshot(bundle_dir)
    (tmp_path / "link").symlink_to(bundle_dir)
    with new_bundle(tmp_path / "link") as work:
        (work / "new.txt").write_text("new")
    assert (tmp_path / "link" / "new.txt").is_file()
    assert snapshot(bundle_dir) == before
    assert listing(tmp_path) == [bundle_dir.name, "link"], "no temporary is left"


def foreign_directory(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def foreign_file(path: Path) -> None:
    path.write_text("years of work")


def foreign_zip(path: Path) -> None:
    """As office documents are."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "years of work")


def foreign_manifest(path: Path) -> None:
    """As browser extensions have."""
    foreign_directory(path)
    (path / "manifest.json").write_text(json.dumps({"manifest_version": 3, "name": "mine"}))


@pytest.mark.parametrize("make", [foreign_directory, foreign_file, foreign_zip, foreign_manifest])
def test_what_is_no_bundle_is_left_alone(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "mine")
    before = snapshot(tmp_path)
    with (
        pytest.raises(UsageError, match="expected a new directory"),
        new_bundle(tmp_path / "mine") as work,
    ):
        (work / "new.txt").write_text("new")
    assert snapshot(tmp_path) == before
    assert listing(tmp_path) == ["mine"]


@pytest.mark.parametrize("name", ["NOTES.txt", ".git/config", "page.html"])
def test_files_beside_a_bundle_are_not_deleted_with_it(name: str, bundle_dir: Path) -> None:
    (bundle_dir / name).parent.mkdir(exist_ok=True)
    (bundle_dir / name).write_text("mine")
    before = snapshot(bundle_dir)
    with pytest.raises(UsageError, match=f"a bundle beside {name}; move what is yours"):
        check_new_bundle(bundle_dir)
    assert snapshot(bundle_dir) == before


def test_a_link_to_nothing_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="expected a new directory"):
        check_new_bundle(tmp_path / "link")
    assert listing(tmp_path) == ["link"]


def test_a_place_to_write_to_is_left_as_it_was(bundle_dir: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    for path in (bundle_dir, tmp_path / "new", tmp_path / "deep" / "er" / "new"):
        check_new_bundle(path)
    assert snapshot(tmp_path) == before
    assert listing(tmp_path) == [bundle_dir.name]


@pytest.mark.parametrize("place", ["file/new", "file/deep/new", "x" * 300, "read-only/new"])
def test_a_place_where_nothing_can_be_made_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "read-only").mkdir(mode=0o500)
    if place.startswith("read-only") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    with pytest.raises(UsageError, match=r"expected a folder that can be written, found .+, where"):
        check_new_bundle(tmp_path / place)
    assert listing(tmp_path) == ["file", "read-only"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="only Linux has it")
def test_a_virtual_folder_is_refused() -> None:
    words = "expected a folder that can be written, found /proc, where nothing can be made"
    with pytest.raises(UsageError, match=words):
        check_new_bundle(Path("/proc/new"))


def test_seal_lists_every_file_but_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.bin", "a.bin", "sub/c.bin"):
        (tmp_path / name).write_bytes(name.encode())
    sealed = seal(tmp_path, Bundle.open(DEFAULT_BUNDLE).manifest)
    documents = ["MODEL_CARD.md", "TRANSPARENCY.md", "a.bin", "b.bin", "bom.cdx.json"]
    assert [f.path for f in sealed.files] == [*documents, "sub/c.bin"]
    assert [f.bytes for f in sealed.files if f.path.endswith(".bin")] == [5, 5, 9]
    assert {f.path: f.sha256 for f in sealed.files}["a.bin"] == sha256(tmp_path / "a.bin")
    again = seal(tmp_path, sealed)
    assert again == sealed


def test_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_of_a_zip_the_outermost_manifest_decides(tmp_path: Path) -> None:
    """As it does when the zip is opened."""
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "inside/manifest.json", json.dumps({"schema": 2, "graph": "", "files": []})
        )
        archive.writestr("manifest.json", json.dumps({"name": "of another program"}))
    with pytest.raises(UsageError, match="something else there"):
        check_new_bundle(path)
