"""Who speaks when: tables that are read, and those that are refused by the number of a line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import AudioError, DataError, MissingPathError
from edge_ser.segments.turns import Turn, check_turns, cut_turns, read_turns, turns_of
from edge_ser.segments.windows import WindowRule

RTTM = """;; a comment
SPKR-INFO call 1 <NA> <NA> <NA> unknown A <NA> <NA>
SPEAKER call 1 0.500 2.000 <NA> <NA> A <NA> <NA>
SPEAKER call 1 2.499 1.000 <NA> <NA> B <NA> <NA>

SPEAKER call 1 10.000 0.500 <NA> <NA> A <NA> <NA>
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rttm(tmp_path: Path) -> None:
    assert read_turns(written(tmp_path / "a.rttm", RTTM)) == [
        Turn(0.5, 2.5, "A", "call", 3),
        Turn(2.499, 3.499, "B", "call", 4),
        Turn(10.0, 10.5, "A", "call", 6),
    ]


def test_an_rttm_file_names_a_recording_without_spaces() -> None:
    turns = [Turn(0.0, 1.0, "A", "my_long_call"), Turn(0.0, 1.0, "B", "other")]
    assert turns_of(turns, "/calls/my long call.wav", "a.rttm") == turns[:1]


def test_lines_of_rttm_that_are_no_turns_are_left_out(tmp_path: Path) -> None:
    others = "NON-SPEECH call 1 0 0.4 <NA> noise <NA> <NA>\nLEXEME call 1 0.6 0.2 hi lex A 0.9\n"
    assert read_turns(written(tmp_path / "a.rttm", others + RTTM)) == [
        turn._replace(line=turn.line + 2)
        for turn in read_turns(written(tmp_path / "b.rttm", RTTM))
    ]  # fmt: skip


def test_csv_in_any_order_of_columns(tmp_path: Path) -> None:
    text = '\ufeffstart,End, speaker,note\n0,1.5,Ann B,x\n\n1.5,2,"C, D",y\n'
    assert read_turns(written(tmp_path / "a.CSV", text)) == [
        Turn(0.0, 1.5, "Ann B", "", 2),
        Turn(1.5, 2.0, "C, D", "", 4),
    ]
    several = "file,speaker,start,end\na,A,5,6\nb.wav,B,0,1\n"
    turns = read_turns(written(tmp_path / "b.csv", several))
    assert turns_of(turns, "/calls/a.wav", "b.csv") == [turns[0]]
    assert turns_of(turns, "b.wav", "b.csv") == [turns[1]]
    with pytest.raises(DataError, match=r"b\.csv: expected turns of c, found those of a, b\.wav"):
        turns_of(turns, "c.wav", "b.csv")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.rttm",
            "SPEAKER call 1 x 2 <NA> <NA> A",
            "line 1: expected a start in seconds, found x",
        ),
        ("a.rttm", RTTM + "SPEAKER call 1 11 1", "line 7: expected SPEAKER file channel start"),
        ("a.rttm", RTTM + "words", "line 7: expected SPEAKER file channel start"),
        ("a.rttm", RTTM + "SPEAKER call 1 11 0 - - A", "line 7: expected an end after the start"),
        ("a.rttm", RTTM + "SPEAKER call 1 11 -1 - - A", "line 7: expected an end after the start"),
        ("a.rttm", RTTM + "SPEAKER call 1 nan 1 - - A", "line 7: expected times from 0 on"),
        ("a.rttm", RTTM + "SPEAKER call 1 9 1 - - A", "line 7: expected turns in the order of"),
        (
            "a.rttm",
            RTTM + "SPEAKER call 1 10.4 1 - - B",
            "line 7: expected a start after the end of the turn before, 10.5 s, found 10.4 to 11.4",
        ),
        ("a.rttm", RTTM + "SPEAKER call 1 11 1 - - <NA>", "line 7: expected a speaker, found an"),
        ("a.rttm", "LEXEME call 1 0 1 hi lex A", "expected turns of speakers, found none"),
        ("a.rttm", ";; nothing", "expected turns of speakers, found none"),
        ("a.csv", "speaker,start\nA,0", "line 1: expected the columns speaker, start, end, found"),
        ("a.csv", "", "line 1: expected the columns speaker, start, end, found nothing"),
        ("a.csv", "speaker,start,end\nA,0", "line 2: expected 3 fields, found 2"),
        (
            "a.csv",
            "speaker,start,end\nA,0,1\nB,1,soon",
            "line 3: expected an end in seconds, found",
        ),
        (
            "a.csv",
            "speaker,start,end\nA,0,1\n ,1,1.02",
            "line 3: expected a speaker, found an empty name",
        ),
        ("a.csv", "speaker,start,end\nA,-1,1", "line 2: expected times from 0 on, in seconds"),
        (
            "a.csv",
            "speaker,start,end\nA,3,2",
            "line 2: expected an end after the start, found 3 to",
        ),
    ],
)
def test_what_is_no_order_of_turns_is_refused(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    with pytest.raises(DataError) as refused:
        read_turns(written(tmp_path / name, text))
    assert f"{tmp_path / name}: {expected}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="expected an RTTM or CSV file, found no such file"):
        read_turns(tmp_path / "none.rttm")
    (tmp_path / "a.rttm").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="expected text in UTF-8"):
        read_turns(tmp_path / "a.rttm")


