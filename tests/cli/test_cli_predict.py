"""`edge-ser predict`: what is printed for which inputs."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_syllables

import edge_ser
from edge_ser.data import DEFAULT_BUNDLE

Cli = Callable[..., Any]
ONE = ("--threads", "1")


def rows(done: Any) -> list[dict[str, Any]]:
    """JSON lines of a command that went well."""
    assert done.code == 0 and done.err == ""
    return [json.loads(line) for line in done.out.splitlines()]


def vad(row: dict[str, Any]) -> list[float]:
    return [float(row[k]) for k in ("arousal", "dominance", "valence")]


@pytest.fixture
def folder(tmp_path: Path, noise: np.ndarray) -> Path:
    """Audio on two levels, among other things."""
    root = tmp_path / "folder"
    (root / "inner").mkdir(parents=True)
    for name in ("b.wav", "a.flac", "inner/C.WAV"):
        soundfile.write(root / name, noise, 16_000)
    (root / "notes.txt").write_text("no audio")
    (root / "inner" / "labels.csv").write_text("no audio")
    return root


# Formats


def test_without_arguments_the_samples_are_shown_in_a_table(
    cli: Cli, utterances: list[Path], ser: edge_ser.Recognizer
) -> None:
    done = cli("predict")
    assert done.code == 0 and done.err == ""
    header, *lines = done.out.splitlines()
    assert header.split() == [
        "file", "arousal", "dominance", "valence", "region", "margin", "head",
    ]  # fmt: skip
    assert len(lines) == len(utterances)
    for line, path in zip(lines, utterances, strict=True):
        e = ser(path)
        assert path.name in line
        found = [float(x) for x in line.split(path.name)[1].split()[:3]]
        assert found == pytest.approx([e.arousal, e.dominance, e.valence], abs=0.006)
        assert str(e.region) in line and str(e.region_head) in line


def test_columns_of_the_table_are_aligned(cli: Cli, folder: Path) -> None:
    header, *lines = cli("predict", folder, *ONE).out.splitlines()
    end = header.index("arousal") + len("arousal")
    for line in lines:
        assert line[end] == " " and line[end - 1].isdigit() and line[end - 3] == "."


def test_json_is_one_line_per_file_of_what_the_library_says(
    cli: Cli, utterances: list[Path], ser: edge_ser.Recognizer
) -> None:
    found = rows(cli("predict", "--json", *ONE, *utterances))
    for row, path in zip(found, utterances, strict=True):
        expected = ser(path).to_dict()
        assert set(row) == set(expected)
        assert vad(row) == pytest.approx(vad(expected), abs=1e-4)
        assert row["source"] == str(path)
        assert row["region"] == expected["region"]
        assert row["region_probabilities"] == pytest.approx(
            expected["region_probabilities"], abs=1e-4
        )


def test_json_by_both_options_is_the_same(cli: Cli, utterances: list[Path]) -> None:
    assert cli("predict", "--json", *ONE).out == cli("predict", "--format", "json", *ONE).out


def test_csv_has_a_header_and_plain_numbers(cli: Cli, utterances: list[Path]) -> None:
    done = cli("predict", "--format", "csv", *ONE, *utterances)
    assert done.code == 0 and done.err == ""
    table = list(csv.DictReader(io.StringIO(done.out)))
    expected = rows(cli("predict", "--json", *ONE, *utterances))
    for row, e in zip(table, expected, strict=True):
        assert row["source"] == e["source"]
        assert vad(row) == vad(e)
        for name in ("radius", "polar", "azimuth"):
            assert float(row[name]) == e["sphere"][name]
        assert row["region"] == e["region"]["name"]
        assert row["temperament"] == e["region"]["temperament"]
        assert row["region_head"] == e["region_head"]["name"]
        assert float(row["region_head_probability"]) == max(e["region_probabilities"].values())
        assert row["regions_agree"] == str(e["regions_agree"])
        assert float(row["boundary_margin"]) == e["boundary_margin"]


def test_csv_quotes_names_with_commas(cli: Cli, tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / 'a, "b".wav'
    soundfile.write(path, noise, 16_000)
    (row,) = csv.DictReader(io.StringIO(cli("predict", "--format", "csv", path, *ONE).out))
    assert row["source"] == str(path)


def test_a_bundle_without_a_head_leaves_its_columns_empty(
    cli: Cli, utterances: list[Path], tiny_bundle: Callable[..., Path]
) -> None:
    from dataclasses import replace

    bundle = tiny_bundle(change=lambda m: replace(m, outputs=m.outputs[:1], heads=m.heads[:1]))
    done = cli("predict", bundle, utterances[0], "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["region"] and row["region_head"] == row["region_head_probability"] == ""
    assert row["regions_agree"] == ""
    table = cli("predict", bundle, utterances[0]).out.splitlines()
    assert table[1].endswith(" -")


# Inputs


def test_a_directory_gives_its_audio_sorted(cli: Cli, folder: Path) -> None:
    found = [row["source"] for row in rows(cli("predict", "--json", *ONE, folder))]
    assert found == [str(folder / n) for n in ("a.flac", "b.wav", "inner/C.WAV")]


def test_what_is_audio_under_another_name_is_counted_and_named(
    cli: Cli, folder: Path, noise: np.ndarray
) -> None:
    for number in range(7):
        soundfile.write(folder / f"{number}.wav.bak", noise, 16_000, format="WAV")
    done = cli("predict", "--json", *ONE, folder)
    assert done.code == 0
    assert len(done.out.splitlines()) == 3
    assert done.err == (
        f"edge-ser: warning: {folder}: skipped 7 files that are audio by their content, not by "
        "name: 0.wav.bak, 1.wav.bak, 2.wav.bak, 3.wav.bak, 4.wav.bak and 2 more; name them "
        "outright\n"
    )
    outright = cli("predict", "--json", *ONE, folder / "0.wav.bak")
    assert outright.code == 0 and len(outright.out.splitlines()) == 1


def test_a_directory_inside_that_is_named_like_audio_is_no_file(cli: Cli, folder: Path) -> None:
    (folder / "takes.wav").mkdir()
    assert len(rows(cli("predict", "--json", *ONE, folder))) == 3


def test_files_are_printed_in_the_order_given(cli: Cli, tmp_path: Path) -> None:
    paths = []
    for i, size in enumerate((9000, 600, 5000, 700, 20_000, 800)):
        paths.append(tmp_path / f"{5 - i}.wav")
        soundfile.write(paths[-1], make_syllables(size / 16_000, 16_000), 16_000)
    found = rows(cli("predict", "--json", *ONE, "--batch-size", 2, *paths))
    assert [row["source"] for row in found] == [str(p) for p in paths]


def test_the_batch_size_does_not_change_the_answers(cli: Cli, utterances: list[Path]) -> None:
    alone = rows(cli("predict", "--json", *ONE, "--batch-size", 1, *utterances))
    together = rows(cli("predict", "--json", *ONE, "--batch-size", 8, *utterances))
    for a, b in zip(alone, together, strict=True):
        assert vad(a) == pytest.approx(vad(b), abs=1e-4)


def test_stdin(cli: Cli, utterances: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data = utterances[0].read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    found = rows(cli("predict", "--json", *ONE, "-", utterances[1]))
    expected = rows(cli("predict", "--json", *ONE, utterances[0], utterances[1]))
    assert [row["source"] for row in found] == ["<stdin>", str(utterances[1])]
    assert [vad(row) for row in found] == [vad(row) for row in expected]


@pytest.mark.parametrize("given", ["positional", "option", "zip"])
def test_the_bundle_is_the_first_argument_or_an_option(
    given: str, cli: Cli, tiny_bundle: Callable[..., Path], zip_bundle: Callable[..., Path],
    utterances: list[Path], tmp_path: Path,
) -> None:  # fmt: skip
    bundle = tiny_bundle(weights=np.array([[1e-3, 0, 0]], np.float32))
    if given == "zip":
        bundle = zip_bundle(bundle, tmp_path / "tiny.zip")
    arguments = ["--bundle", bundle] if given == "option" else [bundle]
    (row,) = rows(cli("predict", "--json", *arguments, utterances[0]))
    assert (row["dominance"], row["valence"]) == (1, 1), "the tiny model's answer"


def test_a_bundle_alone_runs_the_samples(
    cli: Cli, tiny_bundle: Callable[..., Path], utterances: list[Path]
) -> None:
    found = rows(cli("predict", "--json", tiny_bundle()))
    assert [row["source"] for row in found] == [str(p) for p in utterances]


def test_bad_files_do_not_stop_the_others(cli: Cli, utterances: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    done = cli("predict", "--json", *ONE, utterances[0], tmp_path / "text.wav", utterances[1])
    assert "text.wav: expected audio" in done.error()
    found = [json.loads(line)["source"] for line in done.out.splitlines()]
    assert found == [str(utterances[0]), str(utterances[1])]


def test_every_bad_file_has_its_line(cli: Cli, utterances: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    done = cli("predict", tmp_path / "none.wav", utterances[0], tmp_path / "empty.wav", *ONE)
    assert done.code == 2
    first, second = done.err.splitlines()
    assert "none.wav: expected an audio file, found no such file" in first
    assert "empty.wav: expected an audio file, found an empty file" in second
    assert len(done.out.splitlines()) == 2


# As a program


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edge_ser", "predict", *ONE, *arguments],
        stderr=subprocess.PIPE, check=False, **{"stdout": subprocess.PIPE} | options,
    )  # fmt: skip


def test_speech_may_come_through_a_pipe(utterances: list[Path]) -> None:
    done = program("--json", "-", input=utterances[0].read_bytes())
    assert done.returncode == 0 and done.stderr == b""
    assert json.loads(done.stdout)["source"] == "<stdin>"


def test_a_reader_that_goes_away_is_no_error(utterances: list[Path]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = program("--json", *map(str, utterances), stdout=writer)
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_a_full_disk_is_one_line(format_: str, utterances: list[Path]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = program("--format", format_, str(utterances[0]), stdout=full)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("edge-ser: error: ") and "found No space left" in line
    assert line.endswith("free some, or choose another place")


@pytest.mark.parametrize(("stream", "argument"), [("stdin", "-"), ("stdout", "--json")])
def test_a_closed_stream_is_no_traceback(stream: str, argument: str) -> None:
    redirect = {"stdin": "<&-", "stdout": ">&-"}[stream]
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m edge_ser predict --threads 1 {argument} {redirect}',
         sys.executable],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2)
    assert len(done.stderr.splitlines()) == (1 if done.returncode else 0)


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_a_name_that_is_no_unicode_is_no_traceback(
    format_: str, tmp_path: Path, noise: np.ndarray
) -> None:
    soundfile.write(tmp_path / "plain.wav", noise, 16_000)
    odd = (tmp_path / "plain.wav").rename(tmp_path / os.fsdecode(b"sp\xe4t.wav"))
    done = program("--format", format_, str(odd))
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert b"t.wav" in done.stdout


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from edge_ser.cli import main

    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: edge-ser [-h] [--version] [-v] [--quiet] COMMAND ...")
    for command in ("export", "verify", "predict", "inspect", "train"):
        assert command in out


def test_default_bundle_can_be_named(cli: Cli, utterances: list[Path]) -> None:
    named = cli("predict", "--json", *ONE, "--bundle", DEFAULT_BUNDLE, utterances[0])
    assert named.out == cli("predict", "--json", *ONE, utterances[0]).out


# Longer than what the model takes


def long_file(path: Path, seconds: float) -> Path:
    soundfile.write(path, make_syllables(seconds, 16_000, seed=4), 16_000)
    return path


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_a_long_file_has_one_line_that_says_how_much_was_used(
    format_: str, cli: Cli, utterances: list[Path], tmp_path: Path
) -> None:
    path = long_file(tmp_path / "a.wav", 60)
    done = cli("predict", *ONE, "--format", format_, utterances[0], path)
    assert done.code == 0
    assert done.err == f"edge-ser: warning: used the first 12 s of 60.0 s of {path}\n"
    assert len(done.out.splitlines()) == (2 if format_ == "json" else 3)


def test_long_speech_on_stdin(tmp_path: Path) -> None:
    done = program("--json", "-", input=long_file(tmp_path / "a.wav", 20).read_bytes())
    assert done.returncode == 0
    assert done.stderr.decode() == ("edge-ser: warning: used the first 12 s of 20.0 s of <stdin>\n")
    assert json.loads(done.stdout)["seconds"] == 12.0


def test_many_long_files_are_summed_up(
    cli: Cli, tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "long").mkdir()
    first = long_file(tmp_path / "long" / "00.wav", 13)
    for i in range(1, 25):
        os.link(first, tmp_path / "long" / f"{i:02}.wav")
    done = cli("predict", "--json", tiny_bundle(), tmp_path / "long")
    assert done.code == 0 and len(done.out.splitlines()) == 25
    *each, last = done.err.splitlines()
    assert len(each) == 10
    assert last == "edge-ser: warning: used the first 12 s of 25 files that are longer"


def test_answers_against_neutral_speech(cli: Cli, utterances: list[Path], tmp_path: Path) -> None:
    calm, loud = utterances[:2]
    own = json.loads(cli("predict", "--json", *ONE, calm).out)
    done = cli("predict", "--json", "--baseline", calm, *ONE, calm, loud)
    assert done.code == 0 and done.err == ""
    neutral, other = [json.loads(line) for line in done.out.splitlines()]
    assert neutral["valence"] == pytest.approx(4, abs=1e-5)
    raw = json.loads(cli("predict", "--json", *ONE, loud).out)
    assert other["valence"] == pytest.approx(raw["valence"] + 4 - own["valence"], abs=1e-5)
    folder = tmp_path / "neutral"
    folder.mkdir()
    for path in (calm, loud):
        shutil.copy(path, folder)
    both = json.loads(cli("predict", "--json", "--baseline", folder, *ONE, calm).out)
    expected = own["valence"] + 4 - (own["valence"] + raw["valence"]) / 2
    assert both["valence"] == pytest.approx(expected, abs=1e-5)
    missing = cli("predict", "--baseline", tmp_path / "none.wav", *ONE, calm)
    assert "none.wav: expected an audio file, found no such file" in missing.error()
