"""Files with answers to the clips of a corpus."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import DataError, MissingPathError
from edge_ser.scoring.answers import answers_to, read_answers, write_answers


def test_what_is_written_is_read_with_the_same_numbers(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(4, 2, (5, 3))
    files = [f"part/{i}.wav" for i in range(5)]
    write_answers(tmp_path / "a.csv", files, scores)
    answers = read_answers(tmp_path / "a.csv")
    assert list(answers) == files
    assert np.array_equal(np.stack(list(answers.values())), scores)


ROW = {"source": "/data/x.wav", "arousal": 3.5, "dominance": 4, "valence": 2.25, "seconds": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([ROW], indent=1)),
        ("a.jsonl", json.dumps(ROW) + "\n\n"),
        ("a.json", json.dumps(ROW)),
        ("a.csv", "source,seconds,arousal,dominance,valence\n/data/x.wav,1,3.5,4,2.25\n"),
        ("a.csv", "FileName,EmoAct,EmoVal,EmoDom\nx.wav,3.5,2.25,4\n"),
    ],
)
def test_forms_that_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    answers = read_answers(tmp_path / name)
    assert [a.tolist() for a in answers_to(["x.wav"], answers).values()] == [[3.5, 4, 2.25]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "file,valence\nx.wav,3\n", r"line 2: expected FileName, EmoAct.*or source, ar"),
        ("a.csv", "FileName,EmoAct,EmoVal,EmoDom\nx.wav,3,,4\n", "line 2: expected three numbers"),
        ("a.csv", "FileName,EmoAct,EmoVal,EmoDom\nx.wav,3,nan,4\n", "finite numbers"),
        ("a.csv", "FileName,EmoAct,EmoVal,EmoDom\n", "expected answers, found none"),
        ("a.csv", "FileName,EmoAct,EmoVal,EmoDom\nx.wav,.2,.9,1\n", r"1\.\.7, found none above 1"),
        (
            "a.csv",
            "FileName,EmoAct,EmoVal,EmoDom\na/x.wav,2,2,2\na/x.wav,3,2,2\n",
            "line 3: expected one answer a file, found another one for a/x.wav",
        ),
        ("a.json", "[1, 2]", "entry 1: expected an object, found 1"),
        ("a.json", '{"source": ', "expected JSON"),
    ],
)
def test_forms_that_are_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_answers(tmp_path / name)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="answers as CSV or JSON, found no such file"):
        read_answers(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("files", "names", "expected"),
    [
        (["a/1.wav", "b/1.wav"], ["b/1.wav", "a/1.wav"], {0: 1, 1: 0}),
        (["1.wav", "2.wav"], ["/data/a/2.wav", "/data/b/1.wav"], {0: 1, 1: 0}),
        (["a/1.wav", "2.wav"], ["1.wav", "c/2.wav", "2.wav"], {0: 0, 1: 2}),
        (["1.wav"], ["a/1.wav", "b/1.wav"], {}),
        (["a/1.wav", "b/1.wav"], ["1.wav"], {}),
        (["a/1.wav", "b/1.wav"], ["a/1.wav", "c/1.wav"], {0: 0}),
        (["a/1.wav", "a/1.wav"], ["1.wav"], {0: 0, 1: 0}),
    ],
)
def test_an_answer_is_found_by_name_or_by_a_last_part_that_nothing_else_has(
    files: list[str], names: list[str], expected: dict[int, int]
) -> None:
    answers = {name: np.full(3, float(i)) for i, name in enumerate(names)}
    found = answers_to(files, answers)
    assert {i: int(scores[0]) for i, scores in found.items()} == expected
    assert list(found) == sorted(found)


def test_files_in_several_folders_have_answers_of_their_own(tmp_path: Path) -> None:
    scores = np.array([[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]])
    write_answers(tmp_path / "a.csv", ["a/1.wav", "b/1.wav"], scores)
    answers = read_answers(tmp_path / "a.csv")
    assert np.array_equal(list(answers_to(["b/1.wav", "a/1.wav"], answers).values()), scores[::-1])
