"""`edge-ser verify` and `edge-ser inspect`."""

import json
import platform
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import ParitySummary
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs

Cli = Callable[..., Any]
TinyBundle = Callable[..., Path]
ONE = ("--threads", "1")


def change_answers(bundle: Path, change: Callable[[Outputs], Outputs]) -> None:
    """Other recorded answers of the reference, in a bundle that is sound otherwise."""
    manifest = Bundle.open(bundle).manifest
    golden = Golden.load(bundle / "golden.npz")
    replace(golden, reference=change(golden.reference)).save(bundle / "golden.npz")
    seal(bundle, manifest)
    Bundle.open(bundle)


def other_vad(answers: Outputs) -> Outputs:
    vad = answers.vad.copy()
    vad[0, 1] += 0.01
    return Outputs.of(vad, answers.region_logits)


def other_logits(answers: Outputs) -> Outputs:
    assert answers.region_logits is not None
    return Outputs.of(answers.vad, answers.region_logits + np.float32(0.1))


# verify


def test_the_default_bundle_is_verified(cli: Cli) -> None:
    done = cli("verify")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert "files as recorded" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["recorded", "batched", "own"]
    assert lines[-1].startswith("verified: this device gives the reference's answers, with onnx (")
    assert lines[-2] == f"fingerprint {Bundle.open(DEFAULT_BUNDLE).fingerprint}"


def test_verify_as_json(cli: Cli, ser: Any) -> None:
    done = cli("verify", DEFAULT_BUNDLE, "--json", *ONE)
    assert done.code == 0 and done.err == ""
    record = json.loads(done.out)
    assert record["passed"] is True and record["failures"] == []
    assert record["fingerprint"] == ser.bundle.fingerprint
    assert record["bundle"] == ser.manifest.name and record["target"] == ser.manifest.target
    count = len(ser.bundle.golden().names)
    assert {name: group["count"] for name, group in record["groups"].items()} == {
        "recorded": count, "batched": count, "own": 2 * count
    }  # fmt: skip
    assert set(record["judged"]) == set(record["groups"]) and record["notes"] == []
    for group in record["groups"].values():
        assert 0 <= group["vad_max"] <= ser.manifest.limits.vad
        assert group["flips_far"] == 0


def test_a_zip_is_verified(cli: Cli, zip_bundle: Callable[..., Path], tmp_path: Path) -> None:
    assert cli("verify", zip_bundle(DEFAULT_BUNDLE, tmp_path / "b.zip"), *ONE).code == 0


@pytest.mark.parametrize(
    ("change", "what"), [(other_vad, "VAD differs by"), (other_logits, "region logits differ by")]
)
def test_other_answers_than_recorded_fail_with_1(
    change: Callable[[Outputs], Outputs], what: str, cli: Cli, bundle_dir: Path
) -> None:
    change_answers(bundle_dir, change)
    done = cli("verify", bundle_dir, *ONE)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("edge-ser: error: verification of ")
    assert "expected the reference's answers, found" in line and what in line
    assert "recorded" in line and "batched" in line and "limit" in line and "own" not in line
    assert "do not ship" in line
    assert "verified" not in done.out


def test_failures_as_json(cli: Cli, bundle_dir: Path) -> None:
    change_answers(bundle_dir, other_vad)
    done = cli("verify", bundle_dir, "--json", *ONE)
    assert done.code == 1
    record = json.loads(done.out)
    assert record["passed"] is False
    assert len(record["failures"]) == 2 and "VAD differs" in record["failures"][0]
    assert record["groups"]["recorded"]["vad_max"] == pytest.approx(0.01, abs=1e-4)
    assert record["groups"]["recorded"]["worst"] == 0
    assert len(done.err.splitlines()) == 1


