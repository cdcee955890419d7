"""Bundles: complete or refused when read, complete or absent when written."""

import json
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ser
from edge_ser.bundle import Bundle, Golden, is_bundle, new_bundle, seal, sha256
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, MissingPathError, UsageError

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
ZipBundle = Callable[..., Path]
TinyBundle = Callable[..., Path]

UNSAFE = ["../x", "sub/../../x", "/etc/hostname", "..", ".", "", "..\\x", "sub\\x", "C:x", "C:/x"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def add_entry(path: str) -> Callable[[dict[str, Any]], None]:
    """List one more file, whose content is one byte, `x`."""
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of b"x"
    return lambda m: m["files"].append({"path": path, "bytes": 1, "sha256": digest})


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own place for temporary files, to see what is left in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# Opening


def test_default_bundle_opens() -> None:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    listed = {f.path for f in bundle.manifest.files}
    assert listed == set(snapshot(DEFAULT_BUNDLE)) - {"manifest.json"}
    assert bundle.graph_path.is_file()
    sizes = [p.stat().st_size for p in DEFAULT_BUNDLE.iterdir() if p.name != "manifest.json"]
    assert bundle.size_bytes == sum(sizes)


@pytest.mark.parametrize("prefix", ["", "my-bundle/", "a/b/"])
def test_a_zip_gives_what_the_directory_gives(
    prefix: str, tmp_path: Path, zip_bundle: ZipBundle, ser: edge_ser.Recognizer,
    utterances: list[Path],
) -> None:  # fmt: skip
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip", prefix)
    bundle = Bundle.open(path)
    assert bundle.manifest == ser.manifest
    assert bundle.graph_path.read_bytes() == ser.bundle.graph_path.read_bytes()
    assert bundle.golden().vad.tolist() == ser.bundle.golden().vad.tolist()
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


def test_is_bundle(tmp_path: Path, zip_bundle: ZipBundle) -> None:
    assert is_bundle(DEFAULT_BUNDLE)
    assert is_bundle(zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip"))
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "none")


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


def test_a_zip_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match=r"expected a manifest.json inside, found none"):
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


# Writing


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
    with new_bundle(bundle_dir) as work:
        (work / "new.txt").write_text("new")
        seal(work, Bundle.open(DEFAULT_BUNDLE).manifest)
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


def test_seal_lists_every_file_but_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.bin", "a.bin", "sub/c.bin"):
        (tmp_path / name).write_bytes(name.encode())
    sealed = seal(tmp_path, Bundle.open(DEFAULT_BUNDLE).manifest)
    assert [f.path for f in sealed.files] == ["a.bin", "b.bin", "sub/c.bin"]
    assert [f.bytes for f in sealed.files] == [5, 5, 9]
    assert sealed.files[0].sha256 == sha256(tmp_path / "a.bin")
    again = seal(tmp_path, sealed)
    assert again == sealed


def test_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


# Recorded answers


@pytest.mark.parametrize("head", [True, False])
def test_recorded_answers_round_trip(head: bool, tmp_path: Path) -> None:
    samples = [np.arange(5, dtype=np.int16), np.array([-32768, 32767], np.int16)]
    vad = np.arange(6, dtype=np.float32).reshape(2, 3)
    logits = np.ones((2, 8), np.float32) if head else None
    Golden(["a", "ü"], samples, vad, logits).save(tmp_path / "golden.npz")
    back = Golden.load(tmp_path / "golden.npz")
    assert back.names == ["a", "ü"]
    assert [s.tolist() for s in back.samples] == [s.tolist() for s in samples]
    assert back.samples[0].dtype == np.int16
    assert back.vad.tolist() == vad.tolist()
    assert (back.region_logits is not None) == head


def test_a_bundle_without_recorded_answers_says_so(bundle_dir: Path) -> None:
    (bundle_dir / "golden.npz").unlink()
    seal(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(BundleError, match=r"expected golden.npz, found none; export again"):
        Bundle.open(bundle_dir).golden()


def save_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def save_half(path: Path) -> None:
    data = (DEFAULT_BUNDLE / "golden.npz").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def save_without_samples(path: Path) -> None:
    np.savez(path, names=np.array(["a"]), vad=np.zeros((1, 3), np.float32))


def save_objects(path: Path) -> None:
    np.savez(path, names=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not an archive"),
        save_npy,
        save_half,
        save_without_samples,
        save_objects,
    ],
    ids=["empty", "text", "npy", "half", "no samples", "objects"],
)
def test_damaged_recorded_answers_are_refused(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "golden.npz"
    write(path)
    with pytest.raises(BundleError, match=r"golden.npz: expected recorded answers") as caught:
        Golden.load(path)
    assert "unsafely" not in str(caught.value), "no advice to unpickle what came with a bundle"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "golden",
    [
        Golden([], [], np.zeros((0, 3), np.float32), np.zeros((0, 8), np.float32)),
        Golden(["a"], [np.ones((1600, 2), np.int16)], np.zeros((1, 3), np.float32),
               np.zeros((1, 8), np.float32)),
        Golden(["a"], [np.ones(1600, np.int16)], np.zeros((2, 3), np.float32),
               np.zeros((2, 8), np.float32)),
        Golden(["a"], [np.ones(1600, np.int16)], np.array([["x", "y", "z"]]),  # type: ignore[arg-type]
               np.zeros((1, 8), np.float32)),
        Golden(["a"], [np.ones(10, np.int16)], np.zeros((1, 3), np.float32),
               np.zeros((1, 8), np.float32)),
    ],
    ids=["none", "two channels", "more answers", "words", "too short"],
)  # fmt: skip
def test_senseless_recorded_answers_are_an_error_of_the_bundle(
    golden: Golden, bundle_dir: Path
) -> None:
    from edge_ser.verify import verify

    golden.save(bundle_dir / "golden.npz")
    seal(bundle_dir, replace(Bundle.open(DEFAULT_BUNDLE).manifest, files=()))
    ser = edge_ser.load(bundle_dir, threads=1)
    with pytest.raises(edge_ser.EdgeSerError):
        verify(ser.bundle, ser.session)
