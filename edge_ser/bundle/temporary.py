"""Folders for what is unpacked, which go when their process does, whatever ends it.

A process that is killed cannot tidy up. So each folder holds a lock that the system lets go of with
the process, and whoever unpacks next removes the folders whose locks nobody holds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_PREFIX = "edge-ser-"
# Of a folder that has no lock yet: nobody takes it for a forgotten one.
_UNFINISHED_PREFIX = "edge-ser.new-"
# It has one in a moment, unless its process was killed.
_FORGOTTEN_SECONDS = 3600.0
# What lies in it: the lock, and what is given out.
_LOCK, _INSIDE = "in-use", "bundle"
# Of this process's folders; None where the system has no such locks.
_locks: dict[Path, BinaryIO | None] = {}


def new_folder() -> Path:
    """A folder of this process; those that ended processes left are removed first.

    Raises:
        OSError: there is no place for temporary files, or no room in it.
    """
    parent = Path(tempfile.gettempdir())
    _remove_forgotten(parent)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=parent))
    folder = parent / (_PREFIX + unfinished.name.removeprefix(_UNFINISHED_PREFIX))
    try:
        lock = _lock(unfinished)
        (unfinished / _INSIDE).mkdir()
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    folder /= _INSIDE
    _locks[folder] = lock
    workers = sys.modules.get("multiprocessing.util")
    if workers is not None:  # its processes end without what Python does at the end of others
        workers.Finalize(None, remove, (folder, os.getpid()), exitpriority=0)
    return folder


def _lock(folder: Path) -> BinaryIO | None:
    if sys.platform == "win32":  # a file that is open could not be renamed or removed there
        return None
    lock = (folder / _LOCK).open("xb")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def remove(folder: Path, pid: int) -> None:
    """Remove a folder of process `pid`; one forked from it has a copy of the intention only."""
    if os.getpid() != pid:
        return
    if folder in _locks:
        lock = _locks.pop(folder)
        shutil.rmtree(folder.parent, ignore_errors=True)
        if lock is not None:
            lock.close()


def is_unpacked(folder: Path) -> bool:
    """Whether a folder is one that this process has unpacked into, and that goes with it."""
    return folder in _locks


def _remove_forgotten(parent: Path) -> None:
    """Remove this user's folders that no living process holds."""
    if sys.platform == "win32":
        return
    for folder in (*parent.glob(f"{_PREFIX}*"), *parent.glob(f"{_UNFINISHED_PREFIX}*")):
        try:
            seen = folder.lstat()
            if seen.st_uid != os.getuid():
                continue
            if folder.name.startswith(_UNFINISHED_PREFIX):  # has it a lock yet? age decides
                if time.time() - seen.st_ctime > _FORGOTTEN_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, another's, or gone by now
            continue
