"""What a result was made on, and how the machine was set and felt while it was; no names of hosts.

Everything is read from files that Linux has anyway; elsewhere, and in containers that hide them,
what cannot be known is left out.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.host.cpu import instruction_sets, processor_name, usable_cores
from edge_ser.host.packages import version

_ROOT = Path("/")
# Whatever can change a time, where it is installed.
_LIBRARIES = (
    "edge-ser", "numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr", "torch", "openvino",
    "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A computer.

    Attributes:
        system: of the operating system, such as `Linux`.
        architecture: such as `x86_64`.
        processor: its maker's name; empty where nothing tells.
        flags: instruction sets that matter to inference; empty where nothing tells.
        cores: logical ones that this process may use.
        python: version.
    """

    system: str
    architecture: str
    processor: str
    flags: tuple[str, ...]
    cores: int
    python: str

    def __str__(self) -> str:
        """In one line, for people."""
        parts = [self.architecture, self.processor, self.system]
        parts.append(f"{self.cores} logical core{'s' if self.cores != 1 else ''}")
        return ", ".join(p for p in parts if p)


def this_machine(root: Path = _ROOT) -> Machine:
    """The machine that this runs on.

    Args:
        root: of the file system.
    """
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        processor=processor_name(root),
        flags=instruction_sets(root / "proc/cpuinfo"),
        cores=usable_cores(),
        python=platform.python_version(),
    )


def machine(root: Path = _ROOT) -> dict[str, Any]:
    """What does not change during a run: processor, memory, operating system, libraries.

    Args:
        root: of the file system.
    """
    return {
        "processor": processor_name(root) or platform.machine(),
        "architecture": platform.machine(),
        "instructions": list(instruction_sets(root / "proc/cpuinfo")),
        "cores": usable_cores(),
        "memory_mb": _megabytes(_meminfo(root).get("MemTotal")),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": libraries(),
        "environment": {
            name: os.environ[name]
            for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "KMP_AFFINITY")
            if name in os.environ
        },
        "accelerators": _nvidia("name", "driver_version", "memory.total"),
    }


def state(root: Path = _ROOT) -> dict[str, Any]:
    """What changes: clocks, governor, power mode, temperatures, load, free memory.

    Args:
        root: of the file system.
    """
    frequencies = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    current = [_number(f / "scaling_cur_freq") for f in frequencies]
    clocks = [c / 1000 for c in current if c is not None]
    if not clocks:
        clocks = [
            float(line.split(":")[1])
            for line in _read(root / "proc/cpuinfo").splitlines()
            if line.startswith("cpu MHz")
        ]
    limits = [_number(f / "scaling_max_freq") for f in frequencies]
    governors = {_read(f / "scaling_governor").strip() for f in frequencies} - {""}
    load = _read(root / "proc/loadavg").split()
    free = available_memory(root)
    conditions = {
        "clock_mhz": [round(c) for c in clocks] or None,
        "clock_limit_mhz": max((m / 1000 for m in limits if m is not None), default=None),
        "governor": ", ".join(sorted(governors)) or None,
        "power_mode": _power_mode(),
        "temperature_c": _temperatures(root) or None,
        "load_1min": float(load[0]) if load else None,
        "available_memory_mb": None if free is None else round(free / 1e6),
        "accelerators": _nvidia(
            "clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "pstate"
        )
        or None,
    }
    return {name: value for name, value in conditions.items() if value is not None}


def available_memory(root: Path = _ROOT) -> int | None:
    """Bytes that a new process can have; None where the system does not say.

    The least of what the machine has left and what the control group of a container allows.

    Args:
        root: of the file system.
    """
    rooms = []
    free_bytes = _meminfo(root).get("MemAvailable")
    if free_bytes is not None:
        rooms.append(free_bytes)
    groups = root / "sys/fs/cgroup"
    for folder, limit, usage in (
        (groups, "memory.max", "memory.current"),
        (groups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        allowed, used = _number(folder / limit), _number(folder / usage)
        if allowed is not None and used is not None:
            # files in the cache count as used, and make room when it is needed
            stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
            rooms.append(max(0, int(allowed - used) + int(stat.get("inactive_file", 0))))
    return min(rooms, default=None)


def libraries() -> dict[str, str]:
    """Versions of what is installed, without importing it."""
    versions = {name: version(name) for name in _LIBRARIES}
    return {name: release for name, release in versions.items() if release}


def same_machine(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether times of two records may be compared: same processor, as many cores."""
    return all(a.get(k) == b.get(k) for k in ("processor", "architecture", "cores"))


def _power_mode() -> str | None:
    """Of a Jetson, as its own tool tells it."""
    printed = _ask("nvpmodel", "-q")
    lines = [line.split(":", 1)[1] for line in printed if "Power Mode:" in line]
    return lines[0].strip() if lines else None


def _nvidia(*names: str) -> list[dict[str, str]]:
    """Facts about NVIDIA GPUs, as the driver's own tool tells them; none on a Jetson."""
    lines = _ask("nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader")
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]


def _ask(tool: str, *arguments: str) -> list[str]:
    """Lines that a tool prints; none where there is no such tool, or it fails."""
    path = shutil.which(tool)
    if path is None:
        return []
    try:
        process = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return process.stdout.splitlines() if process.returncode == 0 else []


def _temperatures(root: Path) -> dict[str, float]:
    """Degrees Celsius by thermal zone."""
    degrees = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None:
            degrees[_read(zone / "type").strip() or zone.name] = round(value / 1000, 1)
    return degrees


def _meminfo(root: Path) -> dict[str, int]:
    """Bytes by name."""
    pairs = [line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines()]
    return {k: 1024 * int(v.split()[0]) for k, v in pairs if v.split() and v.split()[0].isdigit()}


def _megabytes(count: int | None) -> int | None:
    return None if count is None else round(count / 1e6)


def _read(path: Path) -> str:
    """Text of a small file of the system; empty where there is none, or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_read(path))
    except ValueError:  # absent, or a word such as "max"
        return None
