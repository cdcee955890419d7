"""The wheel on emulated arm64 boards: does every precision answer there as it does on x86?

    python benchmarks/arm64.py WORK                  # all bundles, three processors; writes results
    python benchmarks/arm64.py WORK --quick          # what CI runs: three bundles, two processors
    python benchmarks/arm64.py WORK --wheel dist/edge_ser-0.1.0-py3-none-any.whl

Needs Debian and pip; `arm64_/root.sh` fetches QEMU's user emulation and an arm64 Python into WORK,
and installs nothing in the host. Which integer kernels ran is counted in the instructions that QEMU
translated, not asked of the processor's name. Emulation says nothing of time, and nothing of what
real hardware does beyond its instruction set.

Exits with 1 where an answer differs from x86's by more than `LIMITS`, `verify` fails, or `doctor`
takes the processor for another one. Writes `results/arm64.json` and `results/arm64.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, RESULTS, machine_line

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.host.child import module_command

_PARTS = HERE / "arm64_"


@dataclass(frozen=True)
class Board:
    """A processor as QEMU emulates it, and as Linux tells of it on the board.

    Attributes:
        name: of a board that has it.
        cpu: QEMU's name.
        part: Arm's number of it, in /proc/cpuinfo.
        features: what /proc/cpuinfo lists.
    """

    name: str
    cpu: str
    part: str
    features: str

    @property
    def has_dot_products(self) -> bool:
        return "asimddp" in self.features.split()


_BASE = "fp asimd evtstrm crc32 cpuid"
_DOTS = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
BOARDS = (
    Board("Raspberry Pi 4 Model B Rev 1.5", "cortex-a72", "0xd08", _BASE),
    Board("Raspberry Pi 5 Model B Rev 1.0", "cortex-a76", "0xd0b", _DOTS),
    # ONNX Runtime 1.32 crashes where it does not know the part: max goes by Neoverse N2's
    Board("QEMU, every extension", "max", "0xd49", f"{_DOTS} i8mm bf16 sve sve2"),
)

# Form -> options of its export. None: the bundle inside the wheel.
_INT8 = ("--target", "onnx-int8", "--cpu", "arm64", "--force")
FORMS: dict[str, tuple[str, ...]] = {
    "fp32": ("--target", "onnx-fp32"),
    "fp16, weights": ("--target", "onnx-fp16", "--force"),
    "fp16, compute": ("--target", "onnx-fp16", "--fp16-form", "compute", "--force"),
    "int8, static": (*_INT8, "--recipe", "static"),
    "int8, dynamic": (*_INT8, "--recipe", "dynamic"),
}
# Largest difference of arousal, dominance or valence, on 0..1, to the same bundle on x86.
LIMITS = {
    "fp32": 1e-5,
    "fp16, weights": 1e-5,
    "fp16, compute": 1e-2,
    "int8, static": 1e-2,
    "int8, dynamic": 1e-2,
}
_QUICK = ("int8, static", "int8, dynamic")

# Kernel -> (mask, value) of the instructions it is made of, by the Arm Architecture Reference
# Manual (Advanced SIMD: SDOT/UDOT by vector and by element, SMMLA/UMMLA, FMLA of eight halves; SVE:
# SMMLA/UMMLA/USMMLA).
_INSTRUCTIONS = {
    "dot": ((0x9FE0FC00, 0x0E809400), (0x9FC0F400, 0x0F80E000)),
    "mmla": ((0xDFE0FC00, 0x4E80A400), (0xFF20FC00, 0x45009800)),
    "fmla.8h": ((0xFFE0FC00, 0x4E400C00), (0xFFC0F400, 0x4F001000)),
}
_TRANSLATED = re.compile(rb"^0x[0-9a-f]+:\s+([0-9a-f]{8})\s")


def instruction_counts(log: Path) -> dict[str, int]:
    """Instructions by kernel in a log of `qemu -d in_asm`, each once, however often it ran."""
    words: Counter[bytes] = Counter()
    with log.open("rb") as lines:
        for line in lines:
            if match := _TRANSLATED.match(line):
                words[match[1]] += 1
    counts = dict.fromkeys(_INSTRUCTIONS, 0)
    for word, count in words.items():
        code = int(word, 16)
        for kernel, encodings in _INSTRUCTIONS.items():
            if any(code & mask == value for mask, value in encodings):
                counts[kernel] += count
    return counts


def export(work: Path, forms: Sequence[str], models: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Export what WORK has not yet, and yield (form, bundle)."""
    for model in models:
        for form in forms:
            bundle = work / "bundles" / f"{model}-{re.sub('[^a-z0-9]+', '-', form)}"
            if not bundle.exists():
                bundle.parent.mkdir(parents=True, exist_ok=True)
                command = module_command("edge_ser", "export", model, *FORMS[form])
                subprocess.run([*command, "-o", str(bundle)], check=True)
            yield form, bundle


def install(work: Path, wheel: Path | None) -> None:
    """The root of the boards, and the wheel in it."""
    if wheel is None:
        out = work / "dist"
        command = module_command("build", "-q", "--wheel", "--outdir", str(out))
        subprocess.run([*command, str(HERE.parent)], check=True)
        (wheel,) = out.glob("edge_ser-*.whl")
    subprocess.run(["bash", str(_PARTS / "root.sh"), str(work), str(wheel)], check=True)


