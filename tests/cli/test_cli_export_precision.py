"""`edge-ser export` to lower precisions: from the command to a bundle that answers, or advice."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from helpers.documents import check_documents
from helpers.trace_once import folder, trace_once

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Lowering
from edge_ser.bundle.files import PARITY, SENSITIVITY
from edge_ser.cli import main
from edge_ser.fidelity.limits import FP16_LIMITS, INT8_LIMITS
from edge_ser.host.cpu import integer_preset
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.rewrite import strip_metadata

Cli = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("traced_once")


@dataclass
class Done:
    """What an export left."""

    bundle: Path
    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[str]:
        """Lines on stderr, but for the progress that a slow machine is told every half minute."""
        return [line for line in self.err.splitlines() if " so far" not in line]

    @property
    def lowered(self) -> Lowering:
        return Bundle.open(self.bundle).manifest.lowered


def export(bundle: Path, *arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["export", "-o", str(bundle), *arguments])
    return Done(bundle, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def plain_size() -> int:
    """Bytes of the float32 graph, whose weights are not halved."""
    path = folder() / "model.onnx"
    trace_once(load_checkpoint("spectral").model, path, 192_000, 400)
    model = onnx.load(path)
    strip_metadata(model)
    return int(model.ByteSize())


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return export(tmp_path_factory.mktemp("int8") / "bundle", "--target", "onnx-int8")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return export(tmp_path_factory.mktemp("weights") / "bundle", "--target", "onnx-fp16")


@pytest.fixture(scope="module")
def compute(tmp_path_factory: pytest.TempPathFactory) -> Done:
    bundle = tmp_path_factory.mktemp("compute") / "bundle"
    return export(bundle, "--target", "onnx-fp16", "--fp16-form", "compute", "--force")


@pytest.fixture(scope="module", params=["int8", "weights", "compute"])
def done(request: pytest.FixtureRequest) -> Done:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Done)
    return found


def test_it_succeeds_and_says_what_it_did(done: Done) -> None:
    assert done.code == 0, done.err
    assert done.messages == [
        "edge-ser: warning: no --calibration; the built-in samples are synthetic: calibrate with "
        "speech like that of the device"
    ]
    lines = done.out.splitlines()
    assert lines[-3].startswith(f"{done.bundle}: {Bundle.open(done.bundle).manifest.target}, ")
    assert lines[-3].endswith("; parity passed")
    assert lines[-2] == f"fingerprint {Bundle.open(done.bundle).fingerprint}"
    assert lines[-1] == f"next: edge-ser predict {done.bundle} speech.wav"
    assert f"recipe: {done.lowered.recipe}" in lines
    assert any(
        line.startswith(f"speed: {done.lowered.speed.speedup:.2f}x float32 on this machine")
        for line in lines
    )
    assert "calibration: 8 utterances, judged on 8 others (built-in samples)" in lines


def test_the_bundle_opens_and_predicts(
    done: Done, ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    lowered = edge_ser.load(done.bundle, threads=1)
    given, expected = lowered(list(utterances)), ser(list(utterances))
    differences = []
    for a, b in zip(given, expected, strict=True):
        points = [(e.arousal, e.dominance, e.valence) for e in (a, b)]
        differences.append(np.abs(np.subtract(*points)).max() / 6)  # 1..7 to 0..1
        assert a.region.name == b.region.name or b.boundary_margin < 0.1
    limits = lowered.manifest.limits
    assert max(differences) < (limits.vad_p99 or limits.vad)


def test_its_documents_are_sound(done: Done) -> None:
    check_documents(done.bundle)


def test_the_bundle_verifies(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(done.bundle)]) == 0
    assert "verified" in capsys.readouterr().out.lower()


def test_the_evidence_is_in_the_manifest(done: Done) -> None:
    manifest = Bundle.open(done.bundle).manifest
    record = manifest.lowered
    assert record.calibration.default is True
    assert record.calibration.fit == record.calibration.judge == 8
    assert len(record.calibration.regions) == 8
    assert record.passes
    assert record.graph["before"].bytes > record.graph["after"].bytes
    assert record.speed.repetitions > 0
    assert manifest.parity.passed is True
    assert manifest.parity.agreement.group == "speech"
    assert manifest.parity.labels.count == 8


def test_nothing_of_this_machine_is_told(done: Done) -> None:
    strings = [str(done.bundle.parent), "site-packages", str(Path(__file__).parents[2]), ".py"]
    for file in done.bundle.iterdir():
        content = file.read_bytes()
        for string in strings:
            assert string.encode() not in content, (file.name, string)
    assert not [p for p in done.bundle.parent.iterdir() if p != done.bundle]


def test_int8(int8: Done, plain_size: int) -> None:
    manifest = Bundle.open(int8.bundle).manifest
    assert (manifest.target, manifest.precision) == ("onnx-int8", "int8")
    assert manifest.weight_storage == "int8"
    assert manifest.limits == INT8_LIMITS
    record = manifest.lowered
    assert record.integer_share.encoder >= 0.95
    assert record.passed is True
    assert record.speed.outcome != "slower"
    assert {c.recipe.split(",")[0] for c in record.candidates} == {"dynamic", "static"}
    fastest = max(c.speed.speedup for c in record.candidates if c.passed and c.speed)
    # of two within the noise, the one whose rows may share a run
    assert record.speed.speedup >= 0.97 * fastest
    dynamic = record.scales_in_the_run
    assert record.scales == ("run" if dynamic else "constant")
    assert manifest.max_batch == (1 if dynamic else None)
    size = (int8.bundle / "model.onnx").stat().st_size
    assert size <= 0.45 * plain_size
    types = {n.op_type for n in onnx.load(int8.bundle / "model.onnx").graph.node}
    assert {"MatMulIntegerToFloat"} <= types
    assert not {"Conv", "Gemm"} & types
    assert "% of the encoder's multiplications" in int8.out


def test_the_readme_says_how_large_it_is(int8: Done) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    row = next(line for line in readme.splitlines() if line.startswith("| default, 1.1 M |"))
    graph = float(row.split("|")[-2].split()[0])
    # dynamic and static recipes, of which the faster one is taken, differ by a hundredth
    assert (int8.bundle / "model.onnx").stat().st_size / 1e6 == pytest.approx(graph, abs=0.1)
    whole = re.search(r"whole bundle is ([\d.]+) MB in INT8", " ".join(readme.split()))
    assert whole is not None
    size = Bundle.open(int8.bundle).size_bytes / 1e6
    assert size == pytest.approx(float(whole.group(1)), abs=0.1)


def test_sensitivity_is_kept_where_it_was_measured(int8: Done) -> None:
    manifest = Bundle.open(int8.bundle).manifest
    report = json.loads((int8.bundle / SENSITIVITY).read_text())
    kept = [row["name"] for row in report["groups"] if row["kept"] == "float32"]
    assert set(manifest.lowered.kept_in_float32) <= set(kept)
    assert SENSITIVITY in {f.path for f in manifest.files}


def test_percentiles_are_among_its_own_answers_to_the_judging_clips(done: Done) -> None:
    bundle = Bundle.open(done.bundle)
    reference = bundle.score_reference
    assert reference is not None and reference.coverage is None
    assert (reference.source, reference.count) == ("built-in samples, synthetic", 8)
    speech = json.loads((done.bundle / PARITY).read_text())["speech"]["agreement"]["files"]
    clips = [default_calibration_samples() / name for name, _ in speech]
    with edge_ser.load(done.bundle, threads=1) as ser:
        answers = [ser(clip) for clip in clips]
    for name in ("arousal", "dominance", "valence"):
        given = np.array([getattr(e, name) for e in answers])
        expected = np.quantile(given, np.linspace(0, 1, 101))
        np.testing.assert_allclose(reference.quantiles[name], expected, atol=2e-3)
    assert all(e.intervals is None and e.percentiles is not None for e in answers)
    ranks = sorted(round(e.percentiles["valence"]) for e in answers)
    assert ranks == pytest.approx(np.linspace(0, 100, 8), abs=2)


def test_fp16_weights(weights: Done, plain_size: int) -> None:
    manifest = Bundle.open(weights.bundle).manifest
    assert (manifest.target, manifest.precision) == ("onnx-fp16", "fp32")
    assert (manifest.weight_storage, manifest.max_batch) == ("float16", None)
    assert manifest.limits == FP16_LIMITS
    assert (weights.bundle / "model.onnx").stat().st_size <= 0.57 * plain_size
    assert "gain: half the file" in weights.out


def test_fp16_compute(compute: Done) -> None:
    manifest = Bundle.open(compute.bundle).manifest
    assert (manifest.target, manifest.precision) == ("onnx-fp16", "fp16")
    assert manifest.weight_storage == "float16"
    assert manifest.lowered.float16_share.encoder >= 0.95
    assert 1e-7 < manifest.parity.vad_max < FP16_LIMITS.vad
    assert "in float16: " in compute.out


def test_fp16_compute_must_be_faster_unless_forced(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    done = export(bundle, "--target", "onnx-fp16", "--fp16-form", "compute")
    if done.code == 0:  # a processor that multiplies float16, or one too busy to be judged on
        assert done.lowered.speed.outcome != "slower"
        return
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert "speed of onnx-fp16: expected at least 1 times float32's on this machine" in last
    assert last.endswith("use --fp16-form weights on a CPU, or --force to write it for another "
                         "machine")  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert done.out == ""


# --- refusals


@pytest.mark.parametrize("target", ["onnx-int8", "onnx-fp16", "onnx-fp32"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--recipe", "--recipe: expected one of auto, dynamic, static, found x"),
        ("--cpu", "--cpu: expected one of auto, x86-vnni, x86, arm64, found x"),
        ("--fp16-form", "--fp16-form: expected one of weights, compute, found x"),
    ],
)
def test_unknown_names_are_one_line(option: str, words: str, target: str, cli: Cli) -> None:
    done = cli("export", "--target", target, option, "x")
    assert done.error() == words
    assert done.out == ""


def test_an_unknown_target_is_one_line(cli: Cli) -> None:
    line = cli("export", "--target", "onnx-int4").error()
    assert line == (
        "--target: expected one of onnx-fp32, onnx-fp16, onnx-int8, trt-fp32, trt-fp16, trt-bf16, "
        "trt-int8, trt-fp8, found onnx-int4; did you mean onnx-int8?"
    )


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Folders that nobody can calibrate with."""
    root = tmp_path / "speech"
    (root / "empty").mkdir(parents=True)
    (root / "one").mkdir()
    clip = next(default_calibration_samples().glob("*.flac"))
    shutil.copy(clip, root / "one" / "clip.flac")
    (root / "silent").mkdir()
    for number in range(3):
        zeros = np.zeros(16_000 + number, np.float32)
        soundfile.write(root / "silent" / f"{number}.wav", zeros, 16_000)
    (root / "twice").mkdir()
    for name in ("a", "b"):
        shutil.copy(clip, root / "twice" / f"{name}.flac")
    (root / "text.csv").write_text("nothing,of,the,kind\n")
    return root


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("empty", "empty: expected"),
        ("one", "found a calibration set of one utterance"),
        ("twice", "found a calibration set of one utterance (b.flac: a copy of a.flac)"),
        ("silent", "silence"),
        ("nowhere", "nowhere: expected"),
        ("text.csv", "text.csv: expected"),
    ],
)
@pytest.mark.parametrize("target", ["onnx-int8", "onnx-fp16"])
def test_speech_that_does_not_calibrate_is_one_line(
    source: str, words: str, target: str, cli: Cli, speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "exports" / "bundle"
    done = cli("export", "--target", target, "--calibration", speech / source, "-o", out)
    line = done.error()
    assert words in line
    assert "expected" in line and "found" in line
    assert done.out == ""
    assert not out.exists()
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_calibration_with_a_folder_of_ones_own(tmp_path: Path) -> None:
    """Files without labels; the model names their regions."""
    own = tmp_path / "own"
    own.mkdir()
    for clip in sorted(default_calibration_samples().glob("*.flac"))[::4]:
        samples, rate = soundfile.read(clip, dtype="float32")
        soundfile.write(own / f"{clip.stem}.wav", 0.5 * samples, rate)  # of other content than ours
    done = export(tmp_path / "bundle", "--target", "onnx-fp16", "--calibration", str(own))
    assert done.code == 0, done.err
    assert done.messages == []
    record = done.lowered.calibration
    assert (record.source, record.default) == ("own", False)
    # fewer than eight say nothing about agreement: the package's clips beside them
    assert (record.fit, record.judge) == (2, 16)
    assert "agreement judged on 16 of own, 14 of them the package's calibration clips" in done.out
    assert Bundle.open(done.bundle).manifest.parity.labels is None
    assert "calibration: 2 utterances, judged on 16 others (own)" in done.out


def test_calibration_with_a_corpus_records_its_splits(tmp_path: Path) -> None:
    clips = default_calibration_samples()
    table = tmp_path / "Labels" / "labels_consensus.csv"
    table.parent.mkdir()
    header, *rows = (clips / "samples.csv").read_text(encoding="utf-8").splitlines()
    split = {True: "Train", False: "Test1"}
    lines = [f"{row},{split[i % 4 == 0]}" for i, row in enumerate(rows)]
    table.write_text("\n".join([f"{header},Split_Set", *lines]), encoding="utf-8")
    common = ("--target", "onnx-fp16", "--audio", str(clips), "--calibration", str(tmp_path))
    done = export(tmp_path / "bundle", *common)
    assert done.code == 0, done.err
    record = done.lowered.calibration
    # two of the four, and the package's clips that are none of the four beside them
    assert (record.fit, record.judge, record.splits) == (2, 14, ("Train",))
    assert f"judged on 14 others ({tmp_path.name}, Train)" in done.out
    told = export(tmp_path / "told", *common, "--split", "Test1")
    assert told.lowered.calibration.splits == ("Test1",)
    assert told.lowered.calibration.fit == 6


def test_a_split_of_no_table_is_refused(cli: Cli) -> None:
    line = cli("export", "--target", "onnx-int8", "--split", "Train").error()
    assert line == "--audio and --split: expected --calibration beside them, found none"


@pytest.mark.skipif(integer_preset() == "x86", reason="weights of 7 bits fail elsewhere")
def test_a_recipe_that_the_gate_refuses_is_not_the_end(tmp_path: Path) -> None:
    """Three clips to judge on bear a recipe that clipped speech does not; another bears both."""
    few = tmp_path / "few"
    few.mkdir()
    for clip in sorted(default_calibration_samples().glob("*.flac"))[:7]:
        shutil.copy(clip, few)
    done = export(tmp_path / "bundle", "--target", "onnx-int8", "--calibration", str(few))
    assert done.code == 0, done.err
    record = done.lowered
    refused = [a for a in record.candidates if any("at the gate" in f for f in a.failures)]
    assert "at the gate, single: region logits differ by" in refused[0].failures[0]
    assert refused[0].speed is None, "what the gate refuses is not timed"
    assert record.recipe not in {a.recipe for a in refused}
