"""The script for a real GPU, as far as it goes without one: refusal, isolation, figures, table.

The driver and TensorRT are recorded fakes (see fake_gpu); engines for other targets are built by
the real TensorRT for RTX.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.fake_gpu import FakeLibrary
from helpers.fake_tensorrt import FakeTensorRT

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
PROFILE = {"batch": [1, 1, 32], "samples": [400, 80_000, 192_000]}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("gpu_steps")
    for name, value in (("_LEAST", 2), ("_WARM_SECONDS", 0.0), ("_SECONDS", 0.0)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", ""))  # a step sets it
    monkeypatch.setenv("EDGE_SER_TRUST_ENGINES", "0")  # so does it this
    return module


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu_check")


def arguments(step: str, bundles: Path, work: Path) -> dict[str, Any]:
    return {
        "step": step, "bundles": str(bundles), "cache": str(work), "seconds": [1, 5],
        "batches": [1, 8], "until": 60,
    }  # fmt: skip


def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS)!r})
from pathlib import Path
from edge_ser.host import nvidia_libraries
nvidia_libraries.CUDA_NAMES = ("libno-such-driver.so.1",)
import gpu_check
gpu_check.RESULTS = Path({str(tmp_path)!r}) / "results"
sys.argv = ["gpu_check.py"]
sys.exit(gpu_check.main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("gpu_check: missing: GPU: CUDA driver: expected libno-such-driver")
    assert lines[-1] == "gpu_check: nothing to measure without a GPU"
    assert all(line.startswith("gpu_check: ") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_for_this_gpu_is_measured(
    steps: ModuleType, trt_bundle: Callable[..., Path], trt: FakeTensorRT, tmp_path: Path
) -> None:
    trt.profiles = (((1, 400), (1, 80_000), (32, 192_000)),)
    folder = trt_bundle("trt-fp16", profiles=[PROFILE])
    record = steps.StepFigures(tmp_path / "out.json")
    steps.engine_step(record, arguments("engine-fp16", tmp_path, tmp_path / "w"), time.monotonic())
    assert record == json.loads((tmp_path / "out.json").read_text())
    assert record["attempts"] == [{"target": "as exported, for sm86", "outcome": "runs"}]
    assert set(record["times"]) == {"1x5s", "1x1s", "8x1s", "8x5s"}
    assert record["times"]["8x5s"]["device_ms"] == pytest.approx(1.5)
    # the recorded answer of the tiny bundle is 0; it says 0.1 (0.1, 0.2, 0.3) / its deviation
    assert record["answers"]["vad_max"] == pytest.approx(0.378, abs=1e-3)
    kept = folder.with_name("trt-fp16.rtx-cache")
    kept.write_bytes(b"of an earlier run")
    trt.library.journal.clear()
    steps.engine_step(record, arguments("engine-fp16", tmp_path, tmp_path / "w"), time.monotonic())
    assert "cache.deserialize" not in trt.library.journal, "the first run compiles"
    steps.engine_step(
        record, arguments("engine-again-fp16", tmp_path, tmp_path / "w"), time.monotonic()
    )
    assert "cache.deserialize" in trt.library.journal


def test_on_a_gpu_without_a_target_others_are_tried(
    steps: ModuleType, trt_bundle: Callable[..., Path], trt: FakeTensorRT, gpu: FakeLibrary,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delitem(sys.modules, "tensorrt_rtx")
    real = pytest.importorskip("tensorrt_rtx")
    trt.__version__ = real.__version__
    trt.profiles = (((1, 400), (1, 80_000), (32, 192_000)),)
    gpu.sm = (9, 0)
    trt_bundle("trt-fp16", profiles=[PROFILE])
    monkeypatch.setattr(steps, "_TARGETS", (None, "SM89"))
    trt.validity, trt.diagnostics = 2, 2
    rebuild = steps.rebuild

    def with_real(*given: Any) -> Path:
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", real)
        try:
            return Path(rebuild(*given))
        finally:
            monkeypatch.setitem(sys.modules, "tensorrt_rtx", trt)
            if given[2] == "SM89":
                trt.validity = 0

    monkeypatch.setattr(steps, "rebuild", with_real)
    record = steps.StepFigures(tmp_path / "out.json")
    work = tmp_path / "w"
    steps.engine_step(record, arguments("engine-fp16", tmp_path, work), time.monotonic())
    first, second = record["attempts"]
    assert first["target"] == "target default" and "found unsupported cc" in first["outcome"]
    assert second == {"target": "target SM89", "outcome": "runs"}
    assert [p.name for p in (work / "built" / "trt-fp16").iterdir() if p.is_dir()] == ["SM89"]
    steps.engine_step(record, arguments("engine-graphs-fp16", tmp_path, work), time.monotonic())
    assert record["attempts"] == [{"target": "SM89", "outcome": "runs"}]
    assert trt.graph_strategy == "whole"


def test_a_shape_that_fails_leaves_the_others(steps: ModuleType, tmp_path: Path) -> None:
    def run(x: np.ndarray, n: np.ndarray) -> float:
        if x.shape[0] == 8:
            raise MemoryError("too large\nmore")
        return 0.001

    record = steps.StepFigures(tmp_path / "out.json")
    given = arguments("torch-eager", tmp_path, tmp_path)
    steps.time_grid(record, given, run, time.monotonic())
    assert record["times"]["8x1s failed"] == "too large"
    assert {"1x1s", "1x5s"} < set(record["times"]) and "8x1s" not in record["times"]
    steps.time_grid(record, given | {"until": -1}, run, time.monotonic())
    assert record["failed"] == "stopped for time after 0 of 4 shapes"


def test_a_step_that_fails_is_a_result(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = json.dumps(arguments("onnx-fp16", tmp_path / "none", tmp_path))
    out = tmp_path / "out.json"
    command = [sys.executable, str(BENCHMARKS / "gpu_steps.py"), given, str(out)]
    assert "found no such file or directory" in check.run(command, 60)
    assert "expected a bundle" in json.loads(out.read_text())["failed"]
    assert check.run(command, 5) == "not run: no time left"
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(check, "LEAST_SECONDS", 0)
    assert check.run(slow, 0.5).startswith("stopped after ")


def test_a_run_exports_what_a_step_needs_and_writes_after_every_step(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, bundles = tmp_path / "results", tmp_path / "bundles"
    bundles.mkdir()
    (bundles / "trt-int8").mkdir()
    done: list[str] = []

    def run(command: list[str], seconds: float) -> str:
        if "export" in command:
            target = command[command.index("--target") + 1]
            done.append(target)
            assert command[command.index("--device") + 1] == "sm90"
            return "exit code 1: gate" if target == "trt-bf16" else ""
        if not command[1].endswith("gpu_steps.py"):
            done.append("checkpoint")
            return ""
        step = json.loads(command[2])["step"]
        assert step == "engine-fp16" or (results / "gpu-check.md").is_file()
        done.append(step)
        if step == "engine-bf16":
            return "exit code -11: no message"
        Path(command[3]).write_text(json.dumps({"load_seconds": 1.0}))
        return "stopped after 3 s" if step == "torch-compile" else ""

    monkeypatch.setattr(check, "run", run)
    monkeypatch.setattr(check, "RESULTS", results)
    chosen = ("engine-fp16", "torch-compile", "engine-bf16", "engine-int8")
    monkeypatch.setattr(check, "STEPS", tuple((name, 60) for name in chosen))
    gpu = {"gpu": "G", "sm": "sm90", "memory_bytes": 1 << 30, "cuda": "13.0"}
    monkeypatch.setattr(check, "machine", lambda: (gpu, []))
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--bundles", str(bundles)])
    assert check.main() == 0
    assert done == ["checkpoint", "trt-fp16", "engine-fp16", "torch-compile", "trt-bf16",
                    "engine-bf16", "engine-int8"]  # fmt: skip
    record = json.loads((results / "gpu-check.json").read_text())
    assert record["prepared"].keys() == {"fp16", "bf16"}
    failures = {n: r.get("failed") for n, r in record["results"].items()}
    assert failures == {
        "engine-fp16": None, "torch-compile": "stopped after 3 s",
        "engine-bf16": "exit code -11: no message", "engine-int8": None,
    }  # fmt: skip
    text = (results / "gpu-check.md").read_text()
    assert "- export to bf16: exit code 1: gate" in text
    assert "- torch-compile: stopped after 3 s" in text


def test_bundles_are_prepared_where_no_gpu_is(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], seconds: float) -> str:
        if "export" in command:
            target = command[command.index("--target") + 1]
            if target not in missing:
                (tmp_path / target).mkdir()
            return "exit code 1: gate" if target == "trt-bf16" else ""
        return broken

    monkeypatch.setattr(check, "run", run)
    monkeypatch.setattr(
        sys, "argv", ["gpu_check.py", "--prepare", str(tmp_path), "--device", "sm90"]
    )
    broken, missing = "exit code 1: no torch", {"trt-int8"}
    assert check.main() == 1 and list(tmp_path.iterdir()) == []
    broken = ""
    assert check.main() == 1, "one bundle is missing"
    missing = set()
    assert check.main() == 0, "a failed gate keeps its bundle"
    assert {p.name for p in tmp_path.iterdir()} == {f"trt-{p}" for p in check.PRECISIONS}


def test_the_table_says_what_was_measured_and_what_was_not(check: ModuleType) -> None:
    def times(ms: float) -> dict[str, Any]:
        return {"1x5s": {"ms": ms, "device_ms": ms / 2}}

    record = {
        "machine": {"gpu": "G", "sm": "sm90", "memory_bytes": 80 << 30, "cuda": "13.0",
                    "tensorrt_rtx": "1.7"},
        "missing": ["onnxruntime: no CUDA provider; its rows need onnxruntime-gpu"],
        "size": "wavlm-base",
        "prepared": {"fp16": 40.0, "int8": "stopped after 150 s"},
        "results": {
            "engine-fp16": {
                "attempts": [{"target": "target default", "outcome": "runs"}],
                "times": times(2.0), "load_seconds": 1.0, "first_run_seconds": 3.0,
                "gpu_bytes": 4e8,
                "answers": {"vad_max": 1e-4, "logits_max": None, "flips_far": 0, "flips_near": 1},
            },
            "engine-again-fp16": {"load_seconds": 1.0, "first_run_seconds": 0.5},
            "torch-compile": {"times": times(5.0)},
            "torch-eager": {"failed": "RuntimeError: no"},
        },
    }  # fmt: skip
    text = check.table(record)
    assert "- edge-ser, TensorRT FP16, target default: runs" in text
    assert "| edge-ser, TensorRT FP16 | - | - | 2.00 (1.00) | - |" in text
    assert "FP16 at batch 1, 5 s: 2.50 times as fast as torch.compile." in text
    assert "| edge-ser, TensorRT FP16 | 1.0e-04 | - | 1 | 1.00 | 3.00 | 400 |" in text
    assert "with kernels kept from before | - | - | - | 1.00 | 0.50 | - |" in text
    for line in ("- onnxruntime: no CUDA", "- torch-eager: RuntimeError: no",
                 "- export to int8: stopped after 150 s"):  # fmt: skip
        assert line in text
