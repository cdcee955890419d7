"""What the processor tells of itself, and what it can do with 8-bit integers."""

from __future__ import annotations

import platform
from pathlib import Path

_VNNI = {"avx512_vnni", "avx_vnni"}
# where Linux tells
CPUINFO = Path("/proc/cpuinfo")


def cpu_facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """What the first processor tells of itself by name; empty where nothing tells."""
    if not cpuinfo.is_file():
        return {}
    facts: dict[str, str] = {}
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip(), value.strip())
    return facts


def integer_preset(machine: str | None = None, cpuinfo: Path = CPUINFO) -> str | None:
    """The kind of integers that suits this machine: a value of `edge-ser export --cpu`.

    Args:
        machine: architecture; None: this one's.
        cpuinfo: where Linux tells the processor's instruction sets.

    Returns:
        "x86-vnni", "x86" (no VNNI: sums of two 8-bit products saturate there), "arm64"; None where
        nothing tells, as on other architectures and systems.
    """
    machine = (machine or platform.machine()).lower()
    if machine in ("aarch64", "arm64"):
        return "arm64"
    if machine not in ("x86_64", "amd64") or not cpuinfo.is_file():
        return None
    flags = cpu_facts(cpuinfo).get("flags", "").split()
    return "x86-vnni" if _VNNI & set(flags) else "x86"
