"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_ser.scratch import scratch_folder


@contextmanager
def replacement(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place when the block ends well.

    A reader meets the old content or the new. Nothing is left behind if the block fails; what a
    killed process leaves, the next one that writes this file removes.

    Args:
        path: of the file; a link there is replaced, not followed.
        mode: permissions; None: those that the process gives to new files.

    Yields:
        where to write; there is no file yet.

    Raises:
        OSError: nothing can be written there.
    """
    # in a folder of its own a new file needs no name that nobody has, and the umask holds for it
    with scratch_folder(beside=path) as folder:
        work = folder / path.name
        yield work
        if mode is not None:
            work.chmod(mode)
        os.replace(work, path)
