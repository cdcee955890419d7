"""Machines with little: few descriptors, little memory, no room for what is to be written."""

import subprocess
import sys
from pathlib import Path

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


def limited(name: str, value: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, name, str(value), *words],
        capture_output=True, text=True, check=False, timeout=240,
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
