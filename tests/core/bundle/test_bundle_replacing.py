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
from edge_ser.bundle.replacing import put_back, put_in_place
from edge_ser.bundle.writing import check_new_bundle, new_bundle

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


def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)


def test_a_killed_run_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", FOREVER, str(out)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        work = Path(run.stdout.readline().strip())
        check_new_bundle(out)
        assert read_half(work), "its process lives"
        run.send_signal(signal.SIGKILL)
        run.wait()
    check_new_bundle(tmp_path / "ou")  # another bundle
    assert read_half(work)
    check_new_bundle(out)
    assert listing(tmp_path) == []


def read_half(work: Path) -> bool:
    return (work / "half").read_text() == "half"


def test_hidden_folders_of_the_users_own_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".out.d", ".out.1.old", ".out.edge-ser"):
        folder(tmp_path / name, "theirs")
    aged(monkeypatch)
    with new_bundle(tmp_path / "out") as work:
        (work / "content").write_text("ours")
    assert listing(tmp_path) == [".out.1.old", ".out.d", ".out.edge-ser", "out"]


def test_what_a_killed_run_had_moved_aside_is_put_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = folder(tmp_path / "out", "the only one")
    monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    killed_between_the_steps(folder(tmp_path / "work", "half"), aside, monkeypatch)
    put_back(tmp_path / "out")
    assert read(tmp_path / "out") == "the only one"
    folder(tmp_path / ".out.edge-ser.old-2", "replaced")
    put_back(tmp_path / "out")
    assert listing(tmp_path) == ["out", "work"]
    assert read(tmp_path / "out") == "the only one"


def test_what_a_living_run_has_moved_aside_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, path = folder(tmp_path / ".out.1", "new"), folder(tmp_path / "out", "old")
    monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    replace, between = os.replace, []

    def look_between_the_steps(source: Path, target: Path) -> None:
        replace(source, target)
        if source == path:
            aged(monkeypatch)  # however long it takes
            put_back(path)
            between.append(listing(tmp_path))

    monkeypatch.setattr(os, "replace", look_between_the_steps)
    put_in_place(work, path)
    ((hidden, aside),) = between
    assert hidden == ".out.1" and aside.startswith(".out.edge-ser.old-")
    assert listing(tmp_path) == ["out"] and read(path) == "new"


def test_where_nothing_can_be_locked_it_is_put_back_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / ".out.edge-ser.old-2", "the only one")
    monkeypatch.setattr(replacing, "lock", lambda _: None)
    put_back(tmp_path / "out")
    assert not (tmp_path / "out").exists(), "its process may be about to do the second step"
    aged(monkeypatch)
    put_back(tmp_path / "out")
    assert read(tmp_path / "out") == "the only one"


def killed_between_the_steps(work: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def first_step_only(source: Path, target: Path) -> None:
        if source == work or target == path:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", first_step_only)
        put_in_place(work, path)


def test_one_that_another_run_has_put_there_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, path = folder(tmp_path / ".out.1", "mine"), folder(tmp_path / "out", "the other's")
    seen = iter([False, True])  # first it was not there
    monkeypatch.setattr(os.path, "lexists", lambda _: next(seen))
    put_in_place(work, path)
    assert read(path) == "mine"
    assert listing(tmp_path) == ["out"]
