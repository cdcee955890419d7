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
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Longer than a name that anybody else would give to a folder.
_PREFIX = "edge-ser.scratch-"


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
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        try:
            held = lock(folder)
        except (FileNotFoundError, BlockingIOError):
            continue  # another process took it for a forgotten one
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if folder.exists():
            break
        let_go(held)
    _holders[folder] = _Holder(os.getpid(), held)
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
        let_go(holder.lock)


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
        with contextlib.suppress(OSError):  # another's, held, or gone by now
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            held = lock(folder)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                let_go(held)


def lock(path: Path) -> int | None:
    """Hold a file or folder, whatever its name becomes, until the process ends.

    Returns:
        a descriptor, to `let_go` of earlier; None where the system has no such locks.

    Raises:
        BlockingIOError: another one holds it.
        OSError: it cannot be opened.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some file systems, as those of networks
        os.close(descriptor)
        return None
    return descriptor


def let_go(held: int | None) -> None:
    """Undo `lock`.

    Args:
        held: what it returned.
    """
    if held is not None:
        os.close(held)
