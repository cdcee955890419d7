"""All that is measured of a model: times by length, batch and threads, and what goes with them."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_ser.audio import Samples
from edge_ser.bench.complaints import not_run, too_small
from edge_ser.bench.records import Against, EnergyUse, Fresh, Latency, Record, Work, fresh_record
from edge_ser.bench.speech import FILE_RATE_HZ, speech, write_wav
from edge_ser.bench.stages import stages
from edge_ser.bench.work import Peaks, Products
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import EdgeSerError, MeasurementError, UsageError
from edge_ser.host.facts import available_memory, machine, state
from edge_ser.measure.energy import find_meter, measure_energy
from edge_ser.measure.process import ColdSystem, measure_cold
from edge_ser.measure.stats import claim
from edge_ser.measure.timing import Plan, Result, Timing, measure
from edge_ser.scratch import scratch_folder
from edge_ser.session import Session
from edge_ser.utterance import answer, infer, prepare

# Steps of the progress bar for one length, batch and number of threads.
_STEPS = 10


@dataclass(frozen=True)
class System:
    """A system of `edge-ser bench`.

    Attributes:
        name: that tells it from the others.
        runtime: that runs it.
        manifest: how audio is prepared and answers are read.
        target: of the bundle; "checkpoint" for the reference.
        precision: of the computation.
        sha256: of the graph or checkpoint.
        size_bytes: on disk.
        memory_bytes: that a process needs at the very least to hold it.
        open: loads it for a number of threads, its checks included.
        cold: what a fresh process does; given threads, a first file, a file for memory, and how
            many of these are run at a time.
        products: its matrix products; None where they cannot be counted.
    """

    name: str
    runtime: str
    manifest: Manifest
    target: str
    precision: str
    sha256: str
    size_bytes: int
    memory_bytes: int
    open: Callable[[int], Session]
    cold: Callable[[int, Path, Path, int], ColdSystem]
    products: Products | None = None


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        seconds: lengths of utterances.
        batches: utterances per run.
        threads: of the computation.
        plan: how often.
        processes: fresh ones per system and number of threads; 0: none.
        audio: a recording; None: the package's samples.
    """

    seconds: tuple[float, ...] = (1.0, 3.0, 5.0, 10.0, 12.0)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    plan: Plan = field(default_factory=Plan)
    processes: int = 5
    audio: Path | None = None

    def steps(self, systems: int) -> int:
        """Of a progress bar."""
        fresh = systems * (self.processes + 1) if self.processes else 0
        return len(self.threads) * (fresh + _STEPS * len(self.seconds) * len(self.batches))


Complain = Callable[[EdgeSerError], None]
Progress = Callable[[str, float], None]