def test_turns_of_another_recording_do_not_overlap() -> None:
    check_turns([Turn(0, 5, "A", "x"), Turn(1, 2, "B", "y")], "turns")
    with pytest.raises(DataError, match="turns: turn 2: expected a start after the end"):
        check_turns([Turn(0, 5, "A"), Turn(1, 2, "B")], "turns")


def blocks(size: int, length: int) -> Iterator[np.ndarray]:
    numbers = np.arange(size, dtype=np.float32)
    return (numbers[i : i + length] for i in range(0, size, length))


@pytest.mark.parametrize("length", [1, 7, 1000])
def test_turns_are_cut_out_of_a_stream(length: int) -> None:
    turns = [Turn(0.2, 0.5, "A"), Turn(0.5, 0.6, "B"), Turn(4.0, 7.5, "A")]
    windows = list(cut_turns(blocks(100, length), turns, WindowRule(10, 10, 2), 20, 10, "x"))
    assert [(w.start, w.start + w.samples.size, w.speaker) for w in windows] == [
        (2, 5, "A"), (5, 6, "B"), (40, 50, "A"), (50, 60, "A"), (60, 70, "A"), (65, 75, "A"),
    ]  # fmt: skip
    assert [w.counted for w in windows] == [3, 1, 10, 10, 10, 5]
    for window in windows:
        expected = np.arange(window.start, window.start + window.samples.size)
        np.testing.assert_array_equal(window.samples, expected)


def test_a_turn_that_rounds_to_nothing_is_a_window_without_samples() -> None:
    turns = [Turn(0.2, 0.24, "A"), Turn(0.5, 0.6, "B"), Turn(9.91, 9.94, "A")]
    windows = list(cut_turns(blocks(100, 7), turns, WindowRule(10, 10, 2), 20, 10, "x"))
    spans = [(w.start, w.samples.size, w.counted, w.speaker) for w in windows]
    assert spans == [(2, 0, 0, "A"), (5, 1, 1, "B"), (99, 0, 0, "A")]
    with pytest.raises(DataError, match="turns: turn 2: expected a speaker, found an empty name"):
        check_turns([Turn(0, 1, "A"), Turn(1, 2, "")], "turns")


def test_a_turn_of_nothing_after_the_end_is_refused_and_no_window() -> None:
    windows = cut_turns(
        blocks(100, 7), [Turn(11.01, 11.04, "A")], WindowRule(10, 10, 2), 20, 10, "x"
    )
    with pytest.raises(AudioError, match=r"expected audio until 11\.04 s"):
        next(windows)


def test_a_turn_after_the_end_is_refused() -> None:
    turns = [Turn(0, 1, "A", line=3), Turn(2, 11, "B", line=4)]
    windows = cut_turns(blocks(100, 7), turns, WindowRule(10, 10, 2), 20, 10, "x.wav")
    assert next(windows).speaker == "A"
    with pytest.raises(AudioError, match=r"x\.wav: expected audio until 11 s, .* line 4 ends"):
        list(windows)
