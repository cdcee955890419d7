"""Putting a finished bundle where another one is, and removing what killed runs left."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100  # of <fcntl.h>: paths are relative to the working directory
_RENAME_EXCHANGE = 2  # of <linux/fs.h>
# a folder that another run has made, and not yet marked as in use, is younger
_ABANDONED_SECONDS = 60.0
_ASIDE = ".old"


def put_in_place(work: Path, path: Path) -> None:
    """Make `work` be `path`; what was there is gone afterwards.

    On Linux the two change places in one step: whoever opens `path` meanwhile has the old one or
    the new. Elsewhere there is a moment without either, and what was there is put back if the
    second step fails.

    Args:
        work: a sibling of `path`.
        path: where a file, a directory, a link or nothing is.

    Raises:
        OSError: the system refuses; `path` is as it was.
    """
    if not os.path.lexists(path):
        os.replace(work, path)
    elif _exchange(work, path):
        remove_tree(work)
    else:
        old = work.with_name(work.name + _ASIDE)
        os.replace(path, old)
        try:
            os.replace(work, path)
        except BaseException:
            os.replace(old, path)
            raise
        remove_tree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # glibc from 2.28, musl from 1.2
    if rename is None:
        return False
    failed = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return not failed  # some file systems, as those of networks, have no such step


def remove_tree(path: Path) -> None:
    """Remove a directory, a file or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def in_use(work: Path) -> Iterator[None]:
    """Mark a temporary folder as one that a living process writes into."""
    descriptor = _locked(work)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def remove_abandoned(path: Path) -> None:
    """Remove temporary siblings of `path` whose process has ended without removing them.

    A bundle that such a process had moved aside, and not replaced yet, is put back. Where the
    system has no locks of folders, they stay.
    """
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):  # another run was faster
            if time.time() - folder.lstat().st_ctime < _ABANDONED_SECONDS:
                continue
            if folder.name.endswith(_ASIDE) and not os.path.lexists(path):
                os.replace(folder, path)
                continue
            if folder.is_symlink() or not folder.is_dir():
                continue
            descriptor = _locked(folder)
            if descriptor is None:
                continue
            try:
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder until it is closed; None where another one does."""
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
