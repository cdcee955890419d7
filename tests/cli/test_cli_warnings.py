"""Every command is clean with warnings as errors and in Python's development mode."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ser.data import DEFAULT_BUNDLE

# librosa asks audioread which backends there are, and that imports modules that Python 3.13 lacks.
THIRD_PARTY = ("ignore::DeprecationWarning:audioread.rawread",)


def strict(*arguments: object) -> subprocess.CompletedProcess[str]:
    allowed = [word for rule in THIRD_PARTY for word in ("-W", rule)]
    return subprocess.run(
        [sys.executable, "-W", "error", *allowed, "-X", "dev", "-m", "edge_ser",
         *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def clean(*arguments: object) -> None:
    done = strict(*arguments)
    # where stderr is no terminal there are no bars: what is left would be warnings
    assert done.stderr == ""
    assert done.returncode == 0 and done.stdout


@pytest.mark.parametrize("command", ["predict", "verify", "inspect", "doctor"])
def test_commands_on_a_folder_and_on_a_zip(
    command: str, tmp_path: Path, zip_bundle: Callable[..., Path], utterances: list[Path]
) -> None:
    clean(command)
    archive = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip")
    clean(command, archive, *([utterances[0]] if command == "predict" else []))


def test_a_report(tmp_path: Path) -> None:
    clean("verify", "--report", tmp_path / "page.html")


def test_bench(tmp_path: Path) -> None:
    clean(
        "bench", "--rounds", 1, "--max-time", 0.1, "--seconds", 1, "--processes", 1,
        "--json", tmp_path / "records.jsonl", "--plot", tmp_path / "plot.svg",
    )  # fmt: skip


@pytest.mark.slow
def test_export(tmp_path: Path) -> None:
    clean("export", "--out", tmp_path / "bundle")


def test_refusals_leave_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    done = strict("predict", tmp_path / "text.wav")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_warning_would_be_seen(tmp_path: Path) -> None:
    code = "import tempfile; tempfile.TemporaryDirectory()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "ResourceWarning" in done.stderr
