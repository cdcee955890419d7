"""`edge-ser predict --engine`: what is written, said and refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser.data import DEFAULT_BUNDLE, sample_utterances

Cli = Callable[..., Any]
parquet = pytest.importorskip("pyarrow.parquet", reason="extra ray is not installed")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    for path in sample_utterances():
        shutil.copy(path, folder)
    return folder


def test_an_archive_is_answered_once(cli: Cli, speech: Path, tmp_path: Path) -> None:
    out, count = tmp_path / "out", len(sample_utterances())
    command = ("predict", DEFAULT_BUNDLE, speech, "--engine", "plain", "-o", out)
    done = cli(*command)
    assert done.code == 0 and done.out == ""
    assert f"edge-ser: {out}: {count} files, 0 with errors; " in done.err
    assert parquet.read_table(out).num_rows == count
    again = cli(*command)
    assert again.code == 0 and f"0 files, 0 with errors, {count} answered before" in again.err
    error = cli(*command, "--segments").error()
    assert "expected answers of the same job, with window 5.0, found None" in error


def test_what_has_no_answer_is_a_row_and_ends_with_2(
    cli: Cli, speech: Path, tmp_path: Path
) -> None:
    (speech / "broken.wav").write_text("no audio")
    done = cli("predict", speech, "--engine", "plain", "-o", tmp_path / "out", "--segments")
    assert done.code == 2
    assert "warning: 1 recordings have no answer: see the column error of the rows" in done.err
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    (bad,) = (row for row in rows if row["error"])
    assert bad["path"].endswith("broken.wav") and len(rows) > len(sample_utterances())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--engine", "ray"), "--engine: expected --out DIR beside it, found none"),
        (("--workers", 2), "--workers: expected --engine beside it, found none"),
        (("--part-files", 2), "--part-files: expected --engine beside it, found none"),
        (("--engine", "plain", "-o", "O", "--workers", 2), "--workers: expected none beside --eng"),
        (
            ("--engine", "ray", "-o", "O", "--json"),
            "--format: expected none beside --engine ray, f",
        ),
        (("--engine", "ray", "-o", "O", "--long", "mean"), "--long: expected none beside --engine"),
        (("--engine", "ray", "-o", "O", "--workers", 0), "workers: expected at least 1, found 0"),
        (
            ("--engine", "plain", "-o", "O", "--part-files", 0),
            "part_files: expected at least 1, found 0",
        ),
        (("--engine", "ray", "-o", "O", "/nowhere"), "/nowhere: expected a folder, audio files or"),
        (("--engine", "ray", "-o", "O", "-"), "expected folders, files or shards beside --engine"),
        (("--engine", "spark", "-o", "O"), "--engine: expected one of plain, ray, found 'spark'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    cli: Cli, speech: Path, more: tuple[object, ...], words: str
) -> None:
    assert words in cli("predict", speech, *more).error()


def test_an_address_is_written_to_as_it_was_typed(cli: Cli, speech: Path) -> None:
    error = cli("predict", speech, "--engine", "plain", "-o", "nowhere://bucket/out").error()
    assert error.startswith("nowhere://bucket/out: expected a path, or an address that PyArrow")
