"""What can be exported to: a target is described here, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_ser.errors import unknown_name
from edge_ser.fidelity.limits import LIMITS, Limits
from edge_ser_export.precision.job import Lowered, Lowering
from edge_ser_runtimes.engines.build import ENGINE
from edge_ser_runtimes.engines.plan import GRAPH, TYPED
from edge_ser_runtimes.registry import runtimes_of

# Writes the graphs of a bundle; what the manifest says of them, and the one that the gate judges.
Lower = Callable[[Lowering], tuple[Lowered, Path]]


def _as_traced(job: Lowering) -> tuple[Lowered, Path]:
    return Lowered("fp32", "float32", LIMITS["fp32"]), job.traced


# What lowers needs onnx; the table is read without it, for the help of the command line.
def _for_cpus(job: Lowering) -> tuple[Lowered, Path]:
    from edge_ser_export.precision.lower import lower

    return lower(job)


def _for_tensorrt(job: Lowering) -> tuple[Lowered, Path]:
    from edge_ser_export.tensorrt.typed import write_graphs

    return write_graphs(job)


@dataclass(frozen=True)
class Artefact:
    """A file that a bundle of a target holds.

    Attributes:
        path: within the bundle.
        format: of the file.
    """

    path: str
    format: Literal["onnx", "engine"]


@dataclass(frozen=True)
class Target:
    """What a checkpoint can be exported to.

    Attributes:
        name: for the command line and the manifest.
        precision: that is asked for; it decides about the limits of the gate.
        words: what it is for, in a few words for people.
        artefacts: files that run; an engine is missing in a bundle that its device has yet to
            finish.
        lower: writes the graphs.
        measures: whether ranges are measured on calibration speech.
        tunable: whether `PrecisionOptions` are about it.
    """

    name: str
    precision: str
    words: str
    artefacts: tuple[Artefact, ...]
    lower: Lower
    measures: bool = True
    tunable: bool = False

    @property
    def limits(self) -> Limits:
        """Of the gate."""
        return LIMITS[self.precision]

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names in the registry of runtimes, the one that it is made for first."""
        return tuple(runtimes_of(self.name))

    @property
    def has_engine(self) -> bool:
        """Whether a TensorRT engine is built, for devices that have to be named."""
        return any(a.format == "engine" for a in self.artefacts)

    @property
    def in_eight_bits(self) -> bool:
        """Whether products are computed in eight bits."""
        return self.precision in ("int8", "fp8")

    @property
    def in_place(self) -> bool:
        """Whether the bundle's graph is the traced one."""
        return self.lower is _as_traced

    @property
    def graphs(self) -> tuple[str, ...]:
        """Paths of the ONNX files."""
        return tuple(a.path for a in self.artefacts if a.format == "onnx")


_GRAPH, _TYPED = Artefact(GRAPH, "onnx"), Artefact(TYPED, "onnx")
_ENGINE = Artefact(ENGINE, "engine")

# bfloat16 and 8-bit floats have no kernels on CPUs: those bundles hold a form that a CPU runs, too.
TARGETS = {
    t.name: t
    for t in (
        Target("onnx-fp32", "fp32", "any machine", (_GRAPH,), _as_traced, measures=False),
        Target("onnx-fp16", "fp16", "half the file", (_GRAPH,), _for_cpus, tunable=True),
        Target("onnx-int8", "int8", "CPUs, the fastest", (_GRAPH,), _for_cpus, tunable=True),
        Target("trt-fp32", "fp32", "NVIDIA GPUs", (_GRAPH, _ENGINE), _for_tensorrt,
               measures=False),
        Target("trt-fp16", "fp16", "NVIDIA GPUs", (_GRAPH, _ENGINE), _for_tensorrt),
        Target("trt-bf16", "bf16", "NVIDIA GPUs", (_GRAPH, _TYPED, _ENGINE), _for_tensorrt),
        Target("trt-int8", "int8", "NVIDIA GPUs", (_GRAPH, _ENGINE), _for_tensorrt),
        Target("trt-fp8", "fp8", "NVIDIA GPUs", (_GRAPH, _TYPED, _ENGINE), _for_tensorrt),
    )
}  # fmt: skip
DEFAULT_TARGET = "onnx-fp32"


def find_target(name: str) -> Target:
    """A target by its name.

    Raises:
        UsageError: there is none.
    """
    if name not in TARGETS:
        raise unknown_name("--target", name, TARGETS)
    return TARGETS[name]


def names_where(holds: Callable[[Target], bool]) -> list[str]:
    """Names of some targets, for messages."""
    return [t.name for t in TARGETS.values() if holds(t)]


def target_words() -> str:
    """The targets with what they are for, for the help of the command line."""
    names: dict[str, list[str]] = {}
    for t in TARGETS.values():
        names.setdefault(t.words, []).append(t.name)
    return "; ".join(f"{', '.join(same)}: {words}" for words, same in names.items())


def target_table() -> str:
    """The targets as a Markdown table, as the README has it."""
    rows = ["| `--target` | precision | for | runtimes | files |", "|---|---|---|---|---|"]
    for t in TARGETS.values():
        files = ", ".join(f"`{a.path}`" for a in t.artefacts)
        rows.append(
            f"| `{t.name}` | {t.precision} | {t.words} | {', '.join(t.runtimes)} | {files} |"
        )
    return "\n".join(rows) + "\n"
