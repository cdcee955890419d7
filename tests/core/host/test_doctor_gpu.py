"""GPU, driver, TensorRT and JetPack: found, absent, broken."""

import shutil
from pathlib import Path

import pytest
from helpers.driver_library import driver

from edge_ser.host import nvidia as doctor_gpu
from edge_ser.host.nvidia import (
    Gpu,
    Jetson,
    find_driver,
    find_jetson,
    find_tensorrt,
    tensorrt_modules,
)
from edge_ser.host.packages import version


def test_a_driver_tells_its_gpus(tmp_path: Path) -> None:
    version_file = tmp_path / "proc/driver/nvidia/version"
    version_file.parent.mkdir(parents=True)
    version_file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
        "GCC version: gcc version 12.2.0\n"
    )
    found = find_driver(tmp_path, driver(tmp_path))
    assert found.cuda == (12, 6)
    assert found.gpus == (Gpu("Orin", (8, 7), 8_000_000_000),)
    assert found.gpus[0].sm_name == "sm87"
    assert found.version == "580.65.06"
    assert found.trouble == ""


@pytest.mark.parametrize(
    ("init", "gpus", "trouble"),
    [
        ("return 100;", 1, "cuInit gave error 100"),
        ("return 0;", 0, "the driver knows no GPU"),
        ("return *(volatile int *)0;", 1, "asking the driver ended with status -11"),
    ],
)
def test_a_driver_that_does_not_work_is_no_crash(
    init: str, gpus: int, trouble: str, tmp_path: Path
) -> None:
    found = find_driver(tmp_path, driver(tmp_path, init, gpus))
    assert found.trouble == trouble
    assert found.gpus == ()


def test_a_driver_that_hangs_is_left(tmp_path: Path) -> None:
    library = driver(tmp_path, "for (;;);")
    assert "did not answer within 1 s" in find_driver(tmp_path, library, 1.0).trouble


def test_no_driver(tmp_path: Path) -> None:
    found = find_driver(tmp_path, ("libnone-at-all.so.1", "libnone.so"))
    assert found.cuda is None and found.gpus == ()
    assert found.trouble == "no libnone-at-all.so.1"


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


def test_jetpack_is_read_from_its_files(tmp_path: Path) -> None:
    assert find_jetson(tmp_path) is None
    write(tmp_path, "etc/nv_tegra_release", RELEASE)
    assert find_jetson(tmp_path) == Jetson("36.4.3", "")
    write(
        tmp_path,
        "var/lib/dpkg/status",
        "Package: nano\nStatus: install ok installed\nVersion: 1.0\n\n"
        "Package: nvidia-jetpack\nStatus: install ok installed\nPriority: standard\n"
        "Version: 6.2+b77\n\nPackage: zsh\nVersion: 5.8\n",
    )
    assert find_jetson(tmp_path) == Jetson("36.4.3", "6.2+b77")


def test_a_package_without_version_does_not_get_the_next_ones(tmp_path: Path) -> None:
    write(tmp_path, "etc/nv_tegra_release", "odd\n")
    write(
        tmp_path, "var/lib/dpkg/status", "Package: nvidia-jetpack\n\nPackage: zsh\nVersion: 5.8\n"
    )
    assert find_jetson(tmp_path) == Jetson("odd", "")


def test_modules_are_found_without_importing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "tensorrt/__init__.py", "raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert tensorrt_modules()["tensorrt"] == (version("tensorrt") or "unknown version")


def test_versions_come_from_metadata() -> None:
    assert version("numpy")
    assert version("no-such-package-at-all") == ""


def test_trtexec_of_jetpack_and_the_cuda_of_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(
        doctor_gpu, "tensorrt_modules", lambda: {"tensorrt_rtx": "1.7", "tensorrt": "10.3"}
    )
    packages = {"tensorrt_rtx_cu13": "1.7", "tensorrt_cu12": "10.3"}
    monkeypatch.setattr(doctor_gpu, "version", lambda package: packages.get(package, ""))
    found = find_tensorrt(tmp_path)
    assert found.cuda == {"tensorrt_rtx": 13, "tensorrt": 12}
    assert found.trtexec == ""
    write(tmp_path, "usr/src/tensorrt/bin/trtexec", "")
    assert find_tensorrt(tmp_path).trtexec == str(tmp_path / "usr/src/tensorrt/bin/trtexec")
