"""Peers: processes of their own, pages of made-up figures, and what cannot be installed."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
import torch
from peers_ import environments, page
from peers_.environments import Environment, install, make
from peers_.link import Clock, PeerError, Worker, build
from peers_.tiny import LogMel, Wav2Small

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.measure import Plan, measure

PYTHON = Path(sys.executable)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npy"
    np.save(path, np.random.default_rng(0).standard_normal((1, 16_000), np.float32))
    return path


def test_a_worker_loads_runs_and_answers(samples: Path, tmp_path: Path) -> None:
    worker = Worker(PYTHON, tmp_path / "log")
    try:
        arguments = {"graph": str(DEFAULT_BUNDLE / "model.onnx"), "samples": str(samples)}
        worker.ask("prepare", function="load_onnx", arguments=arguments)
        assert worker.ask("run")["seconds"] > 0
        found = worker.ask("answer")
        assert len(found["answer"]) == 3 and found["rss"] > 1e7
    finally:
        worker.close()


@pytest.mark.slow
def test_eager_pytorch_answers_as_the_graph_does(samples: Path, tmp_path: Path) -> None:
    answers = []
    for function, arguments in (
        ("load_onnx", {"graph": str(DEFAULT_BUNDLE / "model.onnx")}),
        ("load_eager", {"checkpoint": "spectral"}),
    ):
        worker = Worker(PYTHON, tmp_path / "log")
        try:
            given = {**arguments, "samples": str(samples)}
            worker.ask("prepare", function=function, arguments=given)
            answers.append(worker.ask("answer")["answer"])
        finally:
            worker.close()
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-4)


def test_a_peer_that_fails_says_why(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="no_such_function"):
        build(PYTHON, tmp_path / "log", "no_such_function", {})
    worker = Worker(PYTHON, tmp_path / "log")
    try:
        with pytest.raises(PeerError, match=r"none\.onnx"):
            worker.ask("prepare", function="load_onnx",
                       arguments={"graph": "none.onnx", "samples": str(samples)})  # fmt: skip
    finally:
        worker.close()


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    worker = Worker(program, tmp_path / "log")
    with pytest.raises(PeerError, match="ended with status 3"):
        worker.ask("run")
    worker.close()


def test_time_between_processes_counts_for_nobody() -> None:
    clock = Clock()

    def run(seconds: float) -> Any:
        def work(batch: None) -> None:
            clock.seconds += seconds

        return work

    plan = Plan(min_rounds=12, max_rounds=12)
    found = measure({"a": run(0.5), "b": run(1.0)}, None, plan, clock=clock)
    assert found.ratio("a", "b").value == 0.5
    assert found.timings["b"].median().value == 1.0


def test_what_cannot_be_installed_is_reported(tmp_path: Path) -> None:
    wheel = tmp_path / "no_such_wheel-1.0-py3-none-any.whl"
    error = install(PYTHON, [str(wheel)])
    assert error.startswith("cannot be installed: ") and "no_such_wheel" in error
    (tmp_path / "torch").write_text("in the way of a folder")
    assert make("torch", tmp_path).error.startswith("cannot be installed: ")


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "known"
    root.mkdir()
    (root / "installed.json").write_text(json.dumps({"wanted": ["x"], "versions": {"x": "1"}}))
    monkeypatch.setitem(environments.ENVIRONMENTS, "known", ("x",))
    found = make("known", tmp_path)
    assert (found.error, found.versions) == ("", {"x": "1"})


# The tiny class


def test_wav2small_has_the_published_shape() -> None:
    model = Wav2Small().eval()
    # front end 66 x 64 + 33 x 26, stack 13 x 9 x 79 + 7 x 26, attention 2 x 182, scores 339 x 3
    assert sum(p.numel() for p in model.parameters()) == 4224 + 858 + 9243 + 182 + 364 + 1017
    with torch.inference_mode():
        assert model(torch.randn(2, 16_000)).shape == (2, 3)


def test_the_log_mel_front_end_finds_a_tone() -> None:
    time = torch.arange(16_000) / 16_000
    with torch.inference_mode():
        mel = LogMel(400, 160, 64)(torch.sin(2 * torch.pi * 1000 * time)[None])
    assert mel.shape == (1, 1, 101, 64)
    # 1000 Hz is 1000 mel of 2840: band 22 of 64, whose centre is at 23 / 65 of the scale
    assert mel[0, 0, 50].argmax() in (21, 22, 23)


# Pages


def row(name: str, ms: float, **other: Any) -> dict[str, Any]:
    interval = {"value": ms, "low": 0.9 * ms, "high": 1.1 * ms}
    return {
        "name": name, "environment": "x", "note": "", "other_model": False, "error": "",
        "ms": interval, "ratio": {k: v / 10 for k, v in interval.items()}, "rounds_ms": [ms],
        "file_bytes": 2e6, "rss_bytes": 7e7, "installed_bytes": 1.6e8, "difference": 1e-6, **other,
    }  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "size": "default",
        "seconds": 5.0,
        "rounds": 12,
        "state": {"before": {"load_1min": 0.25}, "after": {}},
        "systems": [
            row("PyTorch eager", 10.0, difference=0.0),
            row("edge-ser INT8", 4.0),
            row("Tiny", 20.0, other_model=True, note="other model", difference=None),
            {**row("Broken", 1.0), "ms": None, "error": "cannot be installed: a | b"},
        ],
        "verdicts": {"edge-ser INT8": {"PyTorch eager": "faster", "Tiny": "no difference"}},
    }


def test_the_table_is_ordered_and_claims_no_more_than_is_known(record: dict[str, Any]) -> None:
    text = page.table(record)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [r.split("|")[1].strip() for r in rows] == [
        "**edge-ser INT8**", "PyTorch eager", "Tiny (other model)", "Broken",
    ]  # fmt: skip
    assert "0.40 (0.36..0.44)" in rows[0]
    assert "cannot be installed: a / b" in rows[3]
    assert len({r.count("|") for r in rows}) == 1
    assert "12 rounds, load average 0.25 on the machine when they began" in text
    assert "- edge-ser INT8: faster than PyTorch eager; no difference found to Tiny." in text


def test_without_the_reference_times_still_stand(record: dict[str, Any]) -> None:
    record["systems"] = [row("edge-ser INT8", 4.0, ratio=None), row("Tiny", 5.0, ratio=None)]
    text = page.table(record)
    assert "| **edge-ser INT8** | 4.00 | 3.60..4.40 | - |" in text


def test_results_keep_the_sizes_of_earlier_runs(
    record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "RESULTS", tmp_path)
    made = {"torch": Environment("torch", PYTHON, {"torch": "2.13.0"}, 10**9),
            "audonnx": Environment("audonnx", PYTHON, error="cannot be installed: no")}  # fmt: skip
    peers.write([record], made)
    peers.write([{**record, "size": "wavlm-base"}], made)
    document = json.loads((tmp_path / "peers.json").read_text())
    assert [r["size"] for r in document["results"]] == ["default", "wavlm-base"]
    text = (tmp_path / "peers.md").read_text()
    assert "## default" in text and "## wavlm-base" in text
    assert "cannot be installed: no" in text and "torch 2.13.0" in text
    assert "python benchmarks/peers.py --sizes default wavlm-base" in text
    assert (tmp_path / "peers.png").read_bytes()[1:4] == b"PNG"
