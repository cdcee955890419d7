"""What a second worker of Ray brings, and what Ray costs.

    python benchmarks/ray_scaling.py SPEECH [--rounds 4] [--files 3000]

SPEECH is a folder of recordings, of which files of 5 s are made. They are answered by the plain
engine, by Ray with one worker and by Ray with two, in turn, so that whatever else the machine does
is shared out. A pace is of the parts after the first that is complete; what starting costs is told
beside it. Writes `results/ray.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from common import RESULTS, machine_line

from edge_ser.audio.files import decode_file
from edge_ser.audio.folders import find_audio
from edge_ser.scoring.archive import Scorer, score_archive
from edge_ser.scoring.archive.by_ray import import_ray

_RATE, _SECONDS, _PART_FILES = 16_000, 5.0, 100
SYSTEMS = {"plain": ("plain", 1), "Ray, 1 worker": ("ray", 1), "Ray, 2 workers": ("ray", 2)}


@dataclass(frozen=True)
class Run:
    """One job.

    Attributes:
        pace: files a second, of the parts after the first.
        first_seconds: from the beginning until the first part was complete.
        cpu: seconds of the processor for a file, of the workers.
        load: processes that wanted a core, over the minute before its end.
    """

    pace: float
    first_seconds: float
    cpu: float
    load: float


def make_archive(speech: Path, folder: Path, count: int) -> None:
    """Files of 5 s, each cut from the recordings laid end to end, from another place on."""
    samples = np.concatenate([decode_file(path, _RATE) for path in find_audio(speech).files])
    size = int(_SECONDS * _RATE)
    for number in range(count):
        place = number * 7919 % (samples.size - size)
        soundfile.write(folder / f"{number:05}.wav", samples[place : place + size], _RATE)


def measure_apart(archive: Path, out: Path, system: str) -> Run:
    """The same in a process of its own, as Ray's workers are."""
    done = subprocess.run(
        [sys.executable, __file__, str(archive), "--one", system, "--out", str(out)],
        stdout=subprocess.PIPE, check=True, start_new_session=True,
    )  # fmt: skip
    return Run(**json.loads(done.stdout))


def measure(archive: Path, out: Path, system: str) -> Run:
    engine, workers = SYSTEMS[system]
    started = time.time()
    summary = score_archive(
        [str(archive)], str(out), Scorer(), engine=engine,  # type: ignore[arg-type]
        workers=workers, part_files=_PART_FILES,
    )  # fmt: skip
    times = sorted(path.stat().st_mtime for path in out.glob("files-*.parquet"))
    pace = (len(times) - 1) * _PART_FILES / (times[-1] - times[0])
    cpu = summary.metrics.cpu_seconds / summary.metrics.files
    return Run(pace, times[0] - started, cpu, os.getloadavg()[0])


def ratios(runs: dict[str, list[Run]], upper: str, lower: str) -> str:
    """Median of the pairs of a round, and the range of all."""
    values = [a.pace / b.pace for a, b in zip(runs[upper], runs[lower], strict=True)]
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def page_of(runs: dict[str, list[Run]], files: int, start_seconds: float, version: str) -> str:
    """All figures, and what they say."""
    rows = "\n".join(
        f"| {name} | {statistics.median(r.pace for r in some):.1f} | "
        f"{1000 * statistics.median(r.cpu for r in some):.2f} ms | "
        f"{statistics.median(r.first_seconds for r in some):.1f} s | "
        f"{', '.join(f'{r.pace:.1f}' for r in some)} |"
        for name, some in runs.items()
    )
    loads = [r.load for some in runs.values() for r in some]
    one, two = "Ray, 1 worker", "Ray, 2 workers"
    cpu = {name: statistics.median(r.cpu for r in some) for name, some in runs.items()}
    cores = os.cpu_count() or 1
    is_busy = statistics.median(loads) > cores + 1
    shared = (
        f"""Other programs had the machine, too: {min(loads):.0f} to {max(loads):.0f} processes
wanted its {cores} cores, and a pace is the share of them that a program got. So ratios of pace say
little here; what a file takes of the processor does not depend on that."""
        if is_busy
        else "The machine was quiet."
    )
    return f"""# Archives by Ray

Made by `python benchmarks/ray_scaling.py`: {machine_line()}, Ray {version}.
The default model on {files} WAV files of 5 s, in parts of {_PART_FILES}, a thread each;
{len(runs[one])} rounds of all three in turn. {shared}

| | files/s, median | CPU a file | first part after | files/s of each round |
|---|---|---|---|---|
{rows}

- Of the processor a file takes {cpu[one] / cpu["plain"]:.2f} times as much with Ray as without, and
  {cpu[two] / cpu[one]:.2f} times as much with two workers as with one: with a core each, two would
  make {2 * cpu[one] / cpu[two]:.2f} times the pace of one.
- Ratios of pace, median and range of the pairs that ran one after the other: two workers against
  one {ratios(runs, two, one)}, one against the plain engine {ratios(runs, one, "plain")}.
- Starting Ray took {start_seconds:.1f} s; the first part comes after workers have started, too.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(measure(given.speech, given.out, given.one))))
        return 0
    runs: dict[str, list[Run]] = {name: [] for name in SYSTEMS}
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive")
        archive.mkdir()
        make_archive(given.speech, archive, given.files)
        started = time.perf_counter()
        ray = import_ray()
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        start_seconds = time.perf_counter() - started
        for number in range(given.rounds):
            for system in SYSTEMS:
                out = Path(folder, f"{system}-{number}".replace(" ", "").replace(",", ""))
                run = (measure_apart if system == "plain" else measure)(archive, out, system)
                runs[system].append(run)
                print(system, runs[system][-1], file=sys.stderr)
        ray.shutdown()
    page = page_of(runs, given.files, start_seconds, ray.__version__)
    print(page)
    (RESULTS / "ray.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