class Suite:
    """One run of measurements.

    Args:
        options: what to measure.
        complain: is told what cannot be measured, and why; everything else goes on.
        progress: is told what is being done, and how many steps were.

    Attributes:
        is_interrupted: whether Ctrl-C ended the measuring.
    """

    is_interrupted = False

    def __init__(self, options: Options, complain: Complain, progress: Progress) -> None:
        self.options, self.complain, self.progress = options, complain, progress
        self.peaks = Peaks()
        self.meter, self.no_meter = find_meter()
        self._speech: dict[tuple[float, int], Samples] = {}

    def run(self, candidates: Sequence[System]) -> list[Record]:
        """Measure all systems; the first is what the others are compared with.

        Ctrl-C ends it early: what was measured until then is kept, and `is_interrupted` says so.

        Returns:
            records by threads, batch and length; of what could be measured.

        Raises:
            MissingPathError: no such recording.
            AudioError: a recording that cannot be read.
        """
        identity, before = uuid.uuid4().hex[:12], state()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = machine()
        records: list[Record] = []
        with scratch_folder() as folder:
            try:
                for system_records in self._measured(candidates, folder):
                    records += system_records
            except KeyboardInterrupt:
                self.is_interrupted = True
        after = state()
        return [
            replace(r, run=identity, time=moment, machine=facts, before=before, after=after)
            for r in records
        ]

    def _measured(self, candidates: Sequence[System], work: Path) -> Iterator[list[Record]]:
        """The records of each number of threads, batch and length in turn."""
        for threads in self.options.threads:
            fitting = [c for c in candidates if self._fits(c)]
            fresh, failed = self._fresh(fitting, threads, work)
            with self._open(fitting, threads, failed) as opened:
                for batch in self.options.batches:
                    for seconds in self.options.seconds:
                        yield self._one(opened, fresh, seconds, batch, threads, work)

    def _fits(self, candidate: System) -> bool:
        free = available_memory()
        if free is None or candidate.memory_bytes <= free:
            return True
        self.complain(too_small(candidate.name, candidate.memory_bytes, free))
        return False

    def _fresh(
        self, candidates: Sequence[System], threads: int, work: Path
    ) -> tuple[dict[str, Fresh], dict[str, MeasurementError]]:
        """First results and memory, in fresh processes, and what failed; each by system."""
        if not self.options.processes:
            return {}, {}
        batch = max(self.options.batches)
        systems, lengths = {}, {}
        for c in candidates:
            readable = [
                s for s in self.options.seconds if s <= c.manifest.preprocessing.max_seconds
            ]
            if readable:
                lengths[c.name] = (min(readable), max(readable))
                first, longest = (self._file(work, s) for s in lengths[c.name])
                systems[c.name] = c.cold(threads, first, longest, batch)
        colds, errors = measure_cold(
            systems,
            self.options.processes,
            progress=lambda name: self.progress(f"{name}: fresh process", 1),
        )
        fresh = {name: fresh_record(cold, *lengths[name], batch) for name, cold in colds.items()}
        return fresh, errors

    @contextmanager
    def _open(
        self, candidates: Sequence[System], threads: int, failed: Mapping[str, MeasurementError]
    ) -> Iterator[list[_Opened]]:
        """Load systems; those that cannot be are told and left out.

        What failed in a fresh process, too, is told for those that load: of others it is the same.
        """
        opened: list[_Opened] = []
        for c in candidates:
            self.progress(f"{c.name}: load", 0)
            if opened and not self._fits(c):  # beside those that are loaded already
                continue
            try:
                c.open(threads).close()  # brings the library, which is not the model's to pay
                started = time.perf_counter()
                session = c.open(threads)
            except EdgeSerError as error:
                self.complain(error)
            except Exception as error:
                self.complain(not_run(c.name, "a model that loads", error))
            else:
                opened.append(_Opened(c, session, time.perf_counter() - started))
                if c.name in failed:
                    self.complain(failed[c.name])
        try:
            yield opened
        finally:
            for one in opened:  # before others are loaded for another number of threads
                one.session.close()
            opened.clear()

    def _one(
        self,
        opened: Sequence[_Opened],
        fresh: dict[str, Fresh],
        seconds: float,
        batch: int,
        threads: int,
        work: Path,
    ) -> list[Record]:
        """One length, batch and number of threads."""
        place = f"{seconds:g} s" + (f" x {batch}" if batch > 1 else "")
        systems, by_name = {}, {}
        for o in opened:
            longest = o.candidate.manifest.preprocessing.max_seconds
            if seconds > longest:
                self.complain(
                    UsageError(
                        f"{o.candidate.name} with {seconds:g} s",
                        expected=f"at most {longest:g} s, what the bundle reads",
                        found=f"{seconds:g} s",
                        advice="choose --seconds",
                    )
                )
                continue
            rate = o.candidate.manifest.preprocessing.sample_rate
            systems[o.candidate.name] = _pipeline(o, [self._samples(seconds, rate)] * batch)
            by_name[o.candidate.name] = o
        reached = 0

        def move(share: float) -> None:
            nonlocal reached
            now = int(share * _STEPS)
            self.progress(place, max(0, now - reached))
            reached = max(now, reached)

        self.progress(place, 0)
        result = measure(systems, None, self.options.plan, move)
        for name, error in result.errors.items():
            complaint = error if isinstance(error, EdgeSerError) else None
            self.complain(complaint or not_run(f"{name} with {place}", "a run", error))
        records = []
        for name, timing in result.timings.items():
            try:
                records.append(
                    self._record(by_name[name], timing, result, fresh.get(name), seconds, batch,
                                 threads, work)
                )  # fmt: skip
            except EdgeSerError as error:
                self.complain(error)
        move(1.0)
        return records

    def _record(
        self,
        opened: _Opened,
        timing: Timing,
        result: Result,
        fresh: Fresh | None,
        seconds: float,
        batch: int,
        threads: int,
        work: Path,
    ) -> Record:
        c, middle = opened.candidate, timing.median()
        p50 = timing.quantile(0.5)
        remarks: list[str] = []
        split = stages(
            c.manifest,
            lambda ready: opened.session.run(*ready),
            self._file(work, seconds),
            FILE_RATE_HZ,
            batch,
            max(3, min(15, math.ceil(1 / p50))),
        )
        energy = None
        if self.meter is not None:
            rate = c.manifest.preprocessing.sample_rate
            run = _pipeline(opened, [self._samples(seconds, rate)] * batch)
            try:
                measured = measure_energy(self.meter, lambda: run(None))
                energy = EnergyUse(measured.joules, measured.watts, measured.runs, measured.source)
            except MeasurementError as error:
                remarks.append(f"no energy: {error}")
        else:
            remarks.append(f"no energy: {self.no_meter}")
        arithmetic: Work | None = None
        if c.products is None:
            remarks.append(f"no arithmetic of {c.name}: its graph cannot be counted")
        else:
            try:
                arithmetic = self.peaks.work(c.products, seconds, batch, threads, p50)
            except EdgeSerError as error:
                remarks.append(f"no arithmetic of {c.name}: {error}")
        first = next(iter(result.timings))
        return Record(
            run="",
            time="",
            system=c.name,
            runtime=c.runtime,
            bundle=c.manifest.name,
            target=c.target,
            precision=c.precision,
            sha256=c.sha256,
            seconds=seconds,
            batch=batch,
            threads=threads,
            latency=Latency(
                p10_ms=1000 * timing.quantile(0.1),
                p50_ms=1000 * p50,
                p90_ms=1000 * timing.quantile(0.9),
                p99_ms=1000 * timing.quantile(0.99),
                low_ms=1000 * min(p50, middle.low),
                high_ms=1000 * max(p50, middle.high),
                confidence=middle.confidence,
                rounds=middle.count,
                runs=len(timing.runs),
                stable=result.stable,
                preempted=timing.preempted / len(timing.runs),
            ),
            rtf=p50 / (seconds * batch),
            throughput=seconds * batch / p50,
            size_mb=c.size_bytes / 1e6,
            load_ms=1000 * opened.load_seconds,
            stages_ms={name: 1000 * s for name, s in split.items()},
            against=None if timing.name == first else _against(result, timing.name, first),
            fresh=fresh,
            work=arithmetic,
            energy=energy,
            notes=tuple(remarks),
        )

    def _samples(self, seconds: float, rate: int) -> Samples:
        key = (seconds, rate)
        if key not in self._speech:
            self._speech[key] = speech(seconds, rate, self.options.audio)
        return self._speech[key]

    def _file(self, work: Path, seconds: float) -> Path:
        path = work / f"{seconds:g}s.wav"
        if not path.exists():
            write_wav(path, self._samples(seconds, FILE_RATE_HZ), FILE_RATE_HZ)
        return path


@dataclass(frozen=True)
class _Opened:
    candidate: System
    session: Session
    load_seconds: float


def _pipeline(opened: _Opened, rows: list[Samples]) -> Callable[[Any], Any]:
    """From samples in memory to emotions, as `Recognizer` goes."""
    manifest, session = opened.candidate.manifest, opened.session

    def run(_: Any) -> Any:
        utterances = [prepare(x, manifest.preprocessing) for x in rows]
        outputs = infer(session, [u.samples for u in utterances])
        return answer(outputs, utterances, manifest.partition, manifest.categories)

    return run


def _against(result: Result, name: str, first: str) -> Against:
    ratio = result.ratio(name, first)
    timings = (result.timings[name], result.timings[first])
    interrupted = max(timing.preempted / len(timing.runs) for timing in timings)
    verdict = claim(ratio, interrupted=interrupted)
    return Against(first, ratio.value, ratio.low, ratio.high, ratio.confidence, verdict)
