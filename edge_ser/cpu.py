"""What the processor can do with 8-bit integers."""

from __future__ import annotations

import platform
from pathlib import Path

_VNNI = {"avx512_vnni", "avx_vnni"}
_CPUINFO = Path("/proc/cpuinfo")


def integer_preset(machine: str | None = None, cpuinfo: Path = _CPUINFO) -> str | None:
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
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return "x86-vnni" if _VNNI & set(flags) else "x86"
