import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.manifest_parts import part

from edge_ser.bench.budgets import FIGURES
from edge_ser.bench.records import Record, append, read_history
from edge_ser.bench.suite import Suite
from edge_ser.bench.systems import bundle_system
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import UsageError
from edge_ser_runtimes import registry

Cli = Callable[..., Any]
QUICK = ("bench", "--rounds", "4", "--max-time", "2", "--processes", "0")
ONE = (*QUICK, "--seconds", "1")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Record]]:
    """Records that a run measures, as they are, or as a test wishes them to be."""
    wished: list[Record] = []
    monkeypatch.setattr(Suite, "run", lambda self, candidates: list(wished))
    yield wished


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """What a real run of the default bundle measures, fresh processes included."""
    from edge_ser.cli import main

    path = tmp_path_factory.mktemp("bench") / "real.jsonl"
    # the rounds end it, not the time, which would on a busy machine
    command = ["bench", "--seconds", "1,10", "--rounds", "8", "--max-time", "60"]
    command += ["--processes", "2"]
    assert main([*command, "--json", str(path)]) == 0
    return read_history(path)


def test_the_default_bundle_is_measured(real: list[Record]) -> None:
    one, ten = real
    assert (one.system, one.runtime, one.target) == ("default/onnx", "onnx", "onnx-fp32")
    assert (one.seconds, ten.seconds, one.batch, one.threads) == (1, 10, 1, 1)
    assert 0 < one.latency.p50_ms < ten.latency.p50_ms
    assert one.rtf < 1 and one.latency.rounds == 8
    assert one.size_mb == pytest.approx(2.985, abs=0.01)
    assert one.fresh is not None
    assert list(one.fresh.parts_ms) == ["import", "load", "first"]
    assert sum(one.fresh.parts_ms.values()) < one.fresh.first_result_ms
    assert one.fresh.first_result_ms > one.load_ms > 0
    assert one.fresh.peak_rss_mb is None or 40 < one.fresh.peak_rss_mb < 400
    assert one.work is not None and one.work.peak_share is not None
    assert 0.01 < one.work.peak_share < 2
    assert set(one.stages_ms) == {"read", "resample", "prepare", "session", "answer"}
    assert "numpy" in one.machine["libraries"]


def test_the_terminals_table(cli: Cli) -> None:
    done = cli(*ONE, "--threads", "1,2", "--batch", "2")
    assert done.code == 0 and done.err == ""
    latency, systems, notes = done.out.split("\n\n")
    header, *rows = latency.splitlines()
    assert header.startswith("length  threads  system") and "p50 ms" in header
    assert len(rows) == 2 and all("default/onnx" in row for row in rows)
    assert "default/onnx, 2 threads" in systems
    assert "p50: samples in memory to emotions" in notes
    assert max(len(line) for line in latency.splitlines()) < 140


def test_a_bundle_beside_the_reference_in_pytorch(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    done = cli(
        "bench", "--runtime", "onnx,torch", "--seconds", "1", "--rounds", "10", "--max-time", "5",
        "--processes", "1", "--json", path, "--plot", tmp_path / "both.svg",
    )  # fmt: skip
    assert done.code == 0, done.err
    ours, reference = read_history(path)
    assert (ours.system, reference.system) == ("default/onnx", "emosphere-spectral/torch")
    assert reference.target == "checkpoint" and reference.precision == "fp32"
    assert reference.against is not None and reference.against.system == "default/onnx"
    assert f"{reference.against.ratio:.2f} (" in done.out
    assert reference.against.verdict in done.out
    # the same products, counted once
    assert ours.work is not None and reference.work is not None
    assert reference.work.gop == pytest.approx(ours.work.gop)
    assert reference.fresh is not None and ours.fresh is not None
    assert reference.fresh.first_result_ms > ours.fresh.first_result_ms, "importing torch is slow"
    text = (tmp_path / "both.svg").read_text(encoding="utf-8")
    assert 'id="default/onnx"' in text and 'id="emosphere-spectral/torch"' in text


def test_a_zip_and_two_bundles_of_the_same_name(
    cli: Cli, tmp_path: Path, zip_bundle: Callable[..., Path]
) -> None:
    for parent in ("a", "b"):
        shutil.copytree(DEFAULT_BUNDLE, tmp_path / parent / "model")
    packed = zip_bundle(DEFAULT_BUNDLE, tmp_path / "packed.zip")
    done = cli(*ONE, tmp_path / "a/model", tmp_path / "b/model", packed, "--json", "-")
    assert done.code == 0, done.err
    records = [Record.from_json(line, "stdout") for line in done.out.splitlines()]
    assert [r.system for r in records] == [
        "a/model/onnx",
        "b/model/onnx",
        f"{packed.parent.name}/packed.zip/onnx",
    ]
    assert all(r.work is not None for r in records), "the unpacked zip was still there"


def test_json_goes_to_standard_output_alone(cli: Cli) -> None:
    done = cli(*ONE, "--json", "-")
    assert done.code == 0
    (line,) = done.out.splitlines()
    assert json.loads(line)["kind"] == "edge-ser-bench"


def test_a_history_grows(cli: Cli, tmp_path: Path, measured: list[Record], real: Any) -> None:
    path = tmp_path / "history.jsonl"
    measured += real
    for _ in range(2):
        assert cli("bench", "--json", path).code == 0
    assert read_history(path) == [*real, *real]


def test_csv_and_markdown(
    cli: Cli, tmp_path: Path, measured: list[Record], real: list[Record]
) -> None:
    measured += real
    done = cli("bench", "--csv", "-", "--markdown", tmp_path / "page.md")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["seconds"] for row in rows] == ["1.0", "10.0"]
    assert float(rows[0]["p50_ms"]) == real[0].latency.p50_ms
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page.startswith("| length | system | p50 ms |") and "\n| --- |" in page
    assert "\n- p50: samples in memory" in page


