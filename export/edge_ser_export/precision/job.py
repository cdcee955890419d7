"""What a target's graphs are written from, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ser.emotion.sphere import Partition
from edge_ser.errors import GateError
from edge_ser.fidelity.limits import Limits
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_runtimes.engines.plan import EnginePlan

# Judges a graph as the export will: its file and the rows that may share a run -> broken limits.
Gate = Callable[[Path, int | None], list[str]]


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
    progress: Callable[[str], None] = lambda _: None
    gate: Gate = lambda _, __: []

    @property
    def speech(self) -> CalibrationSet:
        """The calibration of a target that measures."""
        assert self.calibration is not None  # targets.TARGETS says which measure
        return self.calibration


@dataclass(frozen=True)
class Lowered:
    """A graph of lower precision.

    Attributes:
        precision: of the computation, for the manifest.
        storage: of the weights.
        limits: of the gate.
        max_batch: rows that may share a run, for the manifest.
        record: evidence, for the manifest.
        sensitivity: ranking of the model's parts, for the bundle; None: not asked for.
        refusal: why it must not be shipped; None: nothing is known against it.
    """

    precision: str
    storage: str
    limits: Limits
    max_batch: int | None = None
    record: dict[str, Any] = field(default_factory=dict)
    sensitivity: dict[str, Any] | None = None
    refusal: GateError | None = None
