"""One bundle in another's place: in one step, and nothing lost or left behind by killed runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.bundle_files import listing

from edge_ser.bundle import replacing
from edge_ser.bundle.replacing import in_use, put_in_place, remove_abandoned

FOREVER = """
import sys, time
from pathlib import Path
from edge_ser.bundle.writing import new_bundle
with new_bundle(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print(work, flush=True)
    time.sleep(600)
"""


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "content").write_text(content)
    return path


def read(path: Path) -> str:
    return (path / "content").read_text()


@pytest.fixture(params=["in one step", "in two steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As this system does it, and as one does that cannot exchange."""
    if request.param == "in two steps":
        monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    return str(request.param)


def test_what_was_there_is_replaced(steps: str, tmp_path: Path) -> None:
    work, path = folder(tmp_path / ".out.1", "new"), folder(tmp_path / "out", "old")
    put_in_place(work, path)
    assert read(path) == "new"
    assert listing(tmp_path) == ["out"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two paths")
def test_there_is_no_moment_without_either(tmp_path: Path) -> None:
    path = folder(tmp_path / "out", "0")
    code = """
import sys
from pathlib import Path
from edge_ser.bundle.replacing import put_in_place
path = Path(sys.argv[1])
for i in range(1, 2000):
    work = path.with_name(f".out.{i}")
    work.mkdir()
    (work / "content").write_text(str(i))
    put_in_place(work, path)
"""
    absent, seen = 0, set()
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
        while writer.poll() is None:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                absent += 1
                continue
            seen.add(os.fstat(descriptor).st_ino)
            os.close(descriptor)
    assert writer.returncode == 0
    assert absent == 0
    assert len(seen) > 1, "the reader looked while it was replaced"


def test_a_second_step_that_fails_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    path = folder(tmp_path / "out", "old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "absent", path)
    assert read(path) == "old"
    assert listing(tmp_path) == ["out"]


def aged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)


def test_a_killed_run_is_cleaned_up_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", FOREVER, str(out)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        work = Path(run.stdout.readline().strip())
        aged(work, monkeypatch)
        remove_abandoned(out)
        assert read_half(work), "its process lives"
        run.send_signal(signal.SIGKILL)
        run.wait()
    remove_abandoned(tmp_path / "ou")  # of another bundle
    assert read_half(work)
    remove_abandoned(out)
    assert listing(tmp_path) == []


def read_half(work: Path) -> bool:
    return (work / "half").read_text() == "half"


def test_a_folder_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    folder(tmp_path / ".out.young", "of another run")
    remove_abandoned(tmp_path / "out")
    assert listing(tmp_path) == [".out.young"]


def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = folder(tmp_path / ".out.1", "of another run")
    aged(work, monkeypatch)
    with in_use(work):
        remove_abandoned(tmp_path / "out")
        assert read(work)
    remove_abandoned(tmp_path / "out")
    assert listing(tmp_path) == []


def test_what_a_killed_run_had_moved_aside_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / ".out.1.old", "the only one")
    aged(tmp_path, monkeypatch)
    remove_abandoned(tmp_path / "out")
    assert read(tmp_path / "out") == "the only one"
    folder(tmp_path / ".out.2.old", "replaced")
    remove_abandoned(tmp_path / "out")
    assert listing(tmp_path) == ["out"]
    assert read(tmp_path / "out") == "the only one"
