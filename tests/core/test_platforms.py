"""Advice where pip has no package: what fits the system, not a command that cannot work."""

import sys
import sysconfig

import pytest

from edge_ser.errors import MissingExtraError
from edge_ser.platforms import why_no_package


def advice(module: str) -> str:
    return MissingExtraError("runtime onnx", module, "").advice


@pytest.fixture
def soabi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "cpython-311-x86_64-linux-musl")


def test_here_pip_brings_them() -> None:
    assert advice("onnxruntime") == "run: pip install onnxruntime"
    assert advice("soxr") == "run: pip install soxr"


@pytest.mark.parametrize("module", ["onnxruntime", "soxr"])
def test_32_bit_processors(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    assert "32-bit processors: install a 64-bit system" in advice(module)


@pytest.mark.parametrize("module", ["onnxruntime", "soxr"])
def test_musl(module: str, soabi: None) -> None:
    assert "musl, as Alpine has: use a system with glibc" in advice(module)


def test_windows_on_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "ARM64")
    assert why_no_package("soxr") == "", "of Linux there is one"
    monkeypatch.setattr(sys, "platform", "win32")
    assert "Windows on Arm: install Python for x86-64" in advice("soxr")
    assert why_no_package("onnxruntime") == ""


def test_what_nothing_is_known_of(soabi: None) -> None:
    assert why_no_package("torch") == ""
