"""Where calibration utterances come from, and which sources are refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.calibration_files import names, octants, of, speak

from edge_ser.cli.folders import audio_files
from edge_ser.errors import DataError, MissingPathError, UsageError
from edge_ser_export.calibration.sources import list_candidates


def write_table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


# --- tables


def test_table_with_and_without_labels(tmp_path: Path) -> None:
    speak(tmp_path / "beside.wav", 5)
    speak(tmp_path / "audio" / "below.wav", 5)
    speak(tmp_path / "audio" / "plain.wav", 5)
    speak(tmp_path / "not in the table.wav", 5)
    table = write_table(
        tmp_path / "labels.csv", "Split_Set,EmoVal,FileName,EmoAct,EmoDom",
        "Train,1,beside.wav,7,6", "Train,2,below.wav,3,2", "Train,,plain.wav,,",
        "Test1,1,beside.wav,7,6",
    )  # fmt: skip
    drawn = of(table)
    found = {u.path.name: (u.group, u.scores) for u in (*drawn.fit, *drawn.judge)}
    assert found == {
        "beside.wav": (3, (7, 6, 1)), "below.wav": (6, (3, 2, 2)), "plain.wav": (5, None),
    }  # fmt: skip
    assert drawn.source == "labels.csv"


def test_table_of_names_alone(tmp_path: Path) -> None:
    for octant in (1, 4):
        speak(tmp_path / f"{octant}.wav", octant)
    absolute = tmp_path / "1.wav"
    drawn = of(write_table(tmp_path / "files.csv", "FileName", "4.wav", str(absolute)))
    assert sorted(map(str, octants(drawn.fit + drawn.judge))) == ["1", "4"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("File,EmoAct", "a.wav,3"), "column FileName.*File, EmoAct columns"),
        (("FileName,EmoAct", "a.wav,3"), "EmoAct, EmoDom, EmoVal or none of them"),
        (("",), "no columns"),
        (("FileName",), "none in it"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,3,3,3", "b.wav,3,7.5,3"), "line 3.*3, 7.5, 3"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,0.9,3,3"), "scores in 1..7"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,nan,3,3"), "scores in 1..7"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,3,high,3"), "three numbers"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,3,,3"), "three numbers"),
        (("FileName,EmoAct,EmoDom,EmoVal", "a.wav,3,3"), "three numbers"),
        (("FileName,Speaker", ",Ann"), "line 2: expected a FileName"),
    ],
)
def test_tables_that_are_refused(lines: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        speak(tmp_path / name)
    with pytest.raises(DataError, match=message):
        of(write_table(tmp_path / "labels.csv", *lines))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"FileName\n\xff\xfe\n")
    with pytest.raises(DataError, match="a CSV table in UTF-8"):
        of(tmp_path / "labels.csv")


# --- what cannot be calibrated on


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="absent: expected a folder of audio or a CSV"):
        of(tmp_path / "absent")


def test_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("speech")
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(DataError, match="none in it"):
        of(tmp_path)


def test_many_unusable_files_are_refused_and_named(tmp_path: Path) -> None:
    for number in range(20):
        speak(tmp_path / f"{number:02}.wav")
    (tmp_path / "05.wav").write_bytes(b"")
    (tmp_path / "06.wav").write_bytes(b"no audio")
    drawn = of(tmp_path)  # a tenth
    assert [s.split(":")[0] for s in drawn.skipped] == ["05.wav", "06.wav"]
    assert len(drawn.fit) == len(drawn.judge) == 9
    for name, seconds in (("07.wav", 0.02), ("08.wav", 0.02)):
        speak(tmp_path / name, seconds=seconds)
    with pytest.raises(
        DataError, match=r"4 of 20: 05.wav: .*; 06.wav: .*; 07.wav: .*400"
    ) as caught:
        of(tmp_path)
    assert "08.wav" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_files_missing_from_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 2: a.wav: .*no such file; b.wav") as caught:
        of(write_table(tmp_path / "labels.csv", "FileName", "a.wav", "b.wav"))
    assert str(caught.value).count(str(tmp_path)) == 1  # the table


@pytest.mark.parametrize("copies", [0, 2])
def test_one_utterance_is_refused(copies: int, tmp_path: Path) -> None:
    speak(tmp_path / "0.wav")
    for number in range(copies):
        shutil.copy(tmp_path / "0.wav", tmp_path / f"copy{number}.wav")
    with pytest.raises(DataError, match="a calibration set of one utterance"):
        of(tmp_path)


def test_an_audio_file_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one audio file; name the folder"):
        of(speak(tmp_path / "0.wav"))


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(("level", "offset"), [(0, 0), (0, 0.5), (3e-4, 0), (3e-4, 0.5)])
def test_silence_is_refused(rate: int, level: float, offset: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        quiet = offset + rng.uniform(-level, level, rate // 2)
        soundfile.write(tmp_path / f"{number}.wav", quiet, rate, subtype="FLOAT")
    with pytest.raises(DataError, match="found silence: in none of 5 files"):
        of(tmp_path)


def test_broken_files_are_not_called_silence(tmp_path: Path) -> None:
    speak(tmp_path / "0.wav", level=0)
    (tmp_path / "1.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match=r"2 of 2: 0.wav.*all zero; 1.wav"):
        of(tmp_path)


def test_soft_speech_is_no_silence(tmp_path: Path) -> None:
    for number in range(2):
        speak(tmp_path / f"{number}.wav", level=2e-3)
    speak(tmp_path / "nobody.wav", level=5e-4)
    drawn = of(tmp_path)
    assert sorted(names(drawn.fit + drawn.judge)) == ["0.wav", "1.wav"]
    assert drawn.skipped == ("nobody.wav: near silence, below 0.001 of full scale",)


@pytest.mark.parametrize(("count", "seed"), [(0, 7), (4, -1)])
def test_settings_out_of_range_are_refused(count: int, seed: int) -> None:
    with pytest.raises(UsageError, match="count >= 1, seed >= 0"):
        of(None, count, seed)


def test_folders_are_searched_as_for_prediction(tmp_path: Path) -> None:
    speak(tmp_path / "inner" / "a.wav").rename(tmp_path / "inner" / "a.WAVE")
    speak(tmp_path / "b.aiff").rename(tmp_path / "b.aifc")
    speak(tmp_path / "c.dat.wav").rename(tmp_path / "c.dat")
    files, _ = audio_files([tmp_path])
    assert [p.relative_to(tmp_path).as_posix() for p in files] == ["b.aifc", "inner/a.WAVE"]
    assert [c.path for c in list_candidates(tmp_path)] == files


# --- splits


def corpus(root: Path, *splits: str) -> Path:
    """A corpus in MSP-Podcast's layout, a clip or more for each split."""
    rows = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,Split_Set"]
    for number, split in enumerate(splits):
        speak(root / "Audios" / f"{number}.wav", number % 8)
        rows.append(f"{number}.wav,N,2,3,6,{split}")
    (root / "Labels").mkdir()
    write_table(root / "Labels" / "labels_consensus.csv", *rows)
    return root


