"""Compiled kernels: where they are kept, when they are written, and that no failure stops a run.

The driver and TensorRT are recorded fakes (see fake_gpu); the files are real.
"""

import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.fake_gpu import FakeLibrary
from helpers.fake_tensorrt import FakeTensorRT

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import sha256
from edge_ser.bundle.writing import new_bundle
from edge_ser.session import pad_batch
from edge_ser_runtimes.tensorrt import kernel_cache
from edge_ser_runtimes.tensorrt.session import TrtSession

TrtBundle = Callable[..., Path]


def run(session: TrtSession, *sizes: int) -> None:
    for n in sizes:
        session.run(*pad_batch([np.ones(n, np.float32)]))


def own(folder: Path) -> Path:
    """Where the user's cache directory has it."""
    name = sha256(folder / "model.engine")[:16] + ".rtx-cache"
    return kernel_cache.user_cache() / name


def test_kernels_are_kept_beside_the_bundle_and_used_again(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    folder = trt_bundle()
    session = TrtSession(Bundle.open(folder))
    kept = folder.with_name("tiny-trt.rtx-cache")
    assert "cache.deserialize" not in gpu.journal and not kept.exists()
    run(session, 1000)
    assert kept.read_bytes() == b"kernels"
    assert not own(folder).exists()
    session.close()
    Bundle.open(folder)  # the bundle itself is as it was
    gpu.journal.clear()
    run(TrtSession(Bundle.open(folder)), 1000)
    loaded = gpu.journal.index("cache.deserialize")
    assert loaded < gpu.journal.index("set_runtime_cache") < gpu.journal.index("context")
    assert kept.read_bytes() == b"kernels"


def test_kernels_that_somebody_else_put_beside_a_bundle_are_not_loaded(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    folder = trt_bundle()
    kept = folder.with_name("tiny-trt.rtx-cache")
    kept.write_bytes(b"kernels of a stranger")
    session = TrtSession(Bundle.open(folder))
    assert "cache.deserialize" not in gpu.journal
    run(session, 1000)
    assert kept.read_bytes() == b"kernels"
    session.close()
    shutil.rmtree(kernel_cache.user_cache())  # on another machine, or as another user
    gpu.journal.clear()
    TrtSession(Bundle.open(folder)).close()
    assert "cache.deserialize" not in gpu.journal


def test_they_are_written_now_and_then_and_only_when_changed(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(kernel_cache, "_write", lambda path, data: written.append(data))
    session = TrtSession(Bundle.open(trt_bundle()))
    run(session, *range(1000, 1010))
    assert gpu.journal.count("cache.serialize") == 4, "after the 1st, 2nd, 4th and 8th new shape"
    assert written == [b"kernels"]
    run(session, *range(1000, 1010))
    assert gpu.journal.count("cache.serialize") == 4, "no shape is new"
    trt.kernels = b"more kernels"  # specialised in the background meanwhile
    session.close()
    assert written == [b"kernels", b"more kernels"]


def test_kernels_of_another_gpu_are_replaced(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    folder = trt_bundle()
    kept = folder.with_name("tiny-trt.rtx-cache")
    kept.write_bytes(b"another GPU's")
    trt.cache_fits = False
    run(TrtSession(Bundle.open(folder)), 1000)
    assert kept.read_bytes() == b"kernels"


def read_only(monkeypatch: pytest.MonkeyPatch, *folders: Path, number: int = errno.EROFS) -> None:
    """As if the folders were on a read-only or full file system; root may write everywhere."""
    real = tempfile.mkdtemp

    def mkdtemp(prefix: str, dir: Path) -> str:
        if dir in folders:
            raise OSError(number, os.strerror(number), str(dir))
        return str(real(prefix=prefix, dir=dir))

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)


def test_beside_a_read_only_bundle_the_users_cache_directory_is_used(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trt_bundle()
    read_only(monkeypatch, folder.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(TrtSession(Bundle.open(folder)), 1000)
    assert own(folder).read_bytes() == b"kernels"
    gpu.journal.clear()
    TrtSession(Bundle.open(folder))
    assert "cache.deserialize" in gpu.journal


def test_a_full_disk_costs_a_warning_and_no_answer(
    trt_bundle: TrtBundle, trt: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trt_bundle()
    read_only(monkeypatch, folder.parent, kernel_cache.user_cache(), number=errno.ENOSPC)
    session = TrtSession(Bundle.open(folder))
    with pytest.warns(UserWarning) as caught:
        run(session, *range(1000, 1010))
    (warning,) = caught
    assert str(warning.message).startswith(
        "compiled kernels could not be kept for the next start: [Errno 28] No space left"
    )


def test_half_a_file_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kernel_cache.os, "replace", fail)
    with pytest.raises(OSError):
        kernel_cache._write(tmp_path / "x.rtx-cache", b"kernels")
    assert list(tmp_path.iterdir()) == []


def test_of_a_zip_only_the_users_cache_directory_is_used(
    trt_bundle: TrtBundle, zip_bundle: Callable[..., Path], trt: FakeTensorRT, tmp_path: Path
) -> None:
    folder = trt_bundle()
    bundle = Bundle.open(zip_bundle(folder, tmp_path / "bundle.zip"))
    session = TrtSession(bundle)
    run(session, 1000)
    assert own(folder).read_bytes() == b"kernels"
    assert not list(bundle.root.parent.glob(f"{bundle.root.name}*.rtx-cache"))


def test_while_a_bundle_is_being_made_nothing_is_left_beside_it(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with new_bundle(out / "made") as work:
        source = trt_bundle()
        shutil.copytree(source, work, dirs_exist_ok=True)
        run(TrtSession(Bundle(work, Bundle.open(source).manifest)), 1000)
    assert [p.name for p in out.iterdir()] == ["made"]
    gpu.journal.clear()
    TrtSession(Bundle.open(out / "made"))
    assert "cache.deserialize" in gpu.journal, "what was compiled then is used"


def test_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel_cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernel_cache.user_cache() == tmp_path / "edge-ser"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_cache.user_cache() == Path.home() / ".cache" / "edge-ser"
    monkeypatch.setattr(kernel_cache.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert kernel_cache.user_cache() == tmp_path / "edge-ser"
