"""A bundle's files from when they are checked to when they are used: the same ones.

Somebody may replace a bundle, or one of its files, while another process opens it. Where the system
can, the directory is held open, so that all files are of one bundle even if another one takes its
place; and what each file was when its hash was taken is remembered, to tell whether it still is.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edge_ser.bundle.files import sha256_of

# Two writes within a tick of the system's clock leave one time: of a file as young as this, times
# do not tell whether it was written again.
_YOUNG_NS = 2_000_000_000


class Stamp(NamedTuple):
    """What a system tells of a file, and changes with every write to it."""

    device: int
    inode: int
    bytes: int
    modified_ns: int
    changed_ns: int


class HeldFiles:
    """The files of one directory.

    Args:
        root: the directory.

    Raises:
        OSError: there is none, or it may not be read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: dict[str, Stamp] = {}
        self._young: dict[str, str] = {}  # hashes of files that had just been written
        self._directory: int | None = None
        if os.open in os.supports_dir_fd:
            self._directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; a pipe is not waited for.

        Raises:
            OSError: it is not there, or no file.
        """

        def opener(path: str, flags: int) -> int:
            flags |= getattr(os, "O_NONBLOCK", 0)
            if self._directory is None:
                return os.open(self._root / path, flags)
            return os.open(path, flags, dir_fd=self._directory)

        file = open(name, "rb", opener=opener)  # noqa: SIM115 - whoever asks closes it
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(f"{name} is no file")
        return file

    def hash(self, name: str, keep: bool) -> tuple[str, bytes]:
        """SHA-256 of a file, which is remembered as it is now, and its bytes if they are kept.

        Raises:
            OSError: see `open`.
        """
        data = b""
        with self.open(name) as file:
            stamp = self._stamps[name] = _stamp(os.fstat(file.fileno()))
            if keep:
                data = file.read()
                digest = hashlib.sha256(data).hexdigest()
            else:
                digest = sha256_of(file)
        self._young.pop(name, None)
        if time.time_ns() - max(stamp.modified_ns, stamp.changed_ns) < _YOUNG_NS:
            self._young[name] = digest
        return digest, data

    def path(self, name: str) -> Path:
        """A path by which a library opens the file of this directory, wherever that is by now."""
        if sys.platform == "linux" and self._directory is not None:
            held = Path(f"/proc/self/fd/{self._directory}")
            if held.is_dir():  # not where there is no /proc
                return held / name
        return self._root / name

    def is_unchanged(self, name: str) -> bool:
        """Whether a file is what it was when its hash was taken."""
        try:
            with self.open(name) as file:
                if _stamp(os.fstat(file.fileno())) != self._stamps[name]:
                    return False
                return name not in self._young or sha256_of(file) == self._young[name]
        except OSError:
            return False

    def are_unchanged(self) -> bool:
        """Whether all files are what they were when their hashes were taken."""
        return all(self.is_unchanged(name) for name in self._stamps)

    def is_replaced(self) -> bool:
        """Whether another directory has taken this one's place; False where nothing tells."""
        if self._directory is None:
            return False
        held_status = os.fstat(self._directory)
        try:
            path_status = self._root.stat()
        except OSError:
            return True
        return (held_status.st_dev, held_status.st_ino) != (path_status.st_dev, path_status.st_ino)

    def close(self) -> None:
        """Let go of the directory; files are found by its path from then on."""
        directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
