"""What Windows does otherwise, as far as another system can show it."""

import errno
from pathlib import Path

import pytest

from edge_ser import cli
from edge_ser.cli import folders
from edge_ser.cli.folders import audio_files
from edge_ser.cli.predict_rows import _short


def test_patterns_that_the_shell_leaves_are_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.wav", "a.wav", "c.txt"):
        (tmp_path / name).touch()
    pattern = tmp_path / "*.wav"
    assert audio_files([pattern]) == ([pattern], 0), "a file may be called so elsewhere"
    monkeypatch.setattr(folders, "_WINDOWS", True)
    assert audio_files([pattern]) == ([tmp_path / "a.wav", tmp_path / "b.wav"], 0)
    assert audio_files([tmp_path / "*.flac"]) == ([tmp_path / "*.flac"], 0), "is told as missing"


@pytest.mark.parametrize(
    ("error", "elsewhere", "windows"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), True, True),
        (OSError(errno.EINVAL, "Invalid argument"), False, True),
        (OSError(errno.EINVAL, "Invalid argument", "a?.wav"), False, False),
        (OSError(errno.ENOSPC, "No space left on device"), False, False),
        (ValueError("x"), False, False),
    ],
)
def test_a_reader_that_has_gone(
    error: Exception, elsewhere: bool, windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_WINDOWS", False)
    assert cli._reader_has_gone(error) is elsewhere
    monkeypatch.setattr(cli, "_WINDOWS", True)
    assert cli._reader_has_gone(error) is windows


def test_long_paths_are_cut_at_the_separator_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = r"C:\Users\someone\recordings of the year\in the car\a.wav"
    assert _short(path) == path[-45:].join(("...", ""))
    monkeypatch.setattr("os.sep", "\\")
    assert _short(path) == r"...\recordings of the year\in the car\a.wav"
