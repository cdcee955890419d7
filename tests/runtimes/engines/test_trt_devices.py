"""Devices, precisions and backends: every impossible pair is refused before anything is built."""

import platform
import sys
import types

import pytest

from edge_ser.errors import MissingExtraError, UsageError
from edge_ser_runtimes.engines import backend as backends
from edge_ser_runtimes.engines.backend import choose_backend, load_backend
from edge_ser_runtimes.engines.devices import (
    DEVICES,
    PRECISIONS,
    SMS,
    check_precision,
    find_device,
)
from edge_ser_runtimes.engines.plan import EngineOptions, plan_engine


@pytest.mark.parametrize(
    ("name", "sm"),
    [
        ("rtx-3060", "sm86"),
        ("RTX 4090", "sm89"),
        ("GeForce RTX 5090", "sm120"),
        ("t4", "sm75"),
        ("orin", "sm87"),
        ("Jetson AGX Orin", "sm87"),
        ("thor", "sm110"),
        ("h200", "sm90"),
        ("sm86", "sm86"),
        ("SM120", "sm120"),
    ],
)
def test_names_that_people_know(name: str, sm: str) -> None:
    assert find_device(name).sm.name == sm


def test_the_table_is_of_one_piece() -> None:
    assert set(DEVICES.values()) == set(SMS)
    assert {s.name for s in SMS.values() if s.rtx} == {
        "sm75", "sm80", "sm86", "sm89", "sm120", "sm121"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["rtx-9999", "", "sm", "gpu"])
def test_an_unknown_device_is_told_with_examples(name: str) -> None:
    with pytest.raises(UsageError, match=r"--device: expected a GPU such as .*sm86") as caught:
        find_device(name)
    assert "orin" in str(caught.value)


@pytest.mark.parametrize(("name", "meant"), [("rtx4090", "rtx-4090"), ("sm_86", "sm86")])
def test_a_slip_of_the_pen_is_told_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"found {name}; did you mean {meant}\\?"):
        find_device(name)


@pytest.mark.parametrize("name", ["xavier", "jetson nano", "v100", "gtx-1080", "sm72"])
def test_a_device_that_is_too_old_is_told_as_that(name: str) -> None:
    with pytest.raises(UsageError, match=r"TensorRT 10.3 or newer supports: sm75 and later"):
        find_device(name)


@pytest.mark.parametrize(
    ("precision", "device", "words"),
    [
        ("fp8", "rtx-3060", r"FP8 matrix products \(sm89 or later\), found rtx-3060 "
         r"\(sm86, Ampere\); use trt-fp32, trt-fp16, trt-bf16, trt-int8 there"),
        ("fp8", "orin", r".*found orin \(sm87, Jetson Orin\)"),
        ("bf16", "t4", r"BF16 matrix products \(sm80 or later\), found t4 \(sm75, Turing\)"
         "; use trt-fp16, trt-int8 there"),
        ("fp32", "t4", r"FP32 matrix products \(sm80 or later\), found t4 \(sm75, Turing\)"),
    ],
)  # fmt: skip
def test_impossible_pairs(precision: str, device: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"--target trt-{precision}: expected a GPU with {words}"):
        check_precision(precision, [find_device("rtx-4090"), find_device(device)])


def test_possible_pairs() -> None:
    check_precision("fp8", [find_device("rtx-4090"), find_device("thor")])
    for precision in PRECISIONS:
        check_precision(precision, [find_device("rtx-5090")])
    check_precision("int8", [find_device("t4"), find_device("orin")])


# --- backends


def devices(*names: str) -> list[backends.Device]:
    return [find_device(n) for n in names]


def test_rtx_where_it_can_and_standard_elsewhere() -> None:
    assert choose_backend("auto", devices("rtx-3060", "rtx-5090", "t4")) == "rtx"
    assert choose_backend("auto", devices("orin")) == "tensorrt"
    assert choose_backend("auto", devices("h100")) == "tensorrt"
    assert choose_backend("tensorrt", devices("rtx-3060")) == "tensorrt"


@pytest.mark.parametrize(
    ("asked", "names", "words"),
    [
        ("cuda", ["t4"], "--trt-backend: expected one of auto, rtx, tensorrt, found cuda"),
        ("rtx", ["orin"], "RTX builds for: sm75, .*found sm87.*--trt-backend tensorrt"),
        ("auto", ["orin", "rtx-3060"], "one kind of GPU.*found orin, rtx-3060; export once"),
        ("tensorrt", ["rtx-3060", "rtx-4090"], "one kind of GPU"),
    ],
)  # fmt: skip
def test_unsuitable_backends(asked: str, names: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_backend(asked, devices(*names))


def test_no_device() -> None:
    with pytest.raises(
        UsageError, match=r"--target trt-fp16: expected --device beside it, such as"
    ):
        plan_engine("fp16", EngineOptions())


def test_no_tensorrt_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before any work; it says which extra, and for which platforms."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingExtraError) as caught:
        plan_engine("fp16", EngineOptions(("rtx-4090",)))
    line = str(caught.value)
    assert "expected the Python module `tensorrt_rtx`, found it is not installed" in line
    assert "pip install 'edge-ser[trt]'" in line and "x86-64" in line
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for machine, advice in (("x86_64", r"pip install tensorrt;"), ("aarch64", r"python3-libnvinf")):
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        with pytest.raises(MissingExtraError, match=advice):
            load_backend("tensorrt")


def test_a_module_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise OSError("libtensorrt_rtx.so.1: cannot open shared object file")

    monkeypatch.setattr(backends.importlib, "import_module", broken)
    with pytest.raises(MissingExtraError, match=r"it does not load .libtensorrt_rtx.so.1: cannot"):
        load_backend("rtx")


def test_a_tensorrt_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("tensorrt")
    old.__version__ = "8.5.2.2"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(UsageError, match=r"10.3 or newer \(JetPack 6 or 7\), found 8.5.2.2"):
        load_backend("tensorrt")


def test_where_nothing_can_be_built_here_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser_runtimes.engines.plan.local_sm", lambda: None)
    plan = plan_engine("fp16", EngineOptions(("orin",)))
    assert (plan.backend_name, plan.backend) == ("tensorrt", None)


def test_no_driver_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(backends.ctypes, "CDLL", absent)
    assert backends.local_sm() is None
