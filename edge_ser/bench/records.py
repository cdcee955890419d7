"""One measurement as one line of JSON, so that a history is a file that only grows."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.errors import MissingPathError, UsageError
from edge_ser.typed_json import Reader

if TYPE_CHECKING:
    from edge_ser.measure.process import Cold

SCHEMA_VERSION = 1
_KIND = "edge-ser-bench"
_READER = Reader(UsageError, strict=False)


@dataclass(frozen=True)
class Latency:
    """Of samples in memory to emotions: preparation, model and answer.

    Attributes:
        p10_ms: one of ten runs was faster. Other programs slow this one down least.
        p50_ms: half of them were.
        p90_ms: nine of ten were.
        p99_ms: 99 of 100 were; with fewer than 100 runs, nearly the slowest.
        low_ms: lower end of the interval of the median.
        high_ms: upper end.
        confidence: of that interval.
        rounds: turns, the independent values of the interval.
        runs: timed.
        stable: whether the wanted precision was reached before the time was over.
        preempted: share of the runs in which another program took the processor away; 0 where the
            operating system does not say.

    Raises:
        UsageError: a time that none can be, or a share outside 0 to 1.
    """

    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    low_ms: float
    high_ms: float
    confidence: float
    rounds: int
    runs: int
    stable: bool
    preempted: float

    def __post_init__(self) -> None:
        times = (self.p10_ms, self.p50_ms, self.p90_ms, self.p99_ms, self.low_ms, self.high_ms)
        if min(times) <= 0:
            raise UsageError("times", expected="more than 0 ms", found=f"{min(times):g}")
        if not 0 <= self.preempted <= 1:
            raise UsageError("preempted", expected="0 to 1", found=f"{self.preempted:g}")


@dataclass(frozen=True)
class Against:
    """Beside the first system of the same round.

    Attributes:
        system: the first one.
        ratio: of times, this over the first; median over rounds.
        low: lower end of its interval.
        high: upper end.
        confidence: of that interval.
        verdict: what the ratio allows to say, one of `measure.stats.Claim`.
    """

    system: str
    ratio: float
    low: float
    high: float
    confidence: float
    verdict: str


@dataclass(frozen=True)
class Fresh:
    """Of fresh processes; see `process.Cold`.

    Attributes:
        first_result_ms: from starting the interpreter to the first emotion, of a WAV file.
        low_ms: lower end of its interval.
        high_ms: upper end.
        parts_ms: of that, by part.
        processes: started.
        seconds: length of the first file.
        peak_rss_mb: after files of `memory_seconds` in batches of `memory_batch`; None: unknown.
        rss_low_mb: least of all processes.
        rss_high_mb: most of all processes.
        device_mb: of GPU memory; None: no GPU.
        memory_seconds: length of the utterances that memory was measured with.
        memory_batch: how many of them at a time.
    """

    first_result_ms: float
    low_ms: float
    high_ms: float
    parts_ms: dict[str, float]
    processes: int
    seconds: float
    peak_rss_mb: float | None
    rss_low_mb: float | None
    rss_high_mb: float | None
    device_mb: float | None
    memory_seconds: float
    memory_batch: int


@dataclass(frozen=True)
class Work:
    """Arithmetic, against what the machine could do.

    Attributes:
        gop: 1e9 operations of a run, two per multiply-accumulate, by kind of arithmetic.
        gops: of all kinds, per second, as achieved.
        peak_gops: per second, of the same products alone, by kind; measured in the same run.
        peak_share: time that the products alone would take, over the time taken.
    """

    gop: dict[str, float]
    gops: float
    peak_gops: dict[str, float]
    peak_share: float | None


@dataclass(frozen=True)
class EnergyUse:
    """Of a run; see `energy.Energy`."""

    joules: float
    watts: float
    runs: int
    source: str


@dataclass(frozen=True)
class Record:
    """One system, length, batch size and number of threads.

    Attributes:
        run: the same for all records of one command.
        time: UTC, ISO 8601.
        system: name that tells it from the others of the run.
        runtime: that ran it.
        bundle: name in its manifest.
        target: of the bundle; "checkpoint" for the reference in PyTorch.
        precision: of the computation.
        sha256: of the graph or checkpoint.
        seconds: length of an utterance.
        batch: utterances per run.
        threads: of the computation.
        latency: times.
        rtf: time over length of all audio in the run; below 1 is faster than speech.
        throughput: seconds of audio per second.
        size_mb: of the bundle's files, or of the checkpoint.
        load_ms: of opening it once the libraries are loaded; of the bundle, its check included.
        stages_ms: of an utterance in a file of 48 kHz; see `stages.stages`.
        against: beside the first system; None for that one.
        fresh: of fresh processes; None where they were not asked for, or failed.
        work: arithmetic; None where it could not be counted.
        energy: of a run; None where nothing measures it.
        notes: what could not be measured and why.
        machine: see `host.facts.machine`.
        before: state of the machine when measuring began; see `host.facts.state`.
        after: when it ended.
    """

    run: str
    time: str
    system: str
    runtime: str
    bundle: str
    target: str
    precision: str
    sha256: str
    seconds: float
    batch: int
    threads: int
    latency: Latency
    rtf: float
    throughput: float
    size_mb: float
    load_ms: float
    stages_ms: dict[str, float]
    against: Against | None = None
    fresh: Fresh | None = None
    work: Work | None = None
    energy: EnergyUse | None = None
    notes: tuple[str, ...] = ()
    machine: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, float, int, int]:
        """What a later record must share to be compared with this one."""
        return (self.system, self.runtime, self.seconds, self.batch, self.threads)

    @property
    def place(self) -> str:
        """The key, for people."""
        return f"{self.system}, {self.seconds:g} s, batch {self.batch}, {threads_of(self)}"

    def to_json(self) -> str:
        """One line."""
        data = {"schema": SCHEMA_VERSION, "kind": _KIND, **dataclasses.asdict(self)}
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, line: str, source: str) -> Record:
        """Read and check a line.

        Args:
            line: the JSON.
            source: named in errors.

        Raises:
            UsageError: no record, of another schema version, or with a field missing or wrong.
        """
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _foreign(source, "something else") from error
        if not isinstance(data, dict) or data.pop("kind", None) != _KIND:
            raise _foreign(source, "other JSON")
        version = data.pop("schema", None)
        if version != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise UsageError(
                source,
                expected=f"records of schema {SCHEMA_VERSION}",
                found=f"schema {version}",
                advice="upgrade edge-ser" if newer else "measure again",
            )
        return _READER.read(cls, data, source)


def read_history(path: Path) -> list[Record]:
    """All records of a file, oldest first.

    Raises:
        MissingPathError: no such file.
        UsageError: a line that is no record, or no line at all.
    """
    if not path.is_file():
        raise MissingPathError(path, expected="a history of edge-ser bench", found="no such file")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    records = [
        Record.from_json(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not records:
        raise _foreign(str(path), "an empty file")
    return records


def fresh_record(cold: Cold, first: float, longest: float, batch: int) -> Fresh:
    """What fresh processes took.

    Args:
        cold: as it was measured.
        first: seconds of the first file.
        longest: seconds of the files for memory.
        batch: how many of these ran at a time.
    """
    peaks = [p / 1e6 for p in cold.peaks]
    e = cold.first_result
    return Fresh(
        first_result_ms=1000 * e.value,
        low_ms=1000 * e.low,
        high_ms=1000 * e.high,
        parts_ms={name: 1000 * s for name, s in cold.parts.items()},
        processes=e.count,
        seconds=first,
        peak_rss_mb=None if cold.peak_rss_bytes is None else cold.peak_rss_bytes / 1e6,
        rss_low_mb=min(peaks, default=None),
        rss_high_mb=max(peaks, default=None),
        device_mb=None if cold.device_bytes is None else cold.device_bytes / 1e6,
        memory_seconds=longest,
        memory_batch=batch,
    )


def check_history(path: Path) -> None:
    """Refuse to append to what is no history, before anything is measured.

    Raises:
        UsageError: a file of something else, or a path that cannot be written.
    """
    if path.is_file() and path.stat().st_size:
        read_history(path)
    elif path.exists() and not path.is_file():
        raise UsageError(path, expected="a file to append to", found="a directory or device")
    elif not path.parent.is_dir():
        raise UsageError(path, expected="an existing directory", found=f"no {path.parent}")


def append(path: Path, records: Iterable[Record]) -> None:
    """Append records to a history: all of them, or none where the disk is full.

    Raises:
        OSError: they cannot be written; the history is as it was.
    """
    content = "".join(r.to_json() + "\n" for r in records).encode()
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            while content:  # of a full disk, a part of it is written first
                content = content[file.write(content) :]
        except BaseException:
            file.truncate(size)
            raise


def threads_of(record: Record) -> str:
    """How many threads, in words."""
    return f"{record.threads} thread{'s' if record.threads > 1 else ''}"


def one_per_system(records: Sequence[Record]) -> list[Record]:
    """The first record of every system and number of threads, for what all of them share."""
    first_records: dict[tuple[str, int], Record] = {}
    for record in records:
        first_records.setdefault((record.system, record.threads), record)
    return list(first_records.values())


def _foreign(source: str, found: str) -> UsageError:
    return UsageError(
        source,
        expected="records of edge-ser bench",
        found=found,
        advice="give a file that edge-ser bench --json wrote",
    )
