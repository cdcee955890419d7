"""What can be exported to: a target is described here, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.limits import LIMITS, Limits
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.precision.int8 import Gate
from edge_ser_export.precision.lower import Lowered, PrecisionOptions, lower
from edge_ser_export.tensorrt.typed import write_graphs
from edge_ser_runtimes.engines.build import ENGINE
from edge_ser_runtimes.engines.plan import GRAPH, TYPED, EnginePlan


@dataclass(frozen=True)
class Lowering:
    """What a graph of the target's precision is written from.

    Attributes:
        target: its name.
        traced: float32 graph with the exporter's metadata.
        folder: of the bundle.
        scratch: folder for what is tried.
        calibration: speech to measure and judge on; None where nothing is measured.
        partition: regions of the model.
        options: how precision is lowered.
        plan: of the engine; None where there is none.
        progress: called with a word per step.
        gate: judges a graph as the export will, before one is chosen.
    """

    target: str
    traced: Path
    folder: Path
    scratch: Path
    calibration: CalibrationSet | None
    partition: Partition
    options: PrecisionOptions
    plan: EnginePlan | None
    progress: Callable[[str], None]
    gate: Gate


# Writes the graphs of a bundle; what the manifest says of them, and the one that the gate judges.
Lower = Callable[[Lowering], tuple[Lowered, Path]]


def _as_traced(job: Lowering) -> tuple[Lowered, Path]:
    return Lowered("fp32", "float32", LIMITS["fp32"]), job.traced


def _for_cpus(job: Lowering) -> tuple[Lowered, Path]:
    assert job.calibration is not None  # the table says that these targets measure
    out = job.folder / GRAPH
    lowered = lower(
        job.target, job.traced, out, job.calibration, job.partition, job.options, job.scratch,
        job.progress, job.gate,
    )  # fmt: skip
    return lowered, out


def _for_tensorrt(job: Lowering) -> tuple[Lowered, Path]:
    assert job.plan is not None  # the table says that these targets have an engine
    return write_graphs(
        job.plan, job.traced, job.folder, job.calibration, job.partition, job.scratch, job.progress
    )


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
        runtimes: names in the registry of runtimes, the one that it is made for first.
        artefacts: files that run; an engine is missing in a bundle that its device has yet to
            finish.
        lower: writes the graphs.
        measures: whether ranges are measured on calibration speech.
        tunable: whether `PrecisionOptions` are about it.
    """

    name: str
    precision: str
    words: str
    runtimes: tuple[str, ...]
    artefacts: tuple[Artefact, ...]
    lower: Lower
    measures: bool = True
    tunable: bool = False

    @property
    def limits(self) -> Limits:
        """Of the gate."""
        return LIMITS[self.precision]

    @property
    def has_engine(self) -> bool:
        """Whether a TensorRT engine is built, for devices that have to be named."""
        return any(a.format == "engine" for a in self.artefacts)

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
_CPUS, _GPUS = ("onnx", "openvino"), ("trt", "onnx")

# bfloat16 and 8-bit floats have no kernels on CPUs: those bundles hold a form that a CPU runs, too.
TARGETS = {
    t.name: t
    for t in (
        Target("onnx-fp32", "fp32", "any machine", _CPUS, (_GRAPH,), _as_traced, measures=False),
        Target("onnx-fp16", "fp16", "half the file", _CPUS, (_GRAPH,), _for_cpus, tunable=True),
        Target("onnx-int8", "int8", "CPUs, the fastest", _CPUS, (_GRAPH,), _for_cpus, tunable=True),
        Target("trt-fp32", "fp32", "NVIDIA GPUs", _GPUS, (_GRAPH, _ENGINE), _for_tensorrt,
               measures=False),
        Target("trt-fp16", "fp16", "NVIDIA GPUs", _GPUS, (_GRAPH, _ENGINE), _for_tensorrt),
        Target("trt-bf16", "bf16", "NVIDIA GPUs", _GPUS, (_GRAPH, _TYPED, _ENGINE), _for_tensorrt),
        Target("trt-int8", "int8", "NVIDIA GPUs", _GPUS, (_GRAPH, _ENGINE), _for_tensorrt),
        Target("trt-fp8", "fp8", "NVIDIA GPUs", _GPUS, (_GRAPH, _TYPED, _ENGINE), _for_tensorrt),
    )
}  # fmt: skip


def find_target(name: str) -> Target:
    """A target by its name.

    Raises:
        UsageError: there is none.
    """
    if name not in TARGETS:
        raise UsageError("--target", expected=f"one of {', '.join(TARGETS)}", found=name)
    return TARGETS[name]


def names_where(holds: Callable[[Target], bool]) -> list[str]:
    """Names of some targets, for messages."""
    return [t.name for t in TARGETS.values() if holds(t)]


def target_table() -> str:
    """The targets as a Markdown table, as the README has it."""
    rows = ["| `--target` | precision | for | runtimes | files |", "|---|---|---|---|---|"]
    for t in TARGETS.values():
        files = ", ".join(f"`{a.path}`" for a in t.artefacts)
        rows.append(
            f"| `{t.name}` | {t.precision} | {t.words} | {', '.join(t.runtimes)} | {files} |"
        )
    return "\n".join(rows) + "\n"
