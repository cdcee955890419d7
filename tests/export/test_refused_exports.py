"""What an export leaves that was refused: a page, the same as JSON, and the bundle if asked."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from helpers.evidence import Page
from helpers.export_sessions import Speech, open_session, sabotaged
from helpers.traced_graphs import TINY

from edge_ser.bundle.bundle import Bundle, is_bundle
from edge_ser.cli import main
from edge_ser.errors import GateError
from edge_ser_export import pipeline
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.options import ExportOptions
from edge_ser_export.precision import lower
from edge_ser_export.proof.speed import Speed
from edge_ser_export.refusal import RefusedError


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose products integers hardly reach: no recipe of INT8 passes."""
    path = tmp_path_factory.mktemp("narrow") / "narrow.safetensors"
    save_checkpoint(TINY["wav2vec2-group"](), path)
    return path


def export(checkpoint: Path, out: Path, *more: str) -> int:
    return main(["export", str(checkpoint), "-o", str(out), *more])


def read(out: Path) -> tuple[dict[str, Any], str]:
    page = out.with_name(f"{out.name}.refused.html")
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


def test_int8_that_is_refused_tells_what_was_tried(
    narrow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert export(narrow, out, "--target", "onnx-int8") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert "; no bundle was written; every attempt, and what to try, is in " in line
    assert line.endswith(f"{out}.refused.html")
    assert {p.name for p in tmp_path.iterdir()} == {"bundle.refused.html", "bundle.refused.json"}
    assert not any(is_bundle(p) for p in tmp_path.iterdir())
    told, page = read(out)
    assert (told["refused"], told["target"]) == (True, "onnx-int8")
    assert len(told["attempts"]) >= 4
    for attempt in told["attempts"]:
        assert attempt["failures"] and attempt["bytes"] > 0 and not attempt["passed"]
        assert {"ccc", "angle_mean_degrees", "vad_p99", "integer_share"} <= set(attempt)
    assert told["calibration"]["fit"] == 8
    text = Page(page).text
    for attempt in told["attempts"]:
        assert attempt["recipe"] in text
    assert told["command"] == f"edge-ser export {narrow} --target onnx-int8 --out {out}"
    # each step is a command that this version takes
    assert [step.split(": ")[0] for step in told["advice"]] == [
        "export in fp16", "export in fp32", "keep the nearest bundle, to study it and not to ship",
    ]  # fmt: skip
    assert told["advice"][0].endswith(f"edge-ser export {narrow} --target onnx-fp16 --out {out}")


def test_the_nearest_is_kept_when_asked_and_marked_as_failed(
    narrow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    command = ("--target", "onnx-int8", "--recipe", "static")
    assert export(narrow, out, *command, "--keep-failed") == 1
    assert "the bundle was kept as asked; do not ship it" in capsys.readouterr().err
    told, page = read(out)
    assert "Refused: the bundle was kept as asked; do not ship it." in Page(page).text
    manifest = Bundle.open(out).manifest
    assert manifest.parity is not None and manifest.lowered is not None
    assert manifest.parity.passed is False
    assert manifest.lowered.passed is False
    assert manifest.lowered.recipe in {a["recipe"] for a in told["attempts"]}
    assert json.loads((out / "parity.json").read_text())["passed"] is False
    assert main(["inspect", str(out)]) == 0
    assert "FAILED" in capsys.readouterr().out


def test_a_slow_bundle_is_kept_and_refused_as_well(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Speed(5.0, 10.0, 20.0, 0.5, 0.49, 0.51, 9, "slower")
    monkeypatch.setattr(lower, "graph_speed", lambda *_: slow)
    out = tmp_path / "bundle"
    command = ("--target", "onnx-fp16", "--fp16-form", "compute")
    assert export(plain, out, *command) == 1
    told, _ = read(out)
    assert told["found"].startswith("0.50 times")
    assert told["attempts"][0]["speed"]["speedup"] == 0.5
    assert told["advice"][0] == (
        f"write it for another machine: edge-ser export {plain} --target onnx-fp16 --out {out} "
        "--fp16-form compute --force"
    )
    assert export(plain, out, *command, "--keep-failed") == 1
    assert Bundle.open(out).manifest.parity.passed is False
    assert export(plain, out, *command, "--force") == 0
    assert Bundle.open(out).manifest.parity.passed is True
    # what an earlier export was refused for is no longer true
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_float32_that_is_refused(plain: Path, speech: Speech, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(GateError) as caught:
        pipeline.export(ExportOptions(str(plain), out=out, speech=speech), sabotaged)
    told, page = read(out)
    attempt = told["attempts"][0]
    assert attempt["vad_max"] == pytest.approx(2e-3, rel=0.05)
    groups = [f.split(":")[0] for f in attempt["failures"]]
    assert groups == ["single", "padded", "files", "recorded", "batched"]
    assert "fp32, at the gate" in Page(page).text
    # what it was told from reaches a process that waits for the export
    cause = caught.value.__cause__
    assert isinstance(cause, RefusedError) and cause.parity is not None
    again = pickle.loads(pickle.dumps(cause))
    assert type(again) is RefusedError and again.parity is not None
    assert (str(again), again.exit_code, again.args) == (str(cause), 1, cause.args)
    assert (again.lowered, again.outcome) == (cause.lowered, "no bundle was written")
    assert again.graph_bytes == cause.graph_bytes == attempt["bytes"]
    assert again.parity.to_dict() == cause.parity.to_dict()


def test_a_page_that_cannot_be_written_does_not_hide_the_gate(
    plain: Path, speech: Speech, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    (tmp_path / "bundle.refused.html").mkdir()
    with pytest.raises(GateError, match=r"single: VAD differs.*and there is no page about it \("):
        pipeline.export(ExportOptions(str(plain), out=out, speech=speech), sabotaged)
    (tmp_path / "bundle.refused.html").rmdir()
    pipeline.export(ExportOptions(str(plain), out=out, speech=speech), open_session)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"], "the JSON of the refusal went, too"
