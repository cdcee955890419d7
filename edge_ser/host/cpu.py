"""What the processor tells of itself, and what it can do with products of matrices."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

# Instruction sets that decide which kernels a runtime takes, and how fast products of matrices are:
# of x86, then of arm64.
INSTRUCTION_SETS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8",
    "amx_bf16", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
# Of those: sums of 8-bit products that do not saturate, of x86; products in bfloat16.
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
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


def instruction_sets(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """Those of `INSTRUCTION_SETS` that the first processor has; empty where nothing tells."""
    facts = cpu_facts(cpuinfo)
    flags = set(f"{facts.get('flags', '')} {facts.get('Features', '')}".split())
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


def processor_name(root: Path = Path("/")) -> str:
    """What people call the processor, or the board it is on; "" where nothing tells.

    Boards come first: what Linux says of an Arm processor ("ARMv8 Processor rev 1") is the same for
    many that are not alike.

    Args:
        root: of the file system.
    """
    board = root / "proc/device-tree/model"
    if board.is_file():
        return board.read_text(encoding="utf-8", errors="replace").rstrip("\0").strip()
    facts = cpu_facts(root / "proc/cpuinfo")
    if facts.get("CPU part"):
        return f"Arm {facts.get('CPU implementer', '')} part {facts['CPU part']}"
    return facts.get("model name") or _name_by_system()


def _name_by_system() -> str:
    if sys.platform == "darwin":  # platform.processor() says "arm" of every one of Apple's
        import subprocess  # slow to import, and needed there alone

        sysctl = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            check=False,
            text=True,
        )
        return sysctl.stdout.strip()
    return platform.processor()


def usable_cores() -> int:
    """Logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    return "x86-vnni" if VNNI & set(instruction_sets(cpuinfo)) else "x86"


def multiplies_halves(machine: str | None = None, cpuinfo: Path = CPUINFO) -> bool:
    """Whether ONNX Runtime multiplies float16 by this processor's own instructions.

    It does on arm64 from ARMv8.2 on (asimdhp); that nothing tells, as on Apple's, which all have
    them, counts as yes.
    """
    machine = (machine or platform.machine()).lower()
    if machine not in ("aarch64", "arm64"):
        return False
    return not cpuinfo.is_file() or "asimdhp" in instruction_sets(cpuinfo)


def sums_saturate(machine: str | None = None, cpuinfo: Path = CPUINFO) -> bool | None:
    """Whether sums of two products of 8-bit weights saturate here; None where nothing tells.

    They do on x86 without VNNI, which adds them in 16 bits.
    """
    preset = integer_preset(machine, cpuinfo)
    return None if preset is None else preset == "x86"
