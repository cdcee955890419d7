"""The machine that this runs on, as far as it matters to who signs a result; no names of hosts."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from edge_ser.host.cpu import CPUINFO, cpu_facts

# Instruction sets that decide which kernels a runtime takes: of x86, then of arm64.
_TOLD = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8",
    "amx_bf16", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
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


def usable_cores() -> int:
    """Logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine(cpuinfo: Path = CPUINFO) -> Machine:
    """The machine that this runs on.

    Args:
        cpuinfo: where Linux tells the processor's name and instruction sets.
    """
    facts = cpu_facts(cpuinfo)
    flags = set(f"{facts.get('flags', '')} {facts.get('Features', '')}".split())
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        processor=facts.get("model name", ""),
        flags=tuple(f for f in _TOLD if f in flags),
        cores=usable_cores(),
        python=platform.python_version(),
    )
