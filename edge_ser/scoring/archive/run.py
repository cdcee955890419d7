"""An archive through a bundle: what has no answers yet, by workers of this machine or a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_ser.errors import UsageError
from edge_ser.host.cpu import usable_cores
from edge_ser.scoring.archive.parts import Archive, Part, cut_parts, find_archive
from edge_ser.scoring.archive.scorer import Scorer
from edge_ser.scoring.archive.store import Store
from edge_ser.scoring.archive.work import Metrics, PartWorker

Engine = Literal["plain", "ray"]
ENGINES: tuple[Engine, ...] = ("plain", "ray")
PART_FILES = 1000


@dataclass(frozen=True)
class Summary:
    """How a job went.

    Attributes:
        metrics: of all parts that this run answered.
        parts: that it answered.
        skipped: files and shards that had answers already.
        seconds: from its beginning to its end.
    """

    metrics: Metrics
    parts: int
    skipped: int
    seconds: float

    @property
    def words(self) -> str:
        """The same in a line."""
        m = self.metrics
        skipped = f", {self.skipped} answered before" if self.skipped else ""
        pace = f", {m.files / self.seconds:.1f} files/s" if m.files and self.seconds else ""
        return (
            f"{m.files} files, {m.errors} with errors{skipped}; {m.audio_seconds / 3600:.2f} h of "
            f"audio in {self.seconds:.1f} s{pace}, real-time factor of a worker "
            f"{m.real_time_factor:.4f}"
        )


def score_archive(
    sources: Sequence[str],
    out: str,
    scorer: Scorer,
    *,
    engine: Engine = "plain",
    workers: int | None = None,
    part_files: int = PART_FILES,
    progress: Callable[[int], object] = lambda count: None,
) -> Summary:
    """Answer what an archive holds and has no answers yet.

    Args:
        sources: folders, audio files, Parquet or .tar shards of audio; paths, or addresses such as
            `s3://bucket/folder`.
        out: folder of the answers, a Parquet file for each part; path or address.
        scorer: that answers.
        engine: "plain": in this process; "ray": workers of a Ray cluster - the one of RAY_ADDRESS,
            or one of this machine's, for the time of the job.
        workers: of Ray; None: as many as there are cores for this process.
        part_files: files of a part: what a worker that is ended has to do again.
        progress: called with the number of files of each part that is complete.

    Raises:
        MissingPathError: nothing is at a source.
        UsageError: no audio there; `out` holds answers of another bundle, or something else.
        BundleError, DeviceError: the model cannot be run.
        ArchiveError: the engine lost its workers.
    """
    started = time.perf_counter()
    for what, number in (("workers", workers), ("part_files", part_files)):
        if number is not None and number < 1:
            raise UsageError(what, expected="at least 1", found=str(number))
    store = Store(out)
    archive = find_archive(sources, store.place)
    store.begin(scorer.describe())
    left = store.remaining(archive)
    parts = cut_parts(left, part_files)
    total = Metrics()
    for metrics in _answered(parts, scorer, out, engine, workers or usable_cores()):
        total += metrics
        progress(metrics.files)
    store.end()
    skipped = _size(archive) - _size(left)
    return Summary(total, len(parts), skipped, time.perf_counter() - started)


def _answered(
    parts: Sequence[Part], scorer: Scorer, out: str, engine: Engine, workers: int
) -> Iterator[Metrics]:
    """The metrics of each part when it is complete."""
    if not parts:
        return
    if engine == "ray":
        from edge_ser.scoring.archive.by_ray import answered_by_ray

        yield from answered_by_ray(parts, scorer, out, workers)
    else:
        yield from map(PartWorker(scorer, out).work, parts)


def _size(archive: Archive) -> int:
    return len(archive.files) + len(archive.shards)
