"""Ctrl-C keeps what was answered and measured."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ser.bench.records import read_history

# as many as are decoded ahead, and no more than that is waited for
_FILES = 64
_PATIENCE_SECONDS = 60


@pytest.fixture
def speech(tmp_path: Path, utterances: list[Path]) -> Path:
    """More files than are answered at first, the last of which is a pipe that gives nothing."""
    folder = tmp_path / "speech"
    folder.mkdir()
    for i in range(_FILES):
        os.link(utterances[i % len(utterances)], folder / f"{i:02}.flac")
    os.mkfifo(folder / "pipe.wav")
    return folder


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def writer_of(pipe: Path, process: subprocess.Popen[str]) -> int:
    """The other end of a named pipe, as soon as it is read."""
    opened: list[int] = []

    def reached() -> bool:
        with contextlib.suppress(OSError):
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(reached, process)
    return opened[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("format_", ["table", "json", "csv"])
@pytest.mark.parametrize("to_file", [True, False])
def test_predict_keeps_its_rows(
    format_: str, to_file: bool, speech: Path, tiny_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "rows"
    files = sorted(speech.iterdir())
    more = ["-o", str(out)] if to_file else []
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_ser", "predict", str(tiny_bundle()), *map(str, files),
         "--format", format_, *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = writer_of(files[-1], process)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=_PATIENCE_SECONDS)
    os.close(writer)
    assert process.returncode == 130
    assert err.splitlines() == [
        f"edge-ser: warning: interrupted after {_FILES} of {_FILES + 1} files, which are kept",
        "edge-ser: error: interrupted",
    ]
    lines = (out.read_text() if to_file else printed).splitlines()
    assert (printed == "") == to_file
    if format_ == "json":
        assert [json.loads(line)["source"] for line in lines] == [str(f) for f in files[:-1]]
    elif format_ == "csv":
        assert [row["source"] for row in csv.DictReader(lines)] == [str(f) for f in files[:-1]]
    else:
        assert lines[0].split()[0] == "file" and len(lines) == 1 + _FILES
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_bench_keeps_its_records(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_ser", "-v", "bench", "--processes", "0", "--seconds", "1,2,3",
         "--json", str(history), "--budget", "rtf=1e-9"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    # the log says when the second length is begun
    assert any("ran 1 of [2.0] s" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert [r.seconds for r in read_history(history)] in ([1.0], [1.0, 2.0])
    assert "1 s" in printed and "budget" not in printed
    assert "edge-ser: error: interrupted" in err.splitlines()
