"""What a worker does with a part: read, answer, write, and tell how it went."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.scoring.archive.columns import Row, as_batch, error_row
from edge_ser.scoring.archive.parts import Part
from edge_ser.scoring.archive.reading import Item, items_of
from edge_ser.scoring.archive.scorer import Scorer
from edge_ser.scoring.archive.store import Store

# Recordings in memory at once: those of one window of `batching`.
_AT_ONCE = 64
# Rows of one group of a Parquet file.
_ROWS_AT_ONCE = 4096
# A recording that ended so many workers is not tried again.
_MOST_ENDED = 2


@dataclass(frozen=True)
class Metrics:
    """How a part went, or all of them.

    Attributes:
        files: recordings.
        rows: of the output.
        errors: recordings with a row that has an error.
        audio_seconds: of audio that were answered.
        busy_seconds: of the workers.
        cpu_seconds: of the processor, of the workers: what a machine that others use as well does
            not change much.
    """

    files: int = 0
    rows: int = 0
    errors: int = 0
    audio_seconds: float = 0.0
    busy_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Metrics) -> Metrics:
        names = [field.name for field in fields(self)]
        return Metrics(*(getattr(self, n) + getattr(other, n) for n in names))

    @property
    def real_time_factor(self) -> float:
        """Seconds of a worker for a second of audio; 0 where there was none."""
        return self.busy_seconds / self.audio_seconds if self.audio_seconds else 0.0


class PartWorker:
    """Answers parts into a folder. Ray Data makes one in each of its workers.

    A worker can be ended at any moment: by the system as it takes too much memory, by a machine
    that goes, by a recording that a library does not bear. Whoever has the part next finds a note
    of it. It then answers recording by recording, noting each before; one that ends two workers
    has an error for its row.

    Args:
        scorer: that answers.
        out: folder of the answers.
    """

    def __init__(self, scorer: Scorer, out: str) -> None:
        self._scorer, self._store = scorer, Store(out)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the parts of a batch of Ray's: `part` `[n]`, each as JSON.

        Returns:
            the fields of `Metrics`, `[n]` each, and `failure`: the error of ours or of the system
            that kept a part from being answered, pickled, as Ray keeps of errors their text alone.
        """
        rows = []
        for text in batch["part"]:
            metrics, failure = Metrics(), b""
            try:
                metrics = self.work(Part.from_json(str(text)))
            except (EdgeSerError, OSError) as error:
                failure = pickle.dumps(error)
            rows.append({**asdict(metrics), "failure": failure})
        return {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}

    def work(self, part: Part) -> Metrics:
        """Answer a part.

        Raises:
            BundleError, DeviceError: the model cannot be run.
            OSError: the answers cannot be written.
        """
        started, cpu = time.perf_counter(), time.process_time()
        earlier = self._store.attempt(part)
        self._store.note_attempt(part, earlier or {"ended": {}})
        batches = self._careful(part, earlier) if earlier else self._swift(part)
        try:
            total = self._write(part, batches)
        finally:  # whatever is raised here, the worker lives
            self._store.forget_attempt(part)
        return total + Metrics(
            busy_seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu
        )

    def _write(self, part: Part, batches: Iterator[tuple[int, list[Row]]]) -> Metrics:
        """Write rows as they come."""
        total = Metrics()
        waiting: list[Row] = []
        with self._store.writer(part) as out:
            for files, rows in batches:
                total += _count(files, rows)
                waiting += rows
                if len(waiting) >= _ROWS_AT_ONCE:
                    out.write(as_batch(waiting))
                    waiting = []
            out.write(as_batch(waiting))
        return total

    def _swift(self, part: Part) -> Iterator[tuple[int, list[Row]]]:
        """Recordings and their rows, many at once."""
        items = items_of(part)
        while some := list(islice(items, _AT_ONCE)):
            yield len(some), self._answer(some)

    def _careful(self, part: Part, earlier: dict[str, Any]) -> Iterator[tuple[int, list[Row]]]:
        """One by one, with a note before each; the note says which ones ended workers."""
        ended: dict[str, int] = dict(earlier.get("ended", {}))
        last = earlier.get("at")
        if last is not None:
            ended[last] = ended.get(last, 0) + 1
        for item in items_of(part):
            count = ended.get(item.path, 0)
            if count >= _MOST_ENDED:
                words = f"ended {count} workers that answered it: too large, or no sound file"
                yield 1, [error_row(item.path, words)]
                continue
            self._store.note_attempt(part, {"ended": ended, "at": item.path})
            yield 1, self._answer([item])

    def _answer(self, items: list[Item]) -> list[Row]:
        """The rows of some recordings, in their order."""
        sound = [item for item in items if item.source is not None]
        sources = [item.source for item in sound if item.source is not None]
        by_path: dict[str, list[Row]] = {}
        for row in self._scorer.rows([item.path for item in sound], sources):
            by_path.setdefault(row["path"], []).append(row)
        rows: list[Row] = []
        for item in items:
            if item.source is None:
                rows.append(error_row(item.path, item.error))
            else:
                rows += by_path.pop(item.path, [])
        return rows


def _count(files: int, rows: list[Row]) -> Metrics:
    wrong = {row["path"] for row in rows if row.get("error")}
    seconds = sum(row.get("seconds") or 0.0 for row in rows)
    return Metrics(files, len(rows), len(wrong), seconds)
