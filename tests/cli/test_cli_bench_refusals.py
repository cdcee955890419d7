"""`edge-ser bench`: what it refuses, leaves out, or measures in another runtime."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.bench_commands import ONE
from helpers.manifest_parts import part

from edge_ser.bench.budgets import FIGURES
from edge_ser.bench.systems import bundle_system
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import UsageError
from edge_ser_runtimes import registry

Cli = Callable[..., Any]


def test_an_unknown_runtime(cli: Cli) -> None:
    done = cli(*ONE, "--runtime", "onnx", "--runtime", "tflite")
    names = "auto, trt, onnx, openvino, torch"
    assert done.error().startswith(f"--runtime: expected {names}, found tflite")
    assert done.err.endswith("found tflite\n") and "default/onnx" in done.out


@pytest.mark.parametrize(
    ("module", "runtime", "extra"),
    [("torch", "torch", "edge-ser[export]"), ("onnxruntime", "onnx", "onnxruntime")],
)
def test_a_runtime_whose_library_is_missing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, module: str, runtime: str, extra: str
) -> None:
    other = {"torch": "onnx", "onnx": "torch"}[runtime]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        done = cli(*ONE, "--runtime", f"{runtime},{other}")
    assert done.code == 2
    assert f"expected the Python module `{module}`, found it is not installed" in done.err
    assert extra in done.err.split("pip install")[1]
    assert f"/{other}" in done.out, "the other one was measured"


def test_a_bundle_made_for_another_target(
    cli: Cli, bundle_dir: Path, edit_manifest: Callable[..., None]
) -> None:
    edit_manifest(bundle_dir, lambda m: m.update(target="npu-int8"))
    done = cli(*ONE, bundle_dir, DEFAULT_BUNDLE)
    assert done.error() == (
        "bundle/auto: expected a runtime for npu-int8 (none here), found auto; "
        "choose another --runtime, or export for it"
    )
    assert "default/onnx" in done.out


def test_a_runtime_stands_in_with_one_warning_and_is_what_is_named(
    cli: Cli, tiny_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_bundle()
    manifest = Bundle.open(folder).manifest
    engine = {
        "file": "", "backend": "rtx", "version": "", "sm": ["sm89"], "graph": "model.onnx",
        "graph_sha256": "0" * 64, "precision": "fp16", "device": "l4",
        "profiles": [{"batch": [1, 1, 4], "samples": [800, 16_000, 48_000]}],
        "io": [], "build_seconds": 0.0, "weight_bytes": 0, "activation_bytes": 0, "census": {},
        "share": 1.0, "verified": False,
    }  # fmt: skip
    (folder / "manifest.json").unlink()
    manifest = replace(manifest, target="trt-fp16").with_parts(engine=part(Engine, engine))
    seal(folder, manifest)
    monkeypatch.setattr("edge_ser.host.nvidia_libraries.CUDA_NAMES", ("libno-such-driver.so.1",))
    done = cli(*ONE, folder)
    assert done.code == 0, done.err
    (line,) = done.err.splitlines()
    assert line.startswith(
        "edge-ser: warning: runtime onnx instead of trt: CUDA driver: expected libno-such-driver"
    )
    assert f"{folder.name}/onnx" in done.out
    asked = cli(*ONE, folder, "--runtime", "trt")
    assert asked.error().startswith("CUDA driver: ") and asked.out == ""


def test_auto_takes_the_engine_where_it_opens_and_never_what_is_on_request(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    session = SimpleNamespace(close=lambda: closed.append(True))
    bundle = Bundle.open(DEFAULT_BUNDLE)
    monkeypatch.setattr("edge_ser_runtimes.registry.open_session", lambda *_: session)
    engine = Bundle(bundle.root, replace(bundle.manifest, target="trt-fp16"))
    assert bundle_system(engine, bundle.root, "x", "auto", pytest.fail).name == "x/trt"
    assert closed == [True], "it is opened again to be measured"
    assert bundle_system(bundle, bundle.root, "x", "auto", pytest.fail).name == "x/onnx"
    asked_for = replace(registry.RUNTIMES["onnx"], on_request=True)
    monkeypatch.setitem(registry.RUNTIMES, "onnx", asked_for)
    with pytest.raises(UsageError, match="x/auto: expected a runtime for onnx-fp32"):
        bundle_system(bundle, bundle.root, "x", "auto", pytest.fail)


def test_a_bundle_that_is_not_there_or_broken(cli: Cli, tmp_path: Path, bundle_dir: Path) -> None:
    size = (bundle_dir / "model.onnx").stat().st_size
    (bundle_dir / "model.onnx").write_bytes(b"short")
    done = cli(*ONE, tmp_path / "none", bundle_dir, DEFAULT_BUNDLE)
    assert done.code == 2
    first, second = done.err.splitlines()
    assert "none: expected a bundle" in first and f"model.onnx: expected {size} bytes" in second
    assert "default/onnx" in done.out


def test_a_machine_too_small_for_the_model(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.bench.suite.available_memory", lambda: 40_000_000)
    done = cli(*ONE)
    assert "default/onnx: expected about 57 MB of free memory, found 40 MB" in done.error()
    assert done.out == ""


def test_a_bundle_whose_checkpoint_is_not_in_the_package(
    cli: Cli, bundle_dir: Path, edit_manifest: Callable[..., None]
) -> None:
    edit_manifest(bundle_dir, lambda m: m["provenance"]["checkpoint"].update(sha256="f" * 64))
    done = cli(*ONE, bundle_dir, "--runtime", "torch")
    assert done.error() == (
        "emosphere-spectral/torch: expected a bundle of a checkpoint in this package, or "
        "--checkpoint, found a bundle of checkpoint ffffffffffff...; give its checkpoint with "
        "--checkpoint"
    )
    done = cli(*ONE, bundle_dir, "--runtime", "torch", "--checkpoint", "spectral")
    assert done.code == 0, done.err
    assert "no arithmetic of emosphere-spectral/torch: its graph cannot be counted" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seconds", "1,x"), "--seconds: expected numbers above 0, separated by commas, found"),
        (("--seconds", "0"), "--seconds: expected numbers above 0"),
        (("--batch", "1.5"), "--batch: expected whole numbers above 0"),
        (("--threads", "-1"), "--threads"),
        (("--rounds", "0"), "--rounds: expected at least 1, found 0"),
        (("--processes", "-2"), "--processes"),
        (("--max-time", "nan"), "--max-time: expected a number, at least 0, found nan"),
        (("--threshold", "inf"), "--threshold: expected a number, at least 0"),
        (("--json", "-", "--csv", "-"), "standard output: expected one of --json, --csv and"),
        (("--json", "none/x.jsonl"), "none/x.jsonl: expected an existing directory"),
        (("--csv", "none/x.csv"), "none/x.csv: expected an existing folder, found no folder none"),
        (("--plot", "x.gif"), "--plot: expected a file that ends in .png or .svg, found x.gif"),
        (("--budget", "speed=1"), "--budget: expected one of latency_ms"),
        (("--budget", "rtf=1@7s"), "--budget: expected a length that is measured"),
        (("--compare", "none.jsonl"), "none.jsonl: expected a history of edge-ser bench"),
        (("--audio", "none.wav"), "none.wav: expected an audio file"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused_before_anything_is_measured(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    done = cli("bench", *arguments)
    assert said in done.error()
    assert done.out == ""


def test_a_plot_without_matplotlib(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = cli("bench", "--plot", "x.png")
    assert "expected the Python module `matplotlib`" in done.error()
    assert "edge-ser[export]" in done.err


def test_help_names_runtimes_and_budgets(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli("bench", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "auto, trt, onnx, openvino, torch; several" in text
    assert f"exceeded: {', '.join(FIGURES)}" in text
