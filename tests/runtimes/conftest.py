import gc
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_gpu import FakeLibrary
from helpers.fake_tensorrt import FakeTensorRT
from helpers.manifest_parts import part

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.writing import seal
from edge_ser_runtimes.engines.trusted import remember_built
from edge_ser_runtimes.tensorrt import cuda

TrtBundle = Callable[..., Path]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeLibrary]:
    """A driver with one GPU, and nothing left behind on it."""
    library = FakeLibrary()
    monkeypatch.setattr(cuda, "load_library", lambda: library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    yield library
    gc.collect()
    assert library.crashes == []
    assert library.contexts == []
    assert library.retained == 0, "what was opened is closed when nothing refers to it"


@pytest.fixture
def trt(gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """TensorRT for RTX on that GPU."""
    module = FakeTensorRT(gpu)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)
    return module


@pytest.fixture
def standard(gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """TensorRT itself on that GPU, as on a Jetson."""
    module = FakeTensorRT(gpu, rtx=False, version="10.3.0")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


@pytest.fixture
def trt_bundle(tiny_bundle: Callable[..., Path]) -> TrtBundle:
    """The tiny bundle with the record of an engine, and an engine that is nothing but a header."""

    def build(
        name: str = "tiny-trt",
        data: bytes | None = None,
        **entry: Any,
    ) -> Path:
        folder = tiny_bundle(name)
        if data is None:
            size = 512
            data = b"vtrt" + bytes(12) + struct.pack("<Q", size) + bytes((1, 7, 1, 116))
            data += bytes(size - len(data))
        record: dict[str, Any] = {
            "file": "model.engine",
            "graph": "model.onnx",
            "graph_sha256": "0" * 64,
            "backend": "rtx",
            "version": "1.7.1.116",
            "precision": "fp16",
            "sm": ["sm86", "sm89"],
            "device": "rtx-3060",
            "profiles": [{"batch": [1, 1, 4], "samples": [800, 16_000, 48_000]}],
            "io": [
                {"name": "samples", "dtype": "float32", "mode": "input"},
                {"name": "lengths", "dtype": "int64", "mode": "input"},
                {"name": "vad", "dtype": "float32", "mode": "output"},
                {"name": "region_logits", "dtype": "float32", "mode": "output"},
            ],
            "build_seconds": 1.0,
            "weight_bytes": 0,
            "activation_bytes": 0,
            "census": {},
            "share": 1.0,
            "verified": False,
            **entry,
        }
        if record["file"]:
            (folder / record["file"]).write_bytes(data)
            remember_built(data)
        manifest = replace(Bundle.open(folder).manifest, target="trt-fp16")
        manifest = manifest.with_parts(engine=part(Engine, record))
        (folder / "manifest.json").unlink()
        seal(folder, manifest)
        return folder

    return build
