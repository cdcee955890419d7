"""Kernels that TensorRT for RTX compiled on this machine, kept for the next start.

An engine of TensorRT for RTX is finished on the GPU that runs it: its kernels are compiled at the
first run. The cache is validated by TensorRT itself; one of another GPU, driver or release is not
loaded and gets replaced.

Kernels are code. So a file beside a bundle is loaded only if this user wrote it: the hashes of what
was written lie in the user's own cache directory.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.replacement import replacement
from edge_ser.scratch import is_scratch

SUFFIX = ".rtx-cache"


def user_cache() -> Path:
    """Where the user's applications keep what they can make again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge-ser"


def cache_paths(bundle: Bundle) -> list[Path]:
    """Where the cache of a bundle's engine may be, best first.

    Beside the bundle, then in the user's cache directory, by the engine's hash. Only the latter for
    a bundle whose place goes away: unpacked from a .zip, or about to be renamed by `new_bundle`.
    """
    engine = bundle.manifest.engine
    assert engine is not None and engine.file  # whoever keeps kernels has loaded it
    digest = next(f.sha256 for f in bundle.manifest.files if f.path == engine.file)
    in_user_cache = user_cache() / f"{digest[:16]}{SUFFIX}"
    root = bundle.root.resolve()
    if is_scratch(bundle.root) or root.name.startswith("."):
        return [in_user_cache]
    return [root.with_name(root.name + SUFFIX), in_user_cache]


class KernelCache:
    """The cache of one engine.

    Args:
        runtime_cache: TensorRT's object.
        paths: where its file may be, best first.
    """

    def __init__(self, runtime_cache: Any, paths: list[Path]) -> None:
        self._cache, self._paths = runtime_cache, paths
        self._saved = b""
        self._runs = 0

    def load(self) -> bool:
        """Read the first file that is there and fits this machine; within the GPU's context."""
        for path in self._paths:
            try:
                data = path.read_bytes()
            except OSError:
                continue
            digest = hashlib.sha256(data)
            if path.parent != user_cache() and not _written(digest.hexdigest()).exists():
                continue  # another's code
            if data and self._cache.deserialize(data):
                self._saved = digest.digest()
                return True
        return False

    def ran(self) -> None:
        """Told after the first run of a new shape; saves after the 1st, 2nd, 4th, 8th of them.

        A speech application meets ever new lengths: writing each time would cost more than it
        saves.
        """
        self._runs += 1
        if self._runs & (self._runs - 1) == 0:
            self.save()

    def save(self) -> None:
        """Write the cache if it has changed, to the first place that takes it."""
        memory = self._cache.serialize()
        if memory is None:
            return
        data = bytes(memory)
        digest = hashlib.sha256(data).digest()
        if digest == self._saved:
            return
        self._saved = digest  # tried once, even if it fails: the answers do not depend on it
        problem = ""
        for path in self._paths:
            try:
                _write(path, data)
            except OSError as error:
                problem = str(error)  # the error itself would keep TensorRT's cache from going
            else:
                return
        warnings.warn(
            f"compiled kernels could not be kept for the next start: {problem}", stacklevel=2
        )


def _written(digest: str) -> Path:
    """What says that this user wrote kernels of this hash."""
    return user_cache() / "written-kernels" / digest


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, so that a reader never meets half of it."""
    if path.parent == user_cache():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        mark = _written(hashlib.sha256(data).hexdigest())
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch()
    with replacement(path, 0o600) as work:  # kernels are code: for whoever wrote them
        work.write_bytes(data)
