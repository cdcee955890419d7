"""Findings about machines of every kind, and about their runtimes."""

import importlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.surveys import BARE, BOTH, GPU, ORIN, RTX

from edge_ser.doctor import examine as doctor
from edge_ser.doctor.examine import examine
from edge_ser.host.finding import Finding
from edge_ser.host.nvidia import NOT_RTX, Driver, Gpu, Jetson, TensorRt
from edge_ser.host.survey import Survey, survey
from edge_ser_runtimes import openvino
from edge_ser_runtimes.engines.devices import SMS
from edge_ser_runtimes.registry import RUNTIMES, Runtime

TRTEXEC = TensorRt(trtexec="/usr/src/tensorrt/bin/trtexec")
H100 = Driver((13, 0), "", (Gpu("H100", (9, 0), 80_000_000_000),))
L4 = Driver((13, 0), "", (Gpu("L4", (8, 9), 24_000_000_000),))


def by_name(here: Survey, root: Path) -> dict[str, Finding]:
    found = examine(here, root)
    assert len({(f.area, f.name) for f in found}) == len(found)
    return {f"{f.area} {f.name}": f for f in found}


def test_this_machine(tmp_path: Path) -> None:
    found = by_name(survey(), Path("/"))
    assert found["runtime onnx"].state == "ok"
    assert "CPU" in found["runtime onnx"].found
    assert found["target onnx-fp32"].state == "ok"
    assert "machine JetPack" not in found, "of Jetsons alone"
    assert found["library soundfile"].state == "ok"
    for finding in found.values():
        assert finding.found, finding
        assert finding.state != "missing" or finding.advice or finding.name == "trt-*"


@pytest.mark.parametrize(
    ("here", "name", "state", "words"),
    [
        (BARE, "machine NVIDIA GPU", "missing", "no libcuda.so.1"),
        (BARE, "runtime trt", "missing", "pip install 'edge-ser[trt]'"),
        (BARE, "machine 8-bit integers", "ok", "VNNI"),
        (BARE, "target trt-*", "missing", "neither"),
        (GPU, "machine NVIDIA GPU", "ok", "Orin (sm87, 8 GB); driver 540.4, CUDA 12.6"),
        (GPU, "runtime trt", "ok", "tensorrt 10.3 on sm87"),
        (GPU, "target trt-*", "ok",
         "builds and runs here: tensorrt 10.3 on sm87"),
        (replace(BARE, tensorrt=RTX), "runtime trt", "missing", "but no GPU"),
        (replace(BARE, tensorrt=RTX), "target trt-*", "advice",
         "builds here with tensorrt_rtx 1.7.1.116 for other GPUs; does not run here: "),
        (replace(BARE, tensorrt=RTX), "target trt-*", "advice", "--device"),
        (replace(BARE, tensorrt=RTX, driver=L4), "runtime trt", "ok",
         "tensorrt_rtx 1.7.1.116 on sm89"),
        (replace(BARE, tensorrt=RTX, driver=L4), "target trt-*", "ok", "builds and runs here"),
        (replace(BARE, tensorrt=RTX, driver=H100), "runtime trt", "missing",
         "tensorrt_rtx 1.7.1.116 has no engines for sm90 for trt targets: install TensorRT's"),
        (replace(BARE, tensorrt=RTX, driver=H100), "target trt-*", "advice",
         "for other GPUs; does not run here: tensorrt_rtx 1.7.1.116 has no engines for sm90"),
        (replace(BARE, tensorrt=BOTH, driver=H100), "runtime trt", "ok", "tensorrt 10.13 on sm90"),
        (replace(BARE, tensorrt=RTX, driver=replace(L4, cuda=(12, 8))), "runtime trt", "missing",
         "needs CUDA 13, the driver has CUDA 12.8 update NVIDIA's driver, or use an onnx target"),
        (replace(BARE, tensorrt=replace(RTX, cuda={}), driver=replace(L4, cuda=(12, 8))),
         "runtime trt", "ok", "on sm89"),
        (replace(GPU, tensorrt=TRTEXEC), "runtime trt", "missing",
         "trtexec, which builds engines, but no Python module that runs them"),
        (replace(GPU, tensorrt=TRTEXEC), "target trt-*", "advice",
         "builds here with /usr/src/tensorrt/bin/trtexec for sm87; does not run here"),
        (replace(GPU, tensorrt=TRTEXEC), "target trt-*", "advice", "python3-libnvinfer"),
        (replace(BARE, tensorrt=TRTEXEC), "target trt-*", "missing", "trtexec"),
        (replace(GPU, driver=Driver((12, 6), "", (replace(ORIN, sm=(6, 1)),))), "runtime trt",
         "missing", "TensorRT needs sm75 or later: use an onnx target"),
        (replace(GPU, driver=Driver((12, 6), "", (), "cuInit gave error 100")),
         "machine NVIDIA GPU", "missing", "cuInit gave error 100"),
        (replace(GPU, driver=Driver((12, 6), "", (), "cuInit gave error 100")),
         "runtime trt", "missing", "tensorrt 10.3, but no GPU"),
        (replace(BARE, jetson=Jetson("36.4.3", "6.2")), "machine JetPack", "ok",
         "6.2, Jetson Linux 36.4.3"),
        (replace(BARE, jetson=Jetson("36.4.3", "")), "machine JetPack", "advice",
         "apt install nvidia-jetpack"),
        (replace(BARE, jetson=Jetson("36.4.3", "")), "runtime trt", "missing", "with JetPack"),
        (replace(BARE, integers="x86"), "machine 8-bit integers", "advice", "--cpu x86"),
        (replace(BARE, integers="x86"), "target onnx-int8", "advice", "--cpu x86"),
        (replace(BARE, integers="arm64", instructions=("asimddp",)), "machine 8-bit integers",
         "ok", "asimddp"),
        (replace(BARE, integers="arm64", instructions=()), "machine 8-bit integers", "advice",
         "no dot products"),
        (replace(BARE, integers=None), "machine 8-bit integers", "advice", "unknown processor"),
    ],
)  # fmt: skip
def test_machines_of_other_kinds(
    here: Survey, name: str, state: str, words: str, tmp_path: Path
) -> None:
    finding = by_name(here, tmp_path)[name]
    assert finding.state == state
    assert words in f"{finding.found} {finding.advice}"


