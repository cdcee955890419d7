"""Temporary folders: nobody takes one that is in use, and those of ended processes go."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.bundle_files import listing

from edge_ser import scratch
from edge_ser.scratch import is_scratch, new_folder, remove, scratch_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of folders")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_lasts_as_long_as_its_block(place: Path) -> None:
    with pytest.raises(KeyError), scratch_folder() as folder:
        (folder / "content").write_text("content")
        assert folder.parent == place and is_scratch(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert listing(place) == [] and not is_scratch(folder)


def test_another_one_leaves_those_of_this_process_alone(place: Path) -> None:
    with scratch_folder() as first, scratch_folder() as second:
        assert first.is_dir() and second.is_dir()
    assert listing(place) == []


def test_one_that_its_process_never_locked_is_removed_by_the_next(place: Path) -> None:
    for name in ("edge-ser.scratch-abc", "edge-ser.scratch-abc.new"):  # as earlier versions did
        (place / name).mkdir()
    with scratch_folder() as folder:
        assert listing(place) == [folder.name]


@pytest.mark.parametrize("moment", ["before its lock", "with its lock"])
def test_one_that_another_process_removes_before_it_is_locked_is_made_again(
    moment: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = scratch.lock, []

    def after_another(folder: Path) -> int | None:
        if removed:
            return lock(folder)
        removed.append(folder)
        held = lock(folder) if moment == "with its lock" else None
        folder.rmdir()
        return held if held is not None else lock(folder)

    monkeypatch.setattr(scratch, "lock", after_another)
    with scratch_folder() as folder:
        assert removed != [folder] and listing(place) == [folder.name]
    assert listing(place) == []


def test_one_that_another_process_holds_before_its_own_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, held = scratch.lock, {}

    def after_another(folder: Path) -> int | None:
        if not held:
            held[folder] = lock(folder)
        return lock(folder)

    monkeypatch.setattr(scratch, "lock", after_another)
    with scratch_folder() as folder:
        assert folder not in held and folder.is_dir()
    (descriptor,) = held.values()
    scratch.let_go(descriptor)


def test_a_link_by_the_name_of_one_stays(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "edge-ser.scratch-abc").symlink_to(place / "mine")
    with scratch_folder():
        pass
    assert listing(place) == ["edge-ser.scratch-abc", "mine"]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_does_not_remove_its_parents(place: Path) -> None:
    folder = new_folder()
    child = multiprocessing.get_context("fork").Process(target=remove, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == 0 and folder.is_dir()
    remove(folder)
    assert listing(place) == []


def test_one_beside_what_it_will_replace_is_hidden_and_removed_by_the_next_there(
    place: Path,
) -> None:
    path = place / "out[1]"  # a pattern, to those who do not escape it
    left = new_folder(beside=path)
    assert left.parent == place and left.name.startswith(".out[1].")
    os.close(scratch._holders.pop(left).lock or 0)  # as the system does when a process ends
    with scratch_folder():
        assert left.is_dir()
    remove(new_folder(beside=path))
    assert listing(place) == []
