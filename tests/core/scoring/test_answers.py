"""Files with answers to the clips of a corpus."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import DataError, MissingPathError
from edge_ser.scoring.answers import read_answers, write_answers


def test_what_is_written_is_read_with_the_same_numbers(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(4, 2, (5, 3))
    files = [f"part/{i}.wav" for i in range(5)]
    write_answers(tmp_path / "a.csv", files, scores)
    answers = read_answers(tmp_path / "a.csv")
    assert list(answers) == [f"{i}.wav" for i in range(5)]
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
    assert {n: a.tolist() for n, a in answers.items()} == {"x.wav": [3.5, 4, 2.25]}


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
            "FileName,EmoAct,EmoVal,EmoDom\na/x.wav,2,2,2\nb/x.wav,3,2,2\n",
            "line 3: expected one answer a file, found another one for x.wav",
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
