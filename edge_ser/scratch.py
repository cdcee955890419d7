"""Temporary folders, which go when their process does, whatever ends it.

A process that is killed cannot tidy up. So each folder is locked, which the system undoes with the
process, and whoever makes the next one removes those that nobody holds. Where the system has no
locks of folders - Windows, some file systems of networks - they stay.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Longer than a name that anybody else would give to a folder.
_PREFIX = "edge-ser.scratch-"
# Ends the name of a folder that has no lock yet: nobody takes it for a forgotten one.
_UNLOCKED = ".new"
# It has one in a moment, unless its process was killed.
_FORGOTTEN_SECONDS = 3600.0


class _Holder(NamedTuple):
    """Who holds a folder.

    Attributes:
        pid: of the process.
        lock: descriptor that holds it until it is closed; None where there are no locks.
    """

    pid: int
    lock: int | None


# Folders of this process, and of those that it was forked from.
_holders: dict[Path, _Holder] = {}
# Processes whose `multiprocessing` removes them at its end.
_finalised_pids: set[int] = set()


@contextlib.contextmanager
def scratch_folder(beside: Path | None = None) -> Iterator[Path]:
    """As `new_folder`, for the time of the block.

    Args:
        beside: see `new_folder`.

    Raises:
        OSError: see `new_folder`.
    """
    folder = new_folder(beside)
    try:
        yield folder
    finally:
        remove(folder)


def new_folder(beside: Path | None = None) -> Path:
    """A folder of this process; those that killed processes left are removed first.

    Args:
        beside: what it will replace, whose hidden sibling it is then; None: in the system's place
            for temporary files.

    Raises:
        OSError: nothing can be made there.
    """
    if beside is None:
        parent, prefix = Path(tempfile.gettempdir()), _PREFIX
    else:
        parent, prefix = beside.parent, _hidden_prefix(beside)
    _remove_forgotten(parent, prefix)
    unlocked = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=_UNLOCKED))
    folder = unlocked.with_name(unlocked.name.removesuffix(_UNLOCKED))
    lock = None
    try:
        lock = _lock(unlocked)
        unlocked.rename(folder)
    except BaseException:
        shutil.rmtree(unlocked, ignore_errors=True)
        _let_go(lock)
        raise
    _holders[folder] = _Holder(os.getpid(), lock)
    _remove_at_end()
    return folder


def remove_forgotten(beside: Path) -> None:
    """Remove what killed processes left that were to replace a file or folder."""
    _remove_forgotten(beside.parent, _hidden_prefix(beside))


def _hidden_prefix(beside: Path) -> str:
    return f".{beside.name}.{_PREFIX}"


def remove(folder: Path) -> None:
    """Remove a folder of this process, or what has taken its place: a file, a link.

    What the process was forked from removes its own.
    """
    holder = _holders.get(folder)
    if holder is not None and holder.pid == os.getpid():
        del _holders[folder]
        remove_tree(folder)
        _let_go(holder.lock)


def _remove_at_end() -> None:
    """Workers of `multiprocessing` end without what Python does at the end of other processes."""
    workers = sys.modules.get("multiprocessing.util")
    if workers is not None and os.getpid() not in _finalised_pids:
        _finalised_pids.add(os.getpid())
        workers.Finalize(None, _remove_all, exitpriority=0)


def _remove_all() -> None:
    for folder in list(_holders):
        remove(folder)


def remove_tree(path: Path) -> None:
    """Remove a directory, a file or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_scratch(folder: Path) -> bool:
    """Whether a folder is one that this process has made here, and that goes with it."""
    return folder in _holders


def _remove_forgotten(parent: Path, prefix: str) -> None:
    """Remove this user's folders that no living process holds."""
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):  # another's, or gone by now
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            is_young = time.time() - status.st_ctime < _FORGOTTEN_SECONDS
            if folder.name.endswith(_UNLOCKED) and is_young:
                continue
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                _let_go(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds a folder until it is closed; None where another one does."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def _let_go(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