@pytest.mark.parametrize(("kilobytes", "state"), [(8_000_000, "ok"), (500_000, "advice")])
def test_little_memory_is_told(kilobytes: int, state: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {kilobytes} kB\n")
    finding = by_name(survey(tmp_path), tmp_path)["machine free memory"]
    assert finding.state == state
    assert f"{kilobytes * 1024 / 1e9:.1f} GB" in finding.found


def test_what_tensorrt_for_rtx_leaves_out_is_what_the_builder_knows() -> None:
    known = {s.name for s in SMS.values() if not s.rtx}
    assert {Gpu("", sm, 0).sm_name for sm in NOT_RTX} == known


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("avx512_vnni",), "no bfloat16"),
        (("avx512_bf16",), "bfloat16 (avx512_bf16)"),
        (("avx512_bf16", "amx_bf16"), "bfloat16 (avx512_bf16, amx_bf16)"),
    ],
)
@pytest.mark.parametrize("installed", ["", "2026.1"])
def test_openvino_is_a_runtime_whose_gain_depends_on_bfloat16(
    flags: tuple[str, ...],
    words: str,
    installed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino, "version", lambda package: installed)
    found = by_name(replace(BARE, instructions=flags), tmp_path)
    assert "library openvino" not in found
    finding = found["runtime openvino"]
    assert finding.found.endswith(f"processor has {words}")
    if installed:
        assert (finding.state, finding.advice) == ("ok", "")
        assert finding.found.startswith("OpenVINO 2026.1, ")
    else:
        assert finding.state == "missing"
        assert finding.advice.endswith("pip install 'edge-ser[openvino]'")


def test_bfloat16_is_read_from_the_processors_flags(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("flags : fpu amx_bf16 avx512_bf16\n")
    assert set(survey(tmp_path).instructions) == {"avx512_bf16", "amx_bf16"}


def test_what_is_not_installed_comes_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "")

    load = importlib.import_module

    def import_the_rest(name: str) -> object:
        if name == "onnxruntime":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        if name in ("soundfile", "soxr"):
            raise OSError("libsndfile.so.1: cannot open shared object file\nmore")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", import_the_rest)
    found = by_name(BARE, tmp_path)
    assert found["runtime onnx"].advice == "run: pip install onnxruntime"
    assert found["target onnx-fp32"].state == "missing"
    assert "edge-ser[export]" in found["runtime torch"].advice
    assert "edge-ser[export]" in found["extra export"].advice
    assert "apt install libsndfile1" in found["library soundfile"].advice
    assert found["library soundfile"].found.endswith("cannot open shared object file")
    assert found["library soxr"].state == "missing"


# Runtimes of others


def diagnose_other(here: Survey) -> list[Finding]:
    """What a runtime that is registered from outside says of a machine."""
    return [
        Finding("runtime", "other", "ok", f"other 1.0, {len(here.instructions)} instruction sets"),
        Finding("target", "other-int8", "advice", "runs here", "measure it"),
    ]


def diagnose_and_fail(here: Survey) -> list[Finding]:
    """One whose library is there and broken."""
    raise OSError("libother.so: undefined symbol\nmore")


def register(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    other = Runtime("other", "nowhere:Session", "", ("other",), ("no_such_library",))
    monkeypatch.setitem(RUNTIMES, "other", replace(other, **fields))


def test_a_runtime_registers_its_own_diagnosis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, diagnose=f"{__name__}:diagnose_other")
    found = by_name(BARE, tmp_path)
    assert found["runtime other"].found == "other 1.0, 1 instruction sets"
    assert found["target other-int8"].advice == "measure it"
    areas = [f.area for f in found.values()]
    assert areas == sorted(areas, key=["machine", "runtime", "target", "library", "extra"].index)


@pytest.mark.parametrize(
    ("library", "state", "words"),
    [
        ("no_such_library", "missing", "no no_such_library"),
        ("numpy", "ok", f"numpy {np.__version__}"),
    ],
)
def test_a_runtime_without_a_diagnosis_is_looked_for_by_its_libraries(
    library: str, state: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, libraries=(library,), extra="other")
    finding = by_name(BARE, tmp_path)["runtime other"]
    assert (finding.state, finding.found) == (state, words)
    assert finding.advice.endswith("pip install 'edge-ser[other]'") == (state == "missing")


def test_a_diagnosis_that_fails_is_a_row_and_the_table_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, diagnose=f"{__name__}:diagnose_and_fail", extra="other")
    found = by_name(BARE, tmp_path)
    assert found["runtime other"].state == "fails"
    assert found["runtime other"].found == (
        "its diagnosis ended with OSError: libother.so: undefined symbol"
    )
    assert found["library soundfile"].state == "ok"


# Bundles


def test_a_library_that_ends_the_process_does_not_end_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As onnxruntime 1.21.0 does on a Raspberry Pi 4, by an illegal instruction."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    )
    paths = filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    findings = by_name(BARE, tmp_path)
    assert findings["runtime onnx"].state == "missing"
    assert findings["runtime onnx"].found.endswith("ends the process with SIGILL")
    assert findings["target onnx-int8"].found == "onnxruntime cannot be used"
    assert findings["library soundfile"].state == "ok", "the table goes on"
