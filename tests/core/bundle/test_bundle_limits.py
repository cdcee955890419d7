"""A few bytes of a bundle take no memory, disk or minutes."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundle_files import EditManifest, TinyBundle, ZipBundle, listing

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.limits import (
    MAX_FILES,
    MAX_GOLDEN_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_ZIP_ENTRIES,
)
from edge_ser.errors import BundleError

Change = Callable[[dict[str, Any]], None]


def many_files(manifest: dict[str, Any]) -> None:
    entry = manifest["files"][0]
    manifest["files"] = [entry | {"path": f"f{i}"} for i in range(MAX_FILES + 1)]


def repeated(manifest: dict[str, Any]) -> None:
    manifest["files"] += manifest["files"][:1]


def negative(manifest: dict[str, Any]) -> None:
    manifest["files"][0]["bytes"] = -1


def huge(manifest: dict[str, Any]) -> None:
    manifest["files"][0]["bytes"] = 1 << 50


def set_preprocessing(**values: Any) -> Change:
    return lambda manifest: manifest["preprocessing"].update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (many_files, f"files: expected at most {MAX_FILES} files, found {MAX_FILES + 1}"),
        (repeated, "files: expected each file once, with its size"),
        (negative, "files: expected each file once, with its size"),
        (huge, "files: expected at most 17179869184 bytes in all"),
        (set_preprocessing(max_seconds=3600), "max_seconds in 0..300"),
        (
            set_preprocessing(min_samples=3_600_000_000, max_seconds=300, sample_rate=192_000),
            "min_samples of at most 10 s",
        ),
        (set_preprocessing(min_samples=10**400), "min_samples of at most 10 s"),
    ],
    ids=["many", "repeated", "negative", "huge", "hour", "padding", "integer"],
)
def test_what_a_manifest_asks_for_has_limits(
    change: Change, words: str, bundle_dir: Path, edit_manifest: EditManifest
) -> None:
    edit_manifest(bundle_dir, change)
    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_dir)
    assert words in str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
def test_an_endless_manifest_is_not_read(
    zipped: bool, scratch: Path, bundle_dir: Path, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    text = json.loads((bundle_dir / "manifest.json").read_text())
    text["licence"] = " " * (20 * MAX_MANIFEST_BYTES)
    (bundle_dir / "manifest.json").write_text(json.dumps(text))
    path = zip_bundle(bundle_dir, tmp_path / "b.zip") if zipped else bundle_dir
    tracemalloc.start()
    with pytest.raises(BundleError, match=f"at most {MAX_MANIFEST_BYTES} bytes of manifest"):
        Bundle.open(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MAX_MANIFEST_BYTES
    assert listing(scratch) == []


def test_a_zip_of_zeros_is_not_unpacked(
    scratch: Path, bundle_dir: Path, tmp_path: Path, edit_manifest: EditManifest,
    zip_bundle: ZipBundle,
) -> None:  # fmt: skip
    size = 300_000_000
    with (bundle_dir / "zeros").open("wb") as file:
        file.truncate(size)

    def listed(manifest: dict[str, Any]) -> None:
        manifest["files"].append({"path": "zeros", "bytes": size, "sha256": "0" * 64})

    edit_manifest(bundle_dir, listed)
    path = zip_bundle(bundle_dir, tmp_path / "bomb.zip")
    assert path.stat().st_size < 5_000_000
    with pytest.raises(BundleError, match=r"bomb.zip: expected at most \d+ bytes unpacked"):
        Bundle.open(path)
    assert listing(scratch) == []


def test_a_zip_of_many_entries_is_refused(
    tiny_bundle: TinyBundle, tmp_path: Path, zip_bundle: ZipBundle
) -> None:
    extra = [(f"e{i}", b"") for i in range(MAX_ZIP_ENTRIES)]
    with pytest.raises(BundleError, match=f"at most {MAX_ZIP_ENTRIES} entries"):
        Bundle.open(zip_bundle(tiny_bundle(), tmp_path / "many.zip", extra=extra))


# Recorded answers


def header(shape: str, descr: str = "'<f4'") -> bytes:
    """An array of numpy's own format that says a shape, without content."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def npz(method: int = zipfile.ZIP_DEFLATED, **entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def array(value: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, value)
    return out.getvalue()


def with_flag(data: bytes, offset: int, value: int) -> bytes:
    changed = bytearray(data)
    changed[data.index(b"PK\x01\x02") + offset] = value
    return bytes(changed)


NAMES = array(np.array(["a"]))
HOSTILE = {
    "huge shape": npz(names=NAMES, vad=header("(4000000000, 3)")),
    "huge number": npz(names=NAMES, vad=header(f"({10**400}, 3)")),
    "negative": npz(names=NAMES, vad=header("(-1, -4)")),
    "text as shape": npz(names=NAMES, vad=header("'x'")),
    "no dictionary": npz(names=NAMES, vad=b"\x93NUMPY\x01\x00\x02\x00[\n"),
    "nested": npz(names=NAMES, vad=header("(" * 90)),
    "object": npz(names=NAMES, vad=header("(1,)", "'|O'")),
    "structure": npz(names=NAMES, vad=header("(1,)", "[('a', '|O')]")),
    "bytes of nothing": npz(names=header("(4000000000,)", "'<U0'")),
    "0-d": npz(names=array(np.array("a")), vad=array(np.zeros((1, 3), np.float32))),
    "0-d samples": npz(names=NAMES, samples_0=array(np.array(1)), vad=array(np.zeros((1, 3)))),
    "bytes as names": npz(names=array(np.array([b"a"])), vad=array(np.zeros((1, 3)))),
    "lzma": npz(zipfile.ZIP_LZMA, names=NAMES),
    "encrypted": with_flag(npz(names=NAMES), 8, 1),
    "unknown method": with_flag(npz(names=NAMES), 10, 99),
    "no array": npz(names=b"text"),
    "empty": npz(names=b""),
    "many": npz(zipfile.ZIP_STORED, **{f"a{i}": b"" for i in range(1001)}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_recorded_answers_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(HOSTILE[kind])
    tracemalloc.start()
    with pytest.raises(BundleError, match=r"golden.npz: expected (recorded|int16 utterances)"):
        Golden.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_recorded_answers_of_zeros_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(npz(names=NAMES, vad=bytes(MAX_GOLDEN_BYTES)))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(BundleError, match="expected recorded answers"):
        Golden.load(path)


def test_damaged_recorded_answers_are_refused_or_read(bundle_dir: Path, tmp_path: Path) -> None:
    good = (bundle_dir / "golden.npz").read_bytes()
    central = good.index(b"PK\x01\x02")
    rng = np.random.default_rng(5)
    path = tmp_path / "golden.npz"
    refused = 0
    for _ in range(400):
        data = bytearray(good)
        low = 0 if rng.random() < 0.5 else central
        for position in rng.integers(low, len(data), rng.integers(1, 4)):
            data[position] = rng.integers(256)
        path.write_bytes(data)
        try:
            Golden.load(path)
        except BundleError:
            refused += 1
    assert refused > 200
