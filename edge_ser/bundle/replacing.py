"""Putting a finished bundle where another one is, in one step where the system can."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import sys
import time
import uuid
from pathlib import Path

from edge_ser.scratch import let_go, lock, remove_tree

_AT_FDCWD = -100  # of <fcntl.h>: paths are relative to the working directory
_RENAME_EXCHANGE = 2  # of <linux/fs.h>
# where no lock tells, what a living run has moved aside, and replaces in a moment, is younger
_ABANDONED_SECONDS = 60.0


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
        try:
            os.replace(work, path)
            return
        except OSError:
            if not os.path.lexists(path):
                raise
    # there is one, even if another run has put it there just now
    if _exchange(work, path):
        remove_tree(work)
    else:
        _replace_in_two_steps(work, path)


def _replace_in_two_steps(work: Path, path: Path) -> None:
    aside = path.with_name(_aside_prefix(path) + uuid.uuid4().hex[:8])
    held = None
    with contextlib.suppress(OSError):  # a link to nothing
        held = lock(path)  # which says, of what lies aside, that its process lives
    try:
        os.replace(path, aside)
        try:
            os.replace(work, path)
        except BaseException:
            os.replace(aside, path)
            raise
        remove_tree(aside)
    finally:
        let_go(held)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # glibc from 2.28, musl from 1.2
    if rename is None:
        return False
    failed = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return not failed  # some file systems, as those of networks, have no such step


def put_back(path: Path) -> None:
    """Put back what a killed run had moved aside and not replaced yet; remove what it had."""
    for aside in path.parent.glob(f"{glob.escape(_aside_prefix(path))}*"):
        with contextlib.suppress(OSError):  # its process lives, or another run was faster
            held = lock(aside)
            try:
                if held is None and time.time() - aside.lstat().st_ctime < _ABANDONED_SECONDS:
                    continue
                if os.path.lexists(path):
                    remove_tree(aside)
                else:
                    os.replace(aside, path)
            finally:
                let_go(held)


def _aside_prefix(path: Path) -> str:
    return f".{path.name}.edge-ser.old-"
