"""Everyone who asks NVIDIA's driver loads the same library."""

from pathlib import Path

import pytest
from helpers.driver_library import driver

from edge_ser.host import nvidia_libraries
from edge_ser.host.nvidia import find_driver
from edge_ser_runtimes.engines.backend import local_sm
from edge_ser_runtimes.tensorrt.cuda import load_library


def test_where_only_the_second_name_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that have libcuda.so, but not libcuda.so.1."""
    (there,) = driver(tmp_path)
    monkeypatch.setattr(nvidia_libraries, "CUDA_NAMES", ("libno-such-driver.so.1", there))
    assert [gpu.sm_name for gpu in find_driver(tmp_path).gpus] == ["sm87"]
    assert local_sm() == "sm87"
    assert load_library()._name == there


def test_names_on_linux() -> None:
    assert nvidia_libraries.CUDA_NAMES == ("libcuda.so.1", "libcuda.so")


def test_nobody_else_names_them() -> None:
    root = Path(__file__).parents[3]
    holders = [
        path.relative_to(root).as_posix()
        for folder in ("edge_ser", "export", "runtimes", "benchmarks")
        for path in (root / folder).rglob("*.py")
        if any(f"{name}.{end}" in path.read_text(encoding="utf-8")
               for name, end in (("libcuda", "so"), ("nvcuda", "dll"), ("libnvidia-ml", "so")))
    ]  # fmt: skip
    assert holders == ["edge_ser/host/nvidia_libraries.py"]