def test_stricter_limits_of_the_bundle_decide(cli: Cli, bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    seal(bundle_dir, replace(manifest, limits=replace(manifest.limits, vad=1e-9)))
    done = cli("verify", bundle_dir, *ONE)
    assert done.code == 1
    assert "recorded: VAD differs by" in done.err and "limit 1e-09" in done.err
    assert "note     manifest and parity.json disagree about the limits" in done.out


@pytest.mark.parametrize("vad", [0.02, 1e6])
def test_no_bundle_has_looser_limits_than_its_target(
    vad: float, cli: Cli, bundle_dir: Path
) -> None:
    change_answers(bundle_dir, other_vad)
    manifest = Bundle.open(bundle_dir).manifest
    loose = replace(manifest.limits, vad=vad, region_logits=1e6)
    seal(bundle_dir, replace(manifest, limits=loose))
    done = cli("verify", bundle_dir, *ONE)
    assert done.code == 1 and "verified" not in done.out
    assert "recorded: VAD differs by 1.00e-02, limit 1e-04" in done.err
    assert (
        f"the manifest's limits are weaker than onnx-fp32 allows, and were replaced: vad {vad:g} "
        "(at most 1e-04), region_logits 1e+06 (at most 1e-03)" in done.out
    )


def test_a_loosened_record_of_the_proof_loosens_nothing(cli: Cli, bundle_dir: Path) -> None:
    change_answers(bundle_dir, other_vad)
    manifest = Bundle.open(bundle_dir).manifest
    record = json.loads((bundle_dir / "parity.json").read_text())
    record["limits"] = {"vad": 1e6, "region_logits": 1e6}
    (bundle_dir / "parity.json").write_text(json.dumps(record))
    seal(bundle_dir, manifest)
    done = cli("verify", bundle_dir, *ONE)
    assert done.code == 1 and "limit 1e-04" in done.err
    assert "manifest and parity.json disagree about the limits" in done.out


def test_a_foreign_graph_is_refused_whatever_the_limits_say(
    cli: Cli, bundle_dir: Path, tmp_path: Path
) -> None:
    model = onnx.load(bundle_dir / "model.onnx")
    (output,) = [o for o in model.graph.output if o.name == "vad"]
    for node in model.graph.node:
        node.output[:] = ["vad_of_another" if o == "vad" else o for o in node.output]
    model.graph.node.append(onnx.helper.make_node("Neg", ["vad_of_another"], [output.name]))
    onnx.save(model, bundle_dir / "model.onnx")
    manifest = Bundle.open(DEFAULT_BUNDLE).manifest
    seal(bundle_dir, replace(manifest, limits=replace(manifest.limits, vad=1e6)))
    done = cli("verify", bundle_dir, *ONE)
    assert done.code == 1 and "verified" not in done.out
    assert "recorded: VAD differs" in done.err and "own: VAD differs" in done.err


def test_a_bundle_without_recorded_answers_cannot_be_verified(cli: Cli, bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    (bundle_dir / "golden.npz").unlink()
    seal(bundle_dir, manifest)
    line = cli("verify", bundle_dir, *ONE).error()
    assert "expected golden.npz, found none" in line


def test_verify_finds_an_altered_file(cli: Cli, bundle_dir: Path) -> None:
    data = bytearray((bundle_dir / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle_dir / "model.onnx").write_bytes(data)
    line = cli("verify", bundle_dir, *ONE).error()
    assert "model.onnx: expected sha256" in line and "altered" in line


def test_answers_of_an_earlier_version_are_judged_as_far_as_they_go(cli: Cli) -> None:
    bundle = Path(__file__).parents[1] / "data" / "bundles-schema-1" / "onnx-int8.zip"
    done = cli("verify", bundle, *ONE)
    assert done.code == 0
    count = len(Bundle.open(bundle).golden().names)
    note = (
        f"{count} clips, recorded by an earlier version: the bundle's own answers and statistics "
        "are not judged"
    )
    assert [line for line in done.out.splitlines() if "judged" in line] == [f"note     {note}"]
    record = json.loads(cli("verify", bundle, *ONE, "--json").out)
    assert record["notes"] == [note] and record["not_judged"] == []
    assert set(record["judged"]) == set(record["groups"]) == {"recorded", "batched"}
    assert {limits.get("ccc") for limits in record["judged"].values()} == {None}


# verify --report


def test_the_report_of_the_default_bundle(cli: Cli, ser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = cli("verify", DEFAULT_BUNDLE, "--report", path, *ONE)
    assert done.code == 0 and done.err == ""
    assert f"report: {path}" in done.out.splitlines()
    html = path.read_text(encoding="utf-8")
    for word in (ser.manifest.name, ser.manifest.target, "Passed", "On this device", "<svg"):
        assert word in html
    assert str(tmp_path) not in html


def test_the_report_says_what_ran_where(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert cli("verify", "--report", path, "--provider", "cpu", *ONE).code == 0
    html = path.read_text(encoding="utf-8")
    assert re.search(r"<td>20\d\d-\d\d-\d\d \d\d:\d\d UTC</td>", html)
    runtime = f"onnx (onnxruntime {onnxruntime.__version__}), provider cpu, 1 thread, edge-ser "
    assert runtime + edge_ser.__version__ in html
    assert f"{platform.machine()}, " in html
    assert "the recorded answers, on the device; the checkpoint itself, when" in html


def test_the_report_beside_json(cli: Cli, zip_bundle: Callable[..., Path], tmp_path: Path) -> None:
    zipped = zip_bundle(DEFAULT_BUNDLE, tmp_path / "b.zip")
    done = cli("verify", zipped, "--report", tmp_path / "r.html", "--json", *ONE)
    assert done.code == 0 and json.loads(done.out)["passed"] is True
    assert (tmp_path / "r.html").is_file()


def test_a_failed_verification_is_reported_too(cli: Cli, bundle_dir: Path, tmp_path: Path) -> None:
    change_answers(bundle_dir, other_vad)
    done = cli("verify", bundle_dir, "--report", tmp_path / "r.html", *ONE)
    assert done.code == 1
    assert [line.split(": ")[-1] for line in done.out.splitlines() if " utterances: " in line] == [
        "OUTSIDE its limits", "OUTSIDE its limits", "within its limits",
    ]  # fmt: skip
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Failed" in html and "Passed" not in html
    assert "this device, recorded: VAD differs by 1.00e-02" in html


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("none/r.html", "expected an existing folder, found no folder"),
        (".", "expected a file to write, found a directory"),
        ("bundle/manifest.json", "expected a file outside the bundle"),
        ("bundle.html/r.html", "expected an existing folder"),
    ],
)
def test_no_report_where_none_can_be(
    place: str, words: str, cli: Cli, bundle_dir: Path, tmp_path: Path
) -> None:
    before = {p: p.stat().st_size for p in tmp_path.rglob("*")}
    done = cli("verify", bundle_dir, "--report", tmp_path / place, *ONE)
    assert words in done.error()
    assert done.out == "", "nothing was run"
    assert {p: p.stat().st_size for p in tmp_path.rglob("*")} == before


def test_no_report_of_a_bundle_without_its_comparisons(
    cli: Cli, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    done = cli("verify", tiny_bundle(), "--report", tmp_path / "r.html", *ONE)
    assert "expected parity.json, found none" in done.error()
    assert not (tmp_path / "r.html").exists()


# inspect


def test_inspect_tells_people_what_the_bundle_is(cli: Cli, ser: Any) -> None:
    done = cli("inspect")
    assert done.code == 0 and done.err == ""
    m = ser.manifest
    for word in (
        m.name, m.target, m.architecture["summary"], f"opset {m.opset}", "16000 Hz",
        "8: I exuberant, II relaxed", m.licence, m.provenance.command, "samples float32",
        ser.bundle.fingerprint,
    ):  # fmt: skip
        assert word in done.out
    for entry in m.files:
        assert entry.path in done.out and f"{entry.bytes:,} bytes" in done.out
        assert entry.sha256[:16] in done.out


def test_inspect_json_is_the_manifest(cli: Cli, bundle_dir: Path) -> None:
    done = cli("inspect", bundle_dir, "--json")
    assert done.code == 0 and done.err == ""
    assert json.loads(done.out) == json.loads((bundle_dir / "manifest.json").read_text())


def test_inspect_of_a_zip_is_that_of_the_directory(
    cli: Cli, zip_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "b.zip", "b/")
    assert cli("inspect", path).out == cli("inspect", DEFAULT_BUNDLE).out
    zipped = cli("inspect", path, "--json")
    assert zipped.code == 0, zipped.err
    assert zipped.out == cli("inspect", DEFAULT_BUNDLE, "--json").out


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("provenance", {}, ""),
        ("provenance", {"weather": "mild"}, ""),
        ("provenance", {"checkpoint": "model.pt"}, "provenance: checkpoint: expected an object"),
        ("provenance", {"checkpoint": {"assumed": 3}}, "checkpoint: assumed: expected a list"),
        ("provenance", {"versions": ["torch"]}, "provenance: versions: expected an object"),
        ("parity", {}, ""),
        ("parity", {"passed": True}, ""),
        ("parity", {"vad_max": "small"}, "parity: vad_max: expected a finite number"),
        ("lowered", {"speed": {"speedup": []}}, "lowered: speed: speedup: expected a finite"),
    ],
)
def test_inspect_reads_what_is_recorded_and_refuses_what_is_no_record(
    part: str,
    value: dict[str, Any],
    words: str,
    cli: Cli,
    tiny_bundle: TinyBundle,
    edit_manifest: Callable[..., None],
) -> None:  # fmt: skip
    bundle = tiny_bundle()
    edit_manifest(bundle, lambda m: m.update({part: value}))
    done = cli("inspect", bundle)
    if words:
        assert done.code == 2 and words in done.error()
    else:
        assert done.code == 0, done.err
        assert "tiny" in done.out


@pytest.mark.parametrize(
    "command", [("verify",), ("bench", "--seconds", "1", "--rounds", "2", "--processes", "0")]
)
def test_whatever_judges_a_bundle_refuses_evidence_that_is_none(
    command: tuple[str, ...],
    cli: Cli,
    bundle_dir: Path,
    edit_manifest: Callable[..., None],
) -> None:
    edit_manifest(bundle_dir, lambda m: m.update(lowered={"speed": {"speedup": []}}))
    done = cli(*command, bundle_dir)
    assert done.code == 2
    assert "manifest.json: lowered: speed: speedup: expected a finite number" in done.err
    assert cli("predict", "--threads", 1, bundle_dir).code == 0, "it needs no evidence"


def test_inspect_shows_what_was_assumed_and_that_parity_failed(
    cli: Cli, tiny_bundle: TinyBundle
) -> None:
    provenance = Provenance(CheckpointOrigin("run", "ab" * 32, ("neutral radius",)))
    parity = ParitySummary(passed=False, utterances=7, vad_max=0.5)
    bundle = tiny_bundle(change=lambda m: m.with_parts(provenance=provenance, parity=parity))
    done = cli("inspect", bundle)
    assert done.code == 0
    assert "neutral radius" in done.out
    assert "FAILED, 7 runs" in done.out
