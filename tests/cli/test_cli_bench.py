import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.bench_commands import ONE

from edge_ser.bench.records import Record, append, read_history
from edge_ser.data import DEFAULT_BUNDLE

Cli = Callable[..., Any]


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
    listed = (file for file in DEFAULT_BUNDLE.iterdir() if file.name != "manifest.json")
    size = sum(file.stat().st_size for file in listed)
    assert one.size_mb == pytest.approx(size / 1e6, abs=1e-6) and 2.9 < one.size_mb < 3.1
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
    budgets = ("latency_ms=1000@1s", "size_mb=3.1", "rss_mb=1000", "rtf=0.9")
    done = cli("bench", "--seconds", "1,10", "--budget", *budgets)
    assert done.code == 0 and done.err == ""
    assert done.out.endswith(
        "budgets: latency_ms=1000@1s, size_mb=3.1, rss_mb=1000, rtf=0.9: kept\n"
    )


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
