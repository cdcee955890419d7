"""What is signed: which bundle, made of what, proved on which speech."""

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from helpers.evidence import FP32, MACHINE, Page, document
from helpers.manifest_parts import ENGINE

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Calibration, Lowering
from edge_ser.bundle.manifest import FileEntry, Manifest
from edge_ser.report.data import load_evidence, read_evidence
from edge_ser.report.origin import Writing
from edge_ser.report.page import write_report
from edge_ser.report.signing import signing_rows

SPEECH = {
    "lengths": {"source": "the package's samples", "files": [["a.flac", "1" * 64]]},
    "agreement": {"source": "call centre", "files": [["b.wav", "2" * 64], ["c.wav", "3" * 64]]},
    "recorded": {"source": "the package's clips", "files": [["d.flac", "4" * 64]]},
}


@pytest.fixture(scope="module")
def manifest(ser: edge_ser.Recognizer) -> Manifest:
    return replace(ser.manifest, name="tiny", limits=FP32)


def signed(manifest: Manifest, **changes: Any) -> list[tuple[str, str]]:
    evidence = read_evidence(document() | changes, "x")
    return signing_rows(manifest, evidence, "f" * 64, "edge-ser 9.9")


def test_hashes_are_those_of_the_files(manifest: Manifest, ser: edge_ser.Recognizer) -> None:
    rows = dict(signed(manifest))
    graph = next(f for f in ser.manifest.files if f.path == ser.manifest.graph)
    assert rows["fingerprint"] == "f" * 64 and "f" * 64 in rows["manifest.json"]
    assert rows[ser.manifest.graph] == f"sha256 {graph.sha256}"
    sha256 = manifest.provenance.checkpoint.sha256
    assert sha256 is not None and rows["made from"] == f"checkpoint sha256 {sha256}"
    assert rows["product"].endswith("page by edge-ser 9.9")
    assert "exported by edge-ser " in rows["product"]
    dated = replace(manifest.provenance, date="2031-05-06T07:08:09Z")
    rows = dict(signed(manifest.with_parts(provenance=dated)))
    assert " at 2031-05-06T07:08:09Z; page by" in rows["product"]


def test_an_engine_and_its_graph_are_signed_too(manifest: Manifest) -> None:
    files = (
        *manifest.files,
        FileEntry("typed.onnx", 1, "a" * 64),
        FileEntry("a.engine", 1, "b" * 64),
        FileEntry(f"{manifest.graph}.data", 1, "c" * 64),
    )
    engine = replace(ENGINE, graph="typed.onnx")
    rows = dict(signed(replace(manifest, files=files).with_parts(engine=engine)))
    assert rows["typed.onnx"] == f"sha256 {'a' * 64}"
    assert rows["a.engine"] == f"sha256 {'b' * 64}"
    assert rows[f"{manifest.graph}.data"] == f"sha256 {'c' * 64}"


def test_synthetic_calibration_is_said(manifest: Manifest) -> None:
    own = Calibration(source="built-in samples", default=True, fit=8, judge=9, fingerprint="abc")
    words = dict(signed(manifest.with_parts(lowered=Lowering(calibration=own))))["calibration"]
    assert words == (
        "8 utterances of built-in samples (synthetic speech, the package's own), judged on 9 "
        "others; fingerprint of all abc"
    )
    real = replace(own, source="call centre", default=False)
    words = dict(signed(manifest.with_parts(lowered=Lowering(calibration=real))))["calibration"]
    assert "synthetic" not in words and "call centre" in words
    assert dict(signed(manifest.with_parts(lowered=None)))["calibration"] == "none"


def test_the_speech_of_the_proof_is_listed(manifest: Manifest) -> None:
    lists = [words for name, words in signed(manifest, speech=SPEECH) if name == "speech"]
    assert lists == [
        "1 file of the package's samples, synthetic: a.flac",
        "2 files of call centre: b.wav, c.wav",
        "1 file of the package's clips, synthetic: d.flac",
    ]
    # of a version that did not record files, what its comparisons are named after
    rows = [w for n, w in signed(manifest, **document(group="speech")) if n == "speech"]
    assert rows == ["as named by the comparisons: utterance 0"]


def test_a_page_has_room_for_a_signature(bundle_dir: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    written = Writing(datetime(2031, 5, 6, tzinfo=timezone.utc), MACHINE, "onnx")
    write_report(tmp_path / "r.html", bundle, load_evidence(bundle), written=written)
    read = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "To sign" in read.text and read.text.count(bundle.fingerprint) >= 3
    signed_part = read.text.split("To sign")[1]
    assert "2031-05-06 00:00 UTC" in signed_part and str(MACHINE) in signed_part
    for field in ("Name", "Role", "Date", "Signature"):
        assert field in read.text