# --- gates


def test_budgets_that_hold(cli: Cli, measured: list[Record], real: list[Record]) -> None:
    measured += real
    budgets = ("latency_ms=1000@1s", "size_mb=3", "rss_mb=1000", "rtf=0.9")
    done = cli("bench", "--seconds", "1,10", "--budget", *budgets)
    assert done.code == 0 and done.err == ""
    assert done.out.endswith("budgets: latency_ms=1000@1s, size_mb=3, rss_mb=1000, rtf=0.9: kept\n")


@pytest.mark.parametrize(
    "budget", ["latency_ms=0.001@1s", "size_mb=1.8", "rss_mb=1", "rtf=0.000001"]
)
def test_a_budget_that_breaks_is_named_and_the_exit_code_is_1(
    cli: Cli, measured: list[Record], real: list[Record], budget: str
) -> None:
    measured += real
    done = cli("bench", "--seconds", "1,10", "--budget", budget, "load_ms=1e6")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"edge-ser: error: budget: expected every budget kept, found {budget}: ")
    assert "load_ms" not in line and "p50 ms" in done.out, "the table is still printed"


def slower(records: list[Record], factor: float, preempted: float = 0.0) -> list[Record]:
    """The same records with other times, from a machine that did nothing else, or did."""

    def times(record: Record) -> Record:
        t = record.latency
        return replace(
            record,
            latency=replace(
                t,
                p10_ms=factor * t.p10_ms,
                p50_ms=factor * t.p50_ms,
                low_ms=factor * t.low_ms,
                high_ms=factor * t.high_ms,
                preempted=preempted,
            ),
        )

    return [times(r) for r in records]


@pytest.mark.parametrize(
    ("factor", "threshold", "code"),
    [(1.0, "0.1", 0), (0.2, "0.1", 0), (9.0, "0.1", 1), (9.0, "20", 0)],
)
def test_comparison_with_an_earlier_run(
    cli: Cli,
    tmp_path: Path,
    measured: list[Record],
    real: list[Record],
    factor: float,
    threshold: str,
    code: int,
) -> None:
    append(tmp_path / "old.jsonl", slower(real, 1))
    measured += slower(real, factor)
    done = cli("bench", "--compare", tmp_path / "old.jsonl", "--threshold", threshold)
    assert done.code == code, done
    assert "compared with 1 earlier run\n" in done.out
    assert ("REGRESSION" in done.out) == bool(code)
    if code:
        (line,) = done.err.splitlines()
        assert (
            "comparison: expected nothing worse by more than 10%, found default/onnx, 1 s" in line
        )
        assert "latency ms 9.00 times; default/onnx, 10 s" in line


def test_a_busy_machine_is_warned_of_and_not_judged(
    cli: Cli, tmp_path: Path, measured: list[Record], real: list[Record]
) -> None:
    append(tmp_path / "old.jsonl", slower(real, 1))
    measured += slower(real, 9, preempted=0.8)
    done = cli("bench", "--compare", tmp_path / "old.jsonl")
    assert done.code == 0
    assert "not judged" in done.out and "REGRESSION" not in done.out
    assert "the machine was busy: up to 80% of a row's runs were interrupted" in done.out
    (line,) = done.err.splitlines()
    assert line.startswith("edge-ser: warning: 3 figures were not compared")


def test_two_real_runs_compare(cli: Cli, tmp_path: Path, real: list[Record]) -> None:
    append(tmp_path / "old.jsonl", real)
    done = cli(*ONE, "--compare", tmp_path / "old.jsonl", "--threshold", "30")
    assert done.code == 0, done.err
    assert "latency ms" in done.out and "size MB" in done.out


def test_nothing_to_compare_with_is_no_success(
    cli: Cli, tmp_path: Path, measured: list[Record], real: list[Record]
) -> None:
    append(tmp_path / "old.jsonl", [replace(r, system="another") for r in real])
    measured += real
    done = cli("bench", "--compare", tmp_path / "old.jsonl")
    assert "found none among 2 records" in done.error()
    assert "p50 ms" in done.out, "what was measured is not lost"


# --- bad input: named, and everything else is still measured


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