def test_a_corpus_is_found_and_its_test_splits_are_left_alone(tmp_path: Path) -> None:
    root = corpus(tmp_path, "Train", "Test1", "Development", "Test2", "Train", "test3")
    drawn = of(root)
    assert sorted(names(drawn.fit + drawn.judge)) == ["0.wav", "2.wav", "4.wav"]
    assert drawn.splits == ("Development", "Train")
    assert drawn.to_dict()["splits"] == ["Development", "Train"]
    assert drawn.fit[0].scores == (2, 6, 3)
    by_table = of(root / "Labels" / "labels_consensus.csv")
    assert by_table.fingerprint == drawn.fingerprint


def test_a_split_is_drawn_from_where_it_is_named(tmp_path: Path) -> None:
    root = corpus(tmp_path, "Train", "Test1", "Test1", "Development")
    drawn = of(root, split="Test1")
    assert sorted(names(drawn.fit + drawn.judge)) == ["1.wav", "2.wav"]
    assert drawn.splits == ("Test1",)
    with pytest.raises(DataError, match=r"Split_Set = Test9, found splits Development, Test1, T"):
        of(root, split="Test9")


def test_nothing_but_test_clips_is_refused_unless_told(tmp_path: Path) -> None:
    root = corpus(tmp_path, "Test1", "Test2", "Test1")
    with pytest.raises(DataError, match=r"not for testing.*found splits Test1, Test2 alone.*--spl"):
        of(root)
    assert len(of(root, split="Test1").fit) == 1


def test_audio_lies_where_it_is_said(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus", "Train", "Train")
    other = tmp_path / "resampled"
    for number in range(2):
        speak(other / f"{number}.wav")
    drawn = of(root, audio=other)
    assert {u.path.parent for u in drawn.fit + drawn.judge} == {other}


def test_a_folder_of_audio_has_no_splits(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav")
    with pytest.raises(DataError, match="found a folder of audio; drop them"):
        of(tmp_path, split="Train")
    assert write_table(tmp_path / "names.csv", "FileName", "a.wav")
    with pytest.raises(DataError, match="Split_Set = Train, found no Split_Set"):
        of(tmp_path / "names.csv", split="Train")
