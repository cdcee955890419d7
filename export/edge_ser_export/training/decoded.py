"""Decoded audio of a corpus in one file, which trainings share and none of them trusts unseen."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.files import sha256
from edge_ser.errors import EdgeSerError
from edge_ser.replacement import replacement
from edge_ser.scratch import remove_tree
from edge_ser.typed_json import Reader

# people's speech: for whoever decoded it
_MODE = 0o600


@dataclass(frozen=True)
class _Index:
    """What is known of a file of samples.

    Attributes:
        sha256: of the file.
        ends: where each utterance ends, in samples from the start of the file.
    """

    sha256: str
    ends: tuple[int, ...]


def decoded(
    cache: Path, key: str, utterances: int, decode: Iterable[NDArray[np.int16]]
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Samples of all utterances, from the cache if they are there and whole.

    Trainings that share a cache wait for the one that decodes; what a killed one has left is
    removed. A damaged map or index is made anew.

    Args:
        cache: folder.
        key: of the corpus, a part of a file's name.
        utterances: how many there are.
        decode: their samples, one after the other; only asked if the cache does not hold them.

    Returns:
        where each utterance ends `[utterances]`, and a memory map of the samples `[n]`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    store, index = cache / f"{key}.int16", cache / f"{key}.json"
    with _alone(cache / f"{key}.lock") as alone:
        if alone:
            for partial in cache.glob(f".{key}.*"):
                remove_tree(partial)
        ends = _whole(store, index, utterances)
        if ends is None:
            ends = _write(store, index, decode)
        return ends, np.memmap(store, dtype=np.int16, mode="r")


def _whole(store: Path, index: Path, utterances: int) -> NDArray[np.int64] | None:
    """Where utterances end in a map that is as it was written; None for any other."""
    reader = Reader(EdgeSerError)
    try:
        recorded = reader.read(_Index, reader.parse(index.read_bytes(), str(index)), str(index))
        ends = np.array(recorded.ends, dtype=np.int64)
        if store.stat().st_size != 2 * recorded.ends[-1] or sha256(store) != recorded.sha256:
            return None
    except (OSError, EdgeSerError, OverflowError, IndexError):
        return None
    rising = (np.diff(ends, prepend=0) > 0).all()
    return ends if len(ends) == utterances and rising else None


def _write(store: Path, index: Path, decode: Iterable[NDArray[np.int16]]) -> NDArray[np.int64]:
    ends, total = [], 0
    with replacement(store, _MODE) as partial:
        with partial.open("wb") as out:
            for samples in decode:
                samples.tofile(out)
                total += samples.size
                ends.append(total)
            out.flush()
            os.fsync(out.fileno())  # before the name: power may fail between the two
        digest = sha256(partial)
    with replacement(index, _MODE) as partial:
        partial.write_text(json.dumps({"sha256": digest, "ends": ends}))
    return np.array(ends, dtype=np.int64)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Wait until no other process is in here; False where the system has no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows, where names of their own keep processes apart
        yield False
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            yield False
        else:
            yield True
