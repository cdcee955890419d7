"""Machines with little: few descriptors, little memory, no room for what is to be written."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.bundle_files import listing, snapshot

from edge_ser.data import DEFAULT_BUNDLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of processes")

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
name, value = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
resource.setrlimit(getattr(resource, name), (value, value))
from edge_ser.cli import program
sys.exit(program())
"""


# as a shell starts it under `ulimit`
COMMAND = """
import os, resource, sys
name, value = getattr(resource, sys.argv[1]), int(sys.argv[2])
resource.setrlimit(name, (value, value))
os.execv(sys.executable, [sys.executable, "-m", "edge_ser", *sys.argv[3:]])
"""


def limited(
    name: str, value: int, *words: str, start: str = LIMITED, stdout: Any = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", start, name, str(value), *words],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [("RLIMIT_NOFILE", 32), ("RLIMIT_AS", 300 << 20)], ids=["files", "memory"]
)
def test_answers_need_little(name: str, value: int, utterances: list[Path]) -> None:
    for words in (["predict", str(DEFAULT_BUNDLE), str(utterances[0])],
                  ["verify", str(DEFAULT_BUNDLE)]):  # fmt: skip
        done = limited(name, value, *words, "--threads", "1")
        assert done.returncode == 0, done.stderr


def test_too_little_memory_is_one_line(utterances: list[Path]) -> None:
    done = limited(
        "RLIMIT_AS", 160 << 20, "predict", str(DEFAULT_BUNDLE), str(utterances[0]), "--threads", "1"
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-ser: error: memory: expected enough for this model and audio")


@pytest.mark.parametrize("megabytes", [60, 80, 100, 120])
def test_too_little_memory_for_imports_is_one_line(megabytes: int) -> None:
    done = limited("RLIMIT_AS", megabytes << 20, "--version", start=COMMAND)
    assert done.returncode == 2
    assert done.stderr == (
        "edge-ser: error: memory: expected 120 MB for the libraries, found less; free some, or "
        "raise the limit (ulimit -v)\n"
    )


def test_answers_into_a_file_that_may_not_grow(utterances: list[Path], tmp_path: Path) -> None:
    with (tmp_path / "answers.csv").open("w") as file:
        done = limited(
            "RLIMIT_FSIZE", 10, "predict", str(DEFAULT_BUNDLE), str(utterances[0]), stdout=file
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "edge-ser: error: file: expected a file that may grow, found File too large; raise the "
        "limit (ulimit -f), or choose another place"
    )
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("RLIMIT_NOFILE", 32), ("RLIMIT_AS", 400 << 20)], ids=["files", "memory"]
)
def test_bench_needs_little(name: str, value: int, tmp_path: Path) -> None:
    words = ("bench", str(DEFAULT_BUNDLE), "--seconds", "1", "--threads", "1")
    done = limited(name, value, *words)
    assert done.returncode == 0, done.stderr
    assert "ms" in done.stdout


def test_bench_without_room_for_its_records_is_one_line(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    words = ("bench", str(DEFAULT_BUNDLE), "--seconds", "1", "--json", str(records))
    done = limited("RLIMIT_FSIZE", 100, *words)
    assert done.returncode == 2
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not records.exists() or records.read_text() == ""


def test_an_export_without_room_leaves_the_bundle_that_was_there(
    bundle_dir: Path, tmp_path: Path
) -> None:
    before, beside = snapshot(bundle_dir), listing(tmp_path)
    done = limited("RLIMIT_FSIZE", 100_000, "export", "spectral", "-o", str(bundle_dir))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edge-ser: error: ") and "File too large" in last
    assert "Traceback" not in done.stderr
    assert snapshot(bundle_dir) == before and listing(tmp_path) == beside
