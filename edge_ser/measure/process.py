"""Fresh processes: the time to a first result, and peak memory.

A process is cold, the disk is not: the files that it reads were read before, and are in the
operating system's cache. That is what starting a program a second time costs.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_ser.errors import MeasurementError
from edge_ser.host.child import code_command
from edge_ser.host.gpu_memory import device_memory
from edge_ser.measure.stats import Estimate, median

# Lines of a child that are meant for us.
_SIGN = "edge-ser-bench:"
# Before and after what is measured. Nothing is imported that Python has not loaded anyway.
_BEFORE = f"""
import sys, time
_times = [time.perf_counter()]
def mark(name):
    now = time.perf_counter()
    print("{_SIGN}", name, now - _times[0], flush=True)
    _times[0] = now
"""
_AFTER = f"""
try:
    with open("/proc/self/status") as _status:
        # not ru_maxrss, which a child inherits from its parent
        _peak = next(int(l.split()[1]) * 1024 for l in _status if l.startswith("VmHWM"))
except (OSError, StopIteration):
    try:
        import resource
        _peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _peak *= 1 if sys.platform == "darwin" else 1024
    except ImportError:
        _peak = 0
print("{_SIGN}", "peak_rss", _peak, flush=True)
sys.stdin.readline()  # alive, with all it holds, until its device memory was looked at
"""
FIRST = "first"


@dataclass(frozen=True)
class ColdSystem:
    """A few lines of Python that are run in a fresh process.

    Attributes:
        code: calls `mark(NAME)` after each of its parts, such as "import" and "load", and
            `mark("first")` as soon as the first result is there; what follows counts for memory
            only.
        arguments: `sys.argv[1:]` of the code.
        python: interpreter, such as that of another environment.
        environment: variables on top of this process's.
    """

    code: str
    arguments: tuple[str, ...] = ()
    python: str = sys.executable
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Cold:
    """Of several processes.

    Attributes:
        first_result: seconds from starting the interpreter to the first result.
        parts: seconds of the parts that the code marked, medians, in their order; the interpreter
            itself is not among them.
        peak_rss_bytes: resident memory at its highest, median; None where the system does not say.
        device_bytes: memory of the first NVIDIA GPU that the process held in the end, its context
            included, median; None without one.
        starts: seconds of every process, round by round, for ratios between systems.
        peaks: bytes of resident memory of every process; empty where the system does not say.
    """

    first_result: Estimate
    parts: dict[str, float]
    peak_rss_bytes: int | None
    device_bytes: int | None
    starts: list[float]
    peaks: list[int]


def measure_cold(
    systems: Mapping[str, ColdSystem],
    rounds: int = 5,
    timeout_seconds: float = 600.0,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Cold], dict[str, MeasurementError]]:
    """Start every system in fresh processes, in turn, after one start that is not counted.

    Args:
        systems: by name.
        rounds: processes per system that count.
        timeout_seconds: for one process.
        progress: is told a system's name after each of its processes.

    Returns:
        figures, and the errors of the systems that failed.
    """
    starts: dict[str, list[_Start]] = {name: [] for name in systems}
    errors: dict[str, MeasurementError] = {}
    for turn in range(rounds + 1):
        for name, system in systems.items():
            if name in errors:
                continue
            try:
                start = _start(name, system, timeout_seconds)
            except MeasurementError as error:
                errors[name] = error
                continue
            if turn:
                starts[name].append(start)
            progress(name)
    return {name: _summary(starts[name]) for name in systems if name not in errors}, errors


@dataclass(frozen=True)
class _Start:
    first: float
    parts: dict[str, float]
    peak: int
    device: int | None


def _start(name: str, system: ColdSystem, timeout: float) -> _Start:
    """Run one process.

    Raises:
        MeasurementError: it fails, hangs, or ends without a first result.
    """
    code = f"{_BEFORE}\n{system.code}\n{_AFTER}"
    environment = {**os.environ, **(system.environment or {})}
    parts: dict[str, float] = {}
    first = peak = held = None
    before = device_memory()
    late = threading.Event()
    with tempfile.TemporaryFile() as complaints:
        started = time.perf_counter()
        with subprocess.Popen(
            code_command(code, *system.arguments, python=system.python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            errors="replace",
            env=environment,
        ) as process:

            def stop(process: subprocess.Popen[str] = process) -> None:
                late.set()
                process.kill()

            watchdog = threading.Timer(timeout, stop)
            watchdog.daemon = True
            watchdog.start()
            for line in process.stdout or ():
                if not line.startswith(_SIGN):
                    continue
                part, value = line.split()[1:]
                if part == "peak_rss":
                    peak = int(value)
                    held = device_memory()
                    if process.stdin is not None:
                        process.stdin.close()
                else:
                    parts[part] = float(value)
                    if part == FIRST:
                        first = time.perf_counter() - started
            status = process.wait()
            watchdog.cancel()
        complaints.seek(0)
        text = complaints.read().decode(errors="replace")
    if status or first is None or peak is None:
        complaint_lines = [line for line in text.splitlines() if line.strip()]
        # an error of ours says all that there is to say
        last = re.sub(r"^edge_ser\.errors\.\w+: ", "", (complaint_lines or [""])[-1])
        reason = last or f"exit status {status}"
        if late.is_set():
            reason = f"none after {timeout:g} s"
        elif status == -9:
            reason = "it was killed, most likely for want of memory"
        raise MeasurementError(
            f"{name} in a fresh process", expected="a first result", found=reason
        )
    device = None if held is None or before is None else max(0, held - before)
    return _Start(first, parts, peak, device)


def _summary(starts: list[_Start]) -> Cold:
    peak = int(statistics.median(s.peak for s in starts))
    devices = [s.device for s in starts if s.device is not None]
    return Cold(
        first_result=median([s.first for s in starts]),
        parts={p: statistics.median(s.parts[p] for s in starts) for p in starts[0].parts},
        peak_rss_bytes=peak or None,
        device_bytes=int(statistics.median(devices)) if devices else None,
        starts=[s.first for s in starts],
        peaks=[s.peak for s in starts if s.peak],
    )
