"""What was checked is what is loaded, whoever writes to the bundle meanwhile."""

import gc
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.held import HeldFiles
from edge_ser.bundle.replacing import put_in_place
from edge_ser.errors import BundleChangedError, BundleError
from edge_ser.verify import verify
from edge_ser_runtimes.registry import open_session

TinyBundle = Callable[..., Path]
HEIGHTS = {"low": 0.1, "high": 0.9}
X = np.full(1600, 0.5, np.float32)


@pytest.fixture(params=["inline", "external"])
def pair(request: pytest.FixtureRequest, tiny_bundle: TinyBundle) -> dict[str, Path]:
    """Two bundles, which answer what their names say."""
    location = "weights.bin" if request.param == "external" else None
    return {
        name: tiny_bundle(
            name, location=location, weights=np.full((1, 3), height, np.float32),
            change=lambda m, name=name: replace(m, name=name),
        )
        for name, height in HEIGHTS.items()
    }  # fmt: skip


def answer(ser: edge_ser.Recognizer) -> float:
    """Arousal of a session, before it is put on the scale: X's mean times the weight."""
    samples: NDArray[np.float32] = X[None]
    return float(ser.session.run(samples, np.array([X.size])).vad[0, 0]) / 0.5


@contextmanager
def replaced_all_the_time(place: Path, pair: dict[str, Path], atomically: bool) -> Iterator[None]:
    ended = threading.Event()

    def replace_it() -> None:
        for turn in range(100_000):
            if ended.is_set():
                return
            source = list(pair.values())[turn % 2]
            if atomically:
                work = place.with_name(f".{place.name}.{turn}")
                put_in_place(shutil.copytree(source, work), place)  # type: ignore[arg-type]
            else:
                for file in source.iterdir():
                    # never shorter in between: what maps a file that ends too early is killed
                    with (place / file.name).open("r+b") as there:
                        there.write(file.read_bytes())
                        there.truncate()
            ended.wait(0.002)

    writer = threading.Thread(target=replace_it)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_under_a_writer_the_old_or_the_new_is_loaded(pair: dict[str, Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(pair["low"], tmp_path / "place"))
    loaded = {"low": 0, "high": 0}
    changed = 0
    with replaced_all_the_time(place, pair, atomically=True):
        for _ in range(150):
            try:
                ser = edge_ser.load(place, threads=1)
            except BundleChangedError:  # of weights in a file of their own, which is gone by now
                changed += 1
                continue
            assert answer(ser) == pytest.approx(HEIGHTS[ser.manifest.name])
            loaded[ser.manifest.name] += 1
            ser.close()
    assert min(loaded.values()) > 10
    inline = not (pair["low"] / "weights.bin").exists()
    assert changed == 0 or not inline


def test_files_overwritten_one_by_one_are_refused_or_whole(
    pair: dict[str, Path], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(pair["low"], tmp_path / "place"))
    refused = 0
    with replaced_all_the_time(place, pair, atomically=False):
        for _ in range(100):
            try:
                ser = edge_ser.load(place, threads=1)
            except BundleError:
                refused += 1
                continue
            if answer(ser) != pytest.approx(HEIGHTS[ser.manifest.name]):
                # a file of weights is mapped: what is written over it after loading shows
                assert (place / "weights.bin").exists()
                with pytest.raises(BundleChangedError):
                    ser.bundle.check_unchanged()
    assert refused, "else nothing was tested"


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_graph_that_was_swapped_since_is_not_loaded(runtime: str, pair: dict[str, Path]) -> None:
    pytest.importorskip("openvino")
    bundle = Bundle.open(pair["low"])
    for name in ("model.onnx", "weights.bin"):
        if (pair["low"] / name).exists():
            shutil.copy(pair["high"] / name, pair["low"] / name)
    if runtime == "onnx" and not (pair["low"] / "weights.bin").exists():
        session = open_session(bundle, runtime, 1)  # of the bytes that were checked
        vad = session.run(X[None], np.array([X.size])).vad[0, 0]
        assert vad == pytest.approx(0.5 * HEIGHTS["low"])
    with pytest.raises(BundleChangedError, match="expected the bundle that was checked"):
        open_session(bundle, runtime, 1)


def test_a_bundle_that_was_replaced_answers_as_the_one_that_was_opened(
    pair: dict[str, Path],
) -> None:
    bundle = Bundle.open(pair["low"])
    pair["low"].rename(pair["low"].with_name("moved"))
    pair["high"].rename(pair["low"])
    session = open_session(bundle, "onnx", 1)
    assert session.run(X[None], np.array([X.size])).vad[0, 0] == pytest.approx(0.05)
    assert len(bundle.golden().names) == 1
    (pair["low"].with_name("moved") / "golden.npz").unlink()
    with pytest.raises(BundleChangedError):
        bundle.golden()


def test_recorded_answers_are_those_that_were_checked(bundle_dir: Path) -> None:
    ser = edge_ser.load(bundle_dir, threads=1)
    (bundle_dir / "golden.npz").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(BundleChangedError, match=r"golden.npz"):
        verify(ser.bundle, ser.session)


def test_a_file_written_twice_within_a_tick_is_told(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    files = HeldFiles(tmp_path)
    files.hash("weights.bin", keep=False)
    assert files.is_unchanged("weights.bin")
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    files._stamps["weights.bin"] = files._stamps["weights.bin"]._replace(
        changed_ns=path.stat().st_ctime_ns  # as if the clock had not gone on
    )
    assert not files.is_unchanged("weights.bin")
    files.close()


def test_a_closed_bundle_holds_nothing(bundle_dir: Path) -> None:
    gc.collect()  # what earlier tests left open
    before = len(list(Path("/proc/self/fd").iterdir()))
    bundles = [Bundle.open(bundle_dir) for _ in range(20)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 20
    for bundle in bundles:
        bundle.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert bundles[0].golden().names, "and its files are still read, and checked"
    for _ in range(20):
        Bundle.open(bundle_dir)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
