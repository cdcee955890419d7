"""`edge-ser predict` on recordings longer than the model takes."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise

import edge_ser
from edge_ser.audio.files import decode_file

Cli = Callable[..., Any]
ONE = ("--threads", "1")
RATE = 16_000


@pytest.fixture
def long_file(tmp_path: Path, utterances: list[Path]) -> Path:
    """18 s of speech."""
    speech = np.concatenate([decode_file(path, RATE) for path in utterances] * 3)[: 18 * RATE]
    soundfile.write(tmp_path / "long call.wav", speech, RATE)
    return tmp_path / "long call.wav"


def test_segments_as_a_table(cli: Cli, long_file: Path, ser: edge_ser.Recognizer) -> None:
    done = cli("predict", "--segments", *ONE, long_file)
    assert done.code == 0 and done.err == ""
    name, header, *lines = done.out.splitlines()
    assert name == str(long_file)
    assert header.split() == [
        "start", "end", "arousal", "dominance", "valence", "region", "margin",
        "speech",
    ]  # fmt: skip
    times = [line.split()[:2] for line in lines]
    assert times == [
        ["0.00", "5.00"], ["5.00", "10.00"], ["10.00", "15.00"], ["13.00", "18.00"],
        ["overall", "18.00"],
    ]  # fmt: skip
    index = ser.segments(long_file)
    for line, segment in zip(lines, index, strict=False):
        assert segment.emotion is not None
        assert line.split()[2] == f"{segment.emotion.arousal:.2f}"
        assert str(segment.emotion.region) in line
    assert index.overall.emotion is not None
    assert lines[-1].split()[2] == f"{index.overall.emotion.arousal:.2f}"


def test_segments_as_json(cli: Cli, long_file: Path, ser: edge_ser.Recognizer) -> None:
    done = cli("predict", "--segments", "--json", "--window", 6, "--hop", 3, *ONE, long_file)
    *rows, last = [json.loads(line) for line in done.out.splitlines()]
    index = ser.segments(long_file, window=6, hop=3)
    assert rows == [segment.to_dict() for segment in index]
    assert last == {"overall": index.overall.to_dict()}


def test_segments_as_csv(cli: Cli, long_file: Path, ser: edge_ser.Recognizer) -> None:
    done = cli("predict", "--segments", "--format", "csv", *ONE, long_file)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    segments = list(ser.segments(long_file))
    assert [float(row["start"]) for row in rows] == [s.start for s in segments]
    assert [float(row["valence"]) for row in rows] == [
        s.emotion.valence for s in segments if s.emotion
    ]
    assert {row["source"] for row in rows} == {str(long_file)}


def test_segments_as_rttm(cli: Cli, long_file: Path, ser: edge_ser.Recognizer) -> None:
    done = cli("predict", "--segments", "--format", "rttm", *ONE, long_file)
    lines = [line.split() for line in done.out.splitlines()]
    assert all(len(fields) == 10 and fields[0] == "SPEAKER" for fields in lines)
    assert [fields[3:5] for fields in lines] == [
        ["0.000", "5.000"], ["5.000", "5.000"], ["10.000", "5.000"], ["13.000", "5.000"],
    ]  # fmt: skip
    segments = list(ser.segments(long_file))
    regions = [str(s.emotion.region).replace(" ", "_") for s in segments if s.emotion]
    assert [fields[7] for fields in lines] == [fields[6] for fields in lines] == regions
    assert {fields[1] for fields in lines} == {"long_call"}, "no folder, no suffix"


def test_turns_come_back_as_they_were_given(cli: Cli, long_file: Path, tmp_path: Path) -> None:
    turns = ["SPEAKER long_call 1 0.500 3.250 <NA> <NA> Ann <NA> <NA>"]
    turns += ["SPEAKER long_call 1 4.000 2.125 <NA> <NA> Ben <NA> <NA>"]
    (tmp_path / "a.rttm").write_text("\n".join(turns))
    words = ("predict", "--format", "rttm", *ONE, "--turns")
    once = cli(*words, tmp_path / "a.rttm", "-o", tmp_path / "b.rttm", long_file)
    assert once.code == 0 and once.err == ""
    lines = (tmp_path / "b.rttm").read_text().splitlines()
    for line, turn in zip(lines, turns, strict=True):
        subtype = line.split()[6]
        assert subtype != "<NA>" and line.replace(subtype, "<NA>") == turn
    assert cli(*words, tmp_path / "b.rttm", long_file).out.splitlines() == lines


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("0 3 - - A|1 3 - - B", "line 2: expected a start after the end of the turn before, 3 s"),
        ("4 3 - - A|1 2 - - B", "line 2: expected turns in the order of their starts"),
        ("4 -3 - - A", "line 1: expected an end after the start, found 4 to 1 s"),
        ("17 3 - - A", "expected audio until 20 s, where the turn of line 1 ends, found 18.00 s"),
    ],
)
def test_turns_that_are_no_order_leave_nothing_written(
    cli: Cli, long_file: Path, tmp_path: Path, lines: str, expected: str
) -> None:
    path, out, picture = tmp_path / "a.rttm", tmp_path / "a.csv", tmp_path / "a.png"
    path.write_text("\n".join(f"SPEAKER long_call 1 {line}" for line in lines.split("|")))
    written = ("--format", "csv", "-o", out, "--plot", picture)
    done = cli("predict", "--turns", path, *written, *ONE, long_file)
    assert expected in done.error()
    assert not picture.exists() and (not out.exists() or len(out.read_text().splitlines()) == 1)


def test_the_mean_is_a_row_of_each_file(
    cli: Cli, long_file: Path, utterances: list[Path], ser: edge_ser.Recognizer
) -> None:
    done = cli("predict", "--long", "mean", "--json", *ONE, utterances[0], long_file)
    assert done.code == 0 and done.err == ""
    short, long = [json.loads(line) for line in done.out.splitlines()]
    assert short["valence"] == pytest.approx(ser(utterances[0]).valence, abs=1e-6)
    index = ser.segments(long_file, window=12)
    assert len(list(index)) == 2 and index.overall.emotion is not None
    assert long["arousal"] == index.overall.emotion.arousal
    assert long["source"] == str(long_file)


@pytest.mark.parametrize("channel", ["right", "2"])
@pytest.mark.parametrize("words", [("--segments",), ("--long", "mean")])
def test_a_channel_of_a_long_file(
    cli: Cli, long_file: Path, tmp_path: Path, words: tuple[str, ...], channel: str
) -> None:
    mono, rate = soundfile.read(long_file)
    soundfile.write(tmp_path / "a.wav", np.stack([mono[::-1], mono], axis=1), rate)
    soundfile.write(tmp_path / "right.wav", mono, rate)
    of_channel = cli("predict", *words, "--channel", channel, "--json", *ONE, tmp_path / "a.wav")
    of_mono = cli("predict", *words, "--json", *ONE, tmp_path / "right.wav")
    assert of_channel.code == 0 and of_channel.err == of_mono.err == ""
    assert of_channel.out.replace("a.wav", "right.wav") == of_mono.out


def test_the_first_seconds_are_told(cli: Cli, long_file: Path) -> None:
    for words in ((), ("--long", "first")):
        done = cli("predict", *words, *ONE, long_file)
        assert done.code == 0
        assert done.err == f"edge-ser: warning: used the first 12 s of 18.0 s of {long_file}\n"


def test_a_file_into_another(cli: Cli, long_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    done = cli("predict", "--segments", "--format", "csv", "-o", path, *ONE, long_file)
    assert done.out == "" and len(path.read_text().splitlines()) == 5


def test_a_bad_file_stops_no_other(cli: Cli, long_file: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(7 * RATE), RATE)
    soundfile.write(tmp_path / "short.wav", make_noise(0.01, RATE), RATE)
    bad = [tmp_path / "silent.wav", tmp_path / "short.wav"]
    for words in (("--segments",), ("--long", "mean")):
        done = cli("predict", *words, *ONE, *bad, long_file)
        assert done.code == 2
        first, second = done.err.splitlines()
        assert first.startswith(f"edge-ser: error: {bad[0]}: expected a piece that can be answered")
        assert "at least 400 samples" in second
        assert str(long_file)[-30:] in done.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--hop", 1), "--hop: expected --segments or --long mean beside it, found neither"),
        (("--window", 3), "--window: expected --segments or --long mean beside it, found neither"),
        (("--plot", "x.png"), "--plot: expected --segments beside it, found none"),
        (("--format", "rttm"), "--format rttm: expected --segments beside it, found none"),
        (
            ("--segments", "--hop", 6),
            "hop: expected more than 0 and at most the window, 5 s, so that nothing is left out, "
            "found 6 s",
        ),
        (
            ("--segments", "--window", 0.001),
            "window: expected 0.025 to 12 s, which the model takes, found 0.001 s",
        ),
        (
            ("--segments", "--window", 13),
            "window: expected 0.025 to 12 s, which the model takes, found 13 s",
        ),
    ],
)
def test_options_that_do_not_fit(cli: Cli, words: tuple[Any, ...], expected: str) -> None:
    assert cli("predict", *words, *ONE).error() == expected


def test_segments_without_speech_are_told_or_refused(cli: Cli, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", make_noise(10, RATE), RATE)
    told = cli("predict", "--segments", *ONE, tmp_path / "a.wav")
    assert told.code == 0 and told.err.count("hardly any speech: 0% of the time") == 2
    assert cli("predict", "--min-speech", 0, *ONE, tmp_path / "a.wav").err == ""
    refused = cli("predict", "--segments", "--on-poor", "refuse", *ONE, tmp_path / "a.wav")
    reason = "expected a recording that the model can judge, found hardly any speech"
    assert f"found none of 2: {reason}" in refused.error()
    wrong = cli("predict", "--min-speech", 2, *ONE, tmp_path / "a.wav")
    assert wrong.error() == "min_speech: expected a share, 0 to 1, found 2.0"


def test_turns(cli: Cli, long_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "turns.rttm"
    lines = ["SPEAKER long_call 1 0 3 <NA> <NA> Ann <NA> <NA>"]
    lines += ["SPEAKER long_call 1 3 4.5 <NA> <NA> Ben <NA> <NA>"]
    path.write_text("\n".join(lines).replace("long_call", long_file.stem.replace(" ", "_")))
    soundfile.write(tmp_path / "long_call.wav", soundfile.read(long_file)[0], RATE)
    done = cli("predict", "--turns", path, *ONE, tmp_path / "long_call.wav")
    assert done.code == 0 and done.err == ""
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert [(row[0], row[-1]) for row in rows[:4]] == [
        ("0.00", "Ann"), ("3.00", "Ben"), ("overall", "Ann"), ("overall", "Ben"),
    ]  # fmt: skip
    assert rows[4][0] == "overall"
    as_json = cli("predict", "--turns", path, "--json", *ONE, tmp_path / "long_call.wav")
    *segments, ann, ben, last = [json.loads(line) for line in as_json.out.splitlines()]
    assert [row["speaker"] for row in segments] == ["Ann", "Ben"]
    assert (ann["overall"]["speaker"], ben["overall"]["speaker"]) == ("Ann", "Ben")
    assert last["overall"]["speaker"] == "" and last["overall"]["seconds"] == 7.5
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    assert (
        "turns.rttm: line 2: expected turns in the order of their starts"
        in cli("predict", "--turns", path, *ONE, tmp_path / "long_call.wav").error()
    )
    wrong = cli("predict", "--turns", path, "--long", "mean", *ONE, long_file)
    assert wrong.error() == "--turns: expected --segments beside it, found --long mean"


def test_a_picture_of_a_recording(cli: Cli, long_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "call.png"
    done = cli("predict", "--segments", "--plot", path, *ONE, long_file)
    assert done.code == 0 and done.err == "" and len(done.out.splitlines()) == 7
    assert path.read_bytes().startswith(b"\x89PNG")
    wrong = cli("predict", "--segments", "--plot", tmp_path / "a.png", *ONE, long_file, long_file)
    assert wrong.error() == "--plot: expected one recording, found 2"
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(7 * RATE), RATE)
    assert cli("predict", "--segments", "--plot", tmp_path / "a.png", *ONE, silent).code == 2
    assert not (tmp_path / "a.png").exists()
    over = cli("predict", "--segments", "--plot", long_file, *ONE, long_file)
    assert long_file.name in over.error() and soundfile.info(long_file).duration == 18


def test_a_picture_needs_matplotlib(
    cli: Cli, long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = cli("predict", "--segments", "--plot", tmp_path / "a.png", *ONE, long_file)
    assert "expected the Python module `matplotlib`" in done.error() and done.out == ""