def emulator(work: Path, board: Board, log: Path | None) -> Path:
    """A program that runs the board's Python."""
    root = (work / "root").resolve()
    # QEMU looks below its root first. What the host's kernel tells is not for arm64 programs, and
    # ONNX Runtime from 1.28 on ends on it
    (root / "proc" / "device-tree").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(
        f"processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: {board.features}\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {board.part}\nCPU revision\t: 3\n"
    )
    (root / "proc" / "device-tree" / "model").write_text(f"{board.name}\0")
    logged = f"-d in_asm -D '{log.resolve()}' " if log else ""
    program = work / f"python-{board.cpu}{'-logged' if log else ''}"
    program.write_text(
        f"#!/bin/sh\nexec '{(work / 'qemu-aarch64-static').resolve()}' -cpu {board.cpu} {logged}"
        f"-L '{root}' '{root / 'usr/bin/python3.11'}' \"$@\"\n"
    )
    program.chmod(0o755)
    return program.resolve()


def ask(
    python: Path | str, out: Path, bundles: Sequence[Path], **environment: str
) -> dict[str, Any]:
    """What `board.py` writes: arrays by "bundle:output", and its facts under "facts"."""
    subprocess.run(
        [str(python), str(_PARTS / "board.py"), str(out), *map(str, bundles)],
        check=True,
        cwd="/",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    with np.load(out) as arrays:
        content: dict[str, Any] = dict(arrays)
    return content | {"facts": json.loads(str(content["facts"]))}


def on_board(
    work: Path, board: Board, bundles: Sequence[tuple[str, Path]], x86: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row per bundle: differences to x86, `verify`, kernels."""
    site = str((work / "site").resolve())
    for form, bundle in bundles:
        log = work / "translated.log"
        logged = emulator(work, board, log)
        started_by = emulator(work, board, None)  # children are not logged: one file, one process
        answers = ask(
            logged, work / "board.npz", [bundle], PYTHONPATH=site, BOARD_PYTHON=str(started_by)
        )
        largest = {
            key.rpartition(":")[2]: float(np.abs(answers[key] - x86[key]).max())
            for key in answers
            if key != "facts"
        }
        status, said = answers["facts"]["verdicts"][str(bundle)]
        yield {
            "bundle": bundle.name,
            "form": form,
            "processor": board.cpu,
            "difference": largest,
            "limit": LIMITS[form],
            "verify": status,
            "said": said.strip().splitlines()[-1:],
            "instructions": instruction_counts(log),
            "doctor": answers["facts"]["doctor"]["8-bit integers"],
        }
        log.unlink()


def faults(row: dict[str, Any], board: Board) -> Iterator[str]:
    """What is wrong with a row, in words."""
    where = f"{row['bundle']} on {board.cpu}"
    if (found := row["difference"]["vad"]) > row["limit"]:
        yield f"{where}: expected answers within {row['limit']:g} of x86's, found {found:.2g}"
    if row["verify"]:
        yield f"{where}: expected verify to pass, found exit code {row['verify']}: {row['said']}"
    if (
        row["form"].startswith("int8")
        and board.has_dot_products
        and not (row["instructions"]["dot"] or row["instructions"]["mmla"])
    ):
        yield f"{where}: expected kernels of dot products, found none"
    state, text = row["doctor"]
    if not text.startswith("arm64") or (state == "ok") != board.has_dot_products:
        yield f"{where}: doctor takes the processor for another one: {text}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    head = (
        "| bundle | processor | arousal, dominance, valence | region logits | verify | dot | mmla "
        "| fmla.8h |\n|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {r['bundle']} | {r['processor']} | {r['difference']['vad']:.1e} of {r['limit']:g} "
        f"| {r['difference'].get('region_logits', float('nan')):.1e} "
        f"| {'passed' if r['verify'] == 0 else 'failed'} "
        f"| {' | '.join(str(n) for n in r['instructions'].values())} |\n"
        for r in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--wheel", type=Path, help="default: is built")
    parser.add_argument("--quick", action="store_true", help="writes no results")
    asked = parser.parse_args()
    work: Path = asked.work
    install(work, asked.wheel)
    models = ("spectral",) if asked.quick else ("spectral", "wavlm-tiny")
    bundles = list(export(work, _QUICK if asked.quick else tuple(FORMS), models))
    if asked.quick:
        bundles.insert(0, ("fp32", DEFAULT_BUNDLE))
    bundles = [(form, path.resolve()) for form, path in bundles]
    x86 = ask(sys.executable, work / "x86.npz", [path for _, path in bundles])
    rows: list[dict[str, Any]] = []
    wrong: list[str] = []
    for board in BOARDS[:2] if asked.quick else BOARDS:
        for row in on_board(work, board, bundles, x86):
            rows.append(row)
            wrong += faults(row, board)
            print(table([row]).splitlines()[-1], flush=True)
    if not asked.quick:
        write(rows)
    print("\n".join(wrong) or f"arm64: {len(rows)} runs as on x86")
    return 1 if wrong else 0


def write(rows: Sequence[dict[str, Any]]) -> None:
    (RESULTS / "arm64.json").write_text(json.dumps(list(rows), indent=1) + "\n")
    (RESULTS / "arm64.md").write_text(
        "# Every precision on emulated arm64 processors\n\n"
        f"`python benchmarks/arm64.py WORK` on {machine_line()}; QEMU's user emulation, Debian's "
        "Python 3.11 for arm64, the wheels of aarch64. Nothing here ran on hardware.\n\n"
        "Largest difference, over twelve recordings, to the same bundle on x86: arousal, dominance "
        "and valence on 0..1, then region logits. The last columns count instructions that QEMU "
        "translated, each once: dot products of 8 bits (sdot, udot), 8-bit matrix products (smmla, "
        "ummla, of Advanced SIMD or SVE), float16 arithmetic (fmla of eight halves).\n\n"
        + table(rows)
    )


if __name__ == "__main__":
    sys.exit(main())
