"""`edge-ser evaluate`: what is printed, and what its exit codes say."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.scoring.answers import read_answers
from edge_ser_export.builtin import default_calibration_samples

Cli = Callable[..., Any]


@pytest.fixture
def clips() -> Path:
    return default_calibration_samples()


@pytest.fixture
def table(clips: Path, tmp_path: Path) -> Path:
    """Labels of the clips, of a test split but for one."""
    with (clips / "samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "Split_Set"])
        writer.writeheader()
        for index, row in enumerate(rows):
            writer.writerow({**row, "Split_Set": "Test1" if index else "Train"})
    return path


def command(table: Path, clips: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", DEFAULT_BUNDLE, table, "--audio", clips, "--threads", 1, *more)


def test_table_and_json_say_the_same(cli: Cli, table: Path, clips: Path) -> None:
    done = cli(*command(table, clips))
    assert done.code == 0 and done.err == ""
    data = json.loads(cli(*command(table, clips, "--json")).out)
    assert data["count"] == 15 and data["split"] == "Test1" and data["unusable"] == []
    assert "15 clips of labels.csv, split Test1" in done.out
    for name, scores in data["dimensions"].items():
        line = next(row for row in done.out.splitlines() if row.startswith(name))
        assert line.split()[1] == f"{scores['ccc']:.3f}"
        assert line.split()[-1] == f"{scores['rmse']:.2f}"
        assert scores["ccc"] > 0.5
    assert f"region of the point: {data['geometric']['accuracy']:.1%} right" in done.out
    assert f"region of the head: {data['head']['accuracy']:.1%} right" in done.out
    assert np.sum(data["geometric"]["confusion"]) == 15


def test_answers_are_saved_and_compared_with(
    cli: Cli, table: Path, clips: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "answers.csv"
    assert cli(*command(table, clips, "--save-answers", saved)).code == 0
    assert len(read_answers(saved)) == 15
    done = cli(*command(table, clips, "--answers", saved, "--split", "all"))
    assert "against the answers in answers.csv (15 clips): largest difference VAD" in done.out
    assert ", 0 regions changed" in done.out
    data = json.loads(cli(*command(table, clips, "--answers", saved, "--json")).out)
    assert data["reference"]["fidelity"]["vad_max"] < 1e-5


def test_what_predict_prints_is_a_reference(
    cli: Cli, table: Path, clips: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "predicted.jsonl"
    lines.write_text(cli("predict", "--json", clips, "--threads", 1).out)
    data = json.loads(cli(*command(table, clips, "--answers", lines, "--json")).out)
    assert data["reference"]["fidelity"]["count"] == 15
    assert data["reference"]["fidelity"]["vad_max"] < 1e-5


def test_too_little_agreement_is_a_failed_gate(cli: Cli, table: Path, clips: Path) -> None:
    more = ("--audio", clips, "--threads", 1)
    assert cli("evaluate", "--min-ccc", 0.5, DEFAULT_BUNDLE, "--json", table, *more).code == 0
    done = cli(*command(table, clips, "--min-ccc", "arousal=0.5", "valence=0.99"))
    assert done.code == 1
    assert "region of the point" in done.out, "the scores are printed all the same"
    assert "found CCC of valence is 0." in done.err and ", limit 0.99" in done.err
    assert "arousal" not in done.err


def test_missing_audio_is_refused_at_once_or_left_out(
    cli: Cli, table: Path, clips: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for path in sorted(clips.glob("slt*.flac")):
        (folder / path.name).symlink_to(path)
    error = cli(*command(table, folder)).error()
    assert (
        "expected the 15 files of split Test1 of labels.csv, found 8 missing, first rms_" in error
    )
    assert "--audio" in error and "--skip-bad" in error
    done = cli(*command(table, folder, "--skip-bad"))
    assert done.code == 0
    assert "7 clips of labels.csv" in done.out
    assert done.err.count("found no such file") == 8
    assert "warning: 8 of 15 clips have no part in the scores" in done.err


def test_unreadable_audio_is_named_and_ends_with_2(
    cli: Cli, table: Path, clips: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for path in sorted(clips.glob("*.flac")):
        (folder / path.name).symlink_to(path)
    (folder / "slt_iv_hostile.flac").unlink()
    (folder / "slt_iv_hostile.flac").write_text("no audio")
    done = cli(*command(table, folder, "--min-ccc", "valence=0.99"))
    assert done.code == 2, "a gate is not judged on fewer clips than asked for"
    assert "14 clips" in done.out
    assert "error: slt_iv_hostile.flac: expected audio that libsndfile reads" in done.err
    assert "error: 1 of 15 clips have no part in the scores" in done.err
    assert "limit 0.99" in done.err
    assert cli(*command(table, folder, "--skip-bad")).code == 0
    assert cli(*command(table, folder, "--skip-bad", "--min-ccc", "valence=0.99")).code == 1


def test_a_picture_is_drawn(cli: Cli, table: Path, clips: Path, tmp_path: Path) -> None:
    assert cli(*command(table, clips, "--plot", tmp_path / "scatter.png")).code == 0
    assert (tmp_path / "scatter.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--plot", "x.pdf"), "--plot: expected a file that ends in .png or .svg, found x.pdf"),
        (("--min-ccc", "joy=1"), "--min-ccc: expected a number in -1..1"),
        (("--split", "Test7"), "expected rows with Split_Set = Test7, found splits Test1, Train"),
        (("--batch-size", "0"), "--batch-size: expected at least 1, found 0"),
        (("--answers", "none.csv"), "expected answers as CSV or JSON, found no such file"),
        (
            ("--save-answers", "none/a.csv"),
            "a.csv: expected an existing folder, found no folder none",
        ),
        (("--save-answers", "a.json"), "a.json: expected a name for CSV, found .json"),
        (("--save-answers", "/"), "/: expected a file to write, found a directory"),
        (("--save-answers", DEFAULT_BUNDLE / "a.csv"), "expected a file outside the bundle"),
    ],
)
def test_what_cannot_be_done_is_refused_before_computing(
    cli: Cli, table: Path, clips: Path, more: tuple[object, ...], words: str
) -> None:
    assert words in cli(*command(table, clips, *more)).error()


def test_the_example_of_the_documents_is_what_it_prints(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "how-to" / "evaluate.md").read_text(encoding="utf-8")
    (words,) = (line for line in page.splitlines() if line.startswith("edge-ser evaluate edge_ser"))
    monkeypatch.chdir(root)
    done = cli(*words.split()[1:], "--threads", 1)
    assert done.code == 0
    printed = page.split("emosphere-spectral (onnx-fp32): ")[1].split("...")[0]
    assert done.out.removeprefix("emosphere-spectral (onnx-fp32): ").startswith(printed)


def check_columns(cli: Cli, bundle: Path, clip: Path, emotion: dict[str, Any]) -> None:
    """In CSV the numbers are columns, for whole clips and for pieces, where there are some."""
    asked = ("predict", bundle, clip, "--threads", 1, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(cli(*asked).out))
    assert float(row["valence_percentile"]) == emotion["percentiles"]["valence"]
    low, high = (float(row[f"arousal_{end}"]) for end in ("low", "high"))
    assert [low, high] == emotion["intervals"]["arousal"]
    (piece,) = csv.DictReader(io.StringIO(cli(*asked, "--segments", "--window", 12).out))
    assert float(piece["valence_low"]) == emotion["intervals"]["valence"][0]
    (mean,) = csv.DictReader(io.StringIO(cli(*asked, "--long", "mean", "--window", 1).out))
    assert mean["valence_percentile"] == mean["valence_low"] == "" != mean["valence"]
    (moved,) = csv.DictReader(io.StringIO(cli(*asked, "--baseline", clip).out))
    assert "valence_percentile" not in moved and "valence_low" not in moved


def test_a_bundle_is_calibrated_with_its_own_answers(
    cli: Cli, table: Path, clips: Path, tmp_path: Path
) -> None:
    out, saved = tmp_path / "calibrated", tmp_path / "a.csv"
    done = cli(*command(table, clips, "--calibrate", out, "--save-answers", saved))
    assert done.code == 0 and "0.9 of their labels within arousal" in done.err
    with table.open(newline="", encoding="utf-8") as file:
        labels = {r["FileName"]: float(r["EmoVal"]) for r in csv.DictReader(file)}
    answers = {name: scores[2] for name, scores in read_answers(saved).items()}
    residuals = sorted(abs(min(max(a, 1), 7) - labels[name]) for name, a in answers.items())
    width = residuals[14]  # ceil(16 * 0.9) = 15, the largest of fifteen
    clip = clips / next(iter(answers))
    emotion = json.loads(cli("predict", out, "--json", "--threads", 1, clip).out)
    low, high = emotion["intervals"]["valence"]
    assert low == pytest.approx(max(1, emotion["valence"] - width), abs=2e-4)
    assert high == pytest.approx(min(7, emotion["valence"] + width), abs=2e-4)
    assert 0 <= emotion["percentiles"]["valence"] <= 100 and isinstance(emotion["doubts"], list)
    assert cli("verify", out, "--threads", 1).code == 0
    inspected = cli("inspect", out).out
    assert f"percentiles among 15 answers to {table.name}, split Test1; 0.9" in inspected
    # against a baseline there is none: the reference is of answers as they are
    moved = cli("predict", out, "--json", "--baseline", clip, "--threads", 1, clip)
    assert json.loads(moved.out)["intervals"] is None
    check_columns(cli, out, clip, emotion)
    wrong = cli(*command(table, clips, "--calibrate", tmp_path / "b", "--coverage", 1))
    assert wrong.error() == "--coverage: expected a share between 0 and 1, found 1"


def test_too_few_clips_for_intervals_are_told_before_any_is_answered(
    cli: Cli, table: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> None:
        raise AssertionError("a clip was answered")

    monkeypatch.setattr("edge_ser.cli.evaluate.evaluate_clips", answer)
    few = cli(*command(table, clips, "--calibrate", tmp_path / "b", "--coverage", 0.99))
    assert "expected at least 99 labelled clips for a coverage of 0.99, found 15" in few.error()
    assert not (tmp_path / "b").exists()
