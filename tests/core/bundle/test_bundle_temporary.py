"""What is unpacked of a zip goes with its process, whatever ends that."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from helpers.bundle_files import TinyBundle, ZipBundle, listing

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError

SECONDS = 60
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, and locks of files")
HOLD = """
import sys
from edge_ser.bundle.bundle import Bundle
bundle = Bundle.open(sys.argv[1])
print(bundle.root, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def archive(tiny_bundle: TinyBundle, zip_bundle: ZipBundle, tmp_path: Path) -> Path:
    return zip_bundle(tiny_bundle(), tmp_path / "tiny.zip")


def environment(scratch: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(scratch)}


@pytest.fixture
def holder(archive: Path, scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the bundle open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(archive)], env=environment(scratch), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def root_of(holder: subprocess.Popen[str]) -> Path:
    assert holder.stdout is not None
    return Path(holder.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_one_removes_what_a_killed_process_left(
    number: signal.Signals, holder: subprocess.Popen[str], archive: Path, scratch: Path
) -> None:
    left = root_of(holder)
    holder.send_signal(number)
    holder.wait(SECONDS)
    assert left.is_dir() and left.parent == scratch
    with edge_ser.load(archive, threads=1) as ser:
        assert not left.exists()
        assert ser.bundle.graph_path.is_file()
    assert listing(scratch) == []


def test_what_a_living_process_unpacked_stays(holder: subprocess.Popen[str], archive: Path) -> None:
    root = root_of(holder)
    with edge_ser.load(archive, threads=1) as mine:
        assert mine.bundle.root != root
        assert (root / "model.onnx").is_file()
    assert (root / "model.onnx").is_file()


def test_folders_of_others_stay(archive: Path, scratch: Path) -> None:
    (scratch / "edge-ser-theirs").mkdir()
    (scratch / "edge-ser-notes").write_text("mine")
    (scratch / "edge-ser.scratch-notes").write_text("mine")
    Bundle.open(archive).close()
    assert listing(scratch) == ["edge-ser-notes", "edge-ser-theirs", "edge-ser.scratch-notes"]


def answer(ser: edge_ser.Recognizer, path: Path) -> float:
    return ser(path).arousal


@pytest.mark.parametrize("kind", ["spawn", "fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_workers_leave_nothing_when_their_pool_ends(
    kind: str, archive: Path, scratch: Path, utterances: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TMPDIR", str(scratch))
    ser = edge_ser.load(archive, threads=1)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as pool:
        list(pool.map(answer, [ser] * 4, [utterances[0]] * 4))
    assert list(scratch.glob("edge-ser*")) == [ser.bundle.root]
    ser.close()
    assert list(scratch.glob("edge-ser*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_asked_to_end_keeps_its_rows_and_leaves_nothing(
    number: signal.Signals, archive: Path, scratch: Path, tmp_path: Path, utterances: list[Path]
) -> None:
    endless = tmp_path / "pipe.wav"
    os.mkfifo(endless)
    files = [str(utterances[0])] * 64  # as many as are decoded before any is answered
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_ser", "predict", "--threads", "1", str(archive), *files,
         str(endless)],
        env=environment(scratch), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with endless.open("wb"):  # returns when the command has come to read it
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert err.splitlines() == [
        "edge-ser: warning: interrupted after 64 of 65 files, which are kept",
        f"edge-ser: error: {word}",
    ]
    assert len(out.splitlines()) == 1 + 64, "the answers that there were"
    assert list(scratch.iterdir()) == []


# No room


SMALL_FILES_ONLY = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from edge_ser.cli import program
sys.exit(program())
"""


def test_a_place_that_is_full_is_named(
    archive: Path, scratch: Path, utterances: list[Path]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES_ONLY, "predict", str(archive), str(utterances[0])],
        env=environment(scratch), capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"edge-ser: error: {archive}: expected 1 MB of room to unpack it, in {scratch}, found file "
        "too large; set TMPDIR to another place, or unpack it once and give the directory\n"
    )
    assert list(scratch.iterdir()) == []


def test_no_place_at_all_is_named(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(BundleError, match=r"1 MB of room to unpack it, in .*none, found no such"):
        Bundle.open(archive)
