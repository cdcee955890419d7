"""How many threads to compute with: what this process may use, not what the machine has.

Runtimes count the cores of the machine. In a container, or under `taskset`, that starts workers
that wait for one another, and some are put on processors that the process must not use.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from edge_ser.errors import UsageError
from edge_ser.host.cpu import usable_cores

VARIABLE = "EDGE_SER_THREADS"
_ROOT = Path("/")
# Of each processor of the machine; so many more never finish to start.
_MAX_PER_PROCESSOR, _MAX_ANYWHERE = 4, 64


def choose_threads(requested: int | None, root: Path = _ROOT) -> int | None:
    """How many threads compute.

    Args:
        requested: by the caller; None: what the variable `EDGE_SER_THREADS` says, or else as many
            as there are physical cores that this process may use: of those it may run on, and not
            more than the quota of its container, rounded up.
        root: of the file system.

    Returns:
        None where nothing was asked for and this system tells none of that: the runtime's own
        choice.

    Raises:
        UsageError: not a whole number of at least one, or more than could ever help.
    """
    name, count = "threads", requested or 0
    if requested is None:
        name, text = VARIABLE, os.environ.get(VARIABLE, "")
        if not text:
            return _allowed(root)
        try:
            count = int(text)
        except ValueError:
            raise UsageError(name, expected="a whole number", found=f"{text!r:.40}") from None
    max_count = max(_MAX_ANYWHERE, _MAX_PER_PROCESSOR * (os.cpu_count() or 1))
    if count < 1:
        raise UsageError(name, expected="at least 1", found=str(count))
    if count > max_count:
        raise UsageError(
            name,
            expected=f"at most {max_count} on this machine",
            found=str(count),
            advice=f"leave it out to use the {usable_cores()} processors that this process may use",
        )
    return count


def _allowed(root: Path) -> int | None:
    if not hasattr(os, "sched_getaffinity"):  # Linux only
        return None
    cores = physical_cores(os.sched_getaffinity(0), root)
    quota = cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def physical_cores(processors: set[int], root: Path = _ROOT) -> int:
    """Cores that logical processors belong to; as many as those where nothing tells.

    Args:
        processors: numbers of logical ones.
        root: of the file system.
    """
    siblings = set()
    for number in processors:
        path = root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        siblings.add(_read(path) or str(number))
    return len(siblings)


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Processors' time that the control groups of this process allow it; None: without a limit.

    Both versions of control groups are asked, at the process's own group and those above it.

    Args:
        root: of the file system.
    """
    quotas = [q for group in _groups(root) if (q := _quota_of(group)) is not None]
    return min(quotas, default=None)


def _groups(root: Path) -> list[Path]:
    """Folders of the groups that limit processors, as far as they can be seen from here."""
    mounts = root / "sys/fs/cgroup"
    folders = []
    for line in (_read(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            places = [mounts]
        elif "cpu" in controllers.split(","):
            places = [mounts / "cpu", mounts / controllers]
        else:
            continue
        group_path = path.strip("/")
        for place in places:
            # a container may see its own group as the root, under the path it has outside
            inside = place / group_path
            folders += [f for f in (inside, *inside.parents) if f.is_relative_to(place)]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _quota_of(group: Path) -> float | None:
    words = _read(group / "cpu.max").split()  # of version 2: "max 100000", or a number
    if not words:
        words = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
