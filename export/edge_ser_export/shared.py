"""What all targets of an export share, and is therefore made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.audio import Preprocessing
from edge_ser_export.calibration.classes import classes_of
from edge_ser_export.calibration.draw import CalibrationSet, draw
from edge_ser_export.calibration.enough import judge_enough
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.contents import describe_architecture
from edge_ser_export.memory import release_memory
from edge_ser_export.options import ExportOptions
from edge_ser_export.proof.evidence import Evidence, ask_reference
from edge_ser_export.proof.reference import Reference
from edge_ser_export.targets import Target, find_target
from edge_ser_export.trace.capture import trace
from edge_ser_runtimes.engines.plan import GRAPH


@dataclass(frozen=True)
class Shared:
    """A checkpoint, traced, and with its answers known: its weights are gone from memory.

    Attributes:
        checkpoint: as loaded.
        preprocessing: of the model.
        architecture: see `contents.describe_architecture`.
        traced: float32 graphs with the exporter's metadata, each in a folder of its own, by
            whether they are for engines: TensorRT has no float64.
        evidence: what a candidate is judged on.
        calibration: speech to lower precision with; None where no target measures.
        measured: the evidence of targets that measure; None where there are none.
        alone: whether there is one target only.
    """

    checkpoint: Checkpoint
    preprocessing: Preprocessing
    architecture: dict[str, Any]
    traced: dict[bool, Path]
    evidence: Evidence
    calibration: CalibrationSet | None = None
    measured: Evidence | None = None
    alone: bool = True

    def evidence_of(self, target: Target) -> Evidence:
        """What a target's candidates are judged on."""
        if not target.measures:
            return self.evidence
        assert self.measured is not None  # `share` knew of the target
        return self.measured

    def calibration_of(self, target: Target) -> CalibrationSet | None:
        """Speech to lower precision with; None for targets that measure nothing."""
        return self.calibration if target.measures else None

    def hand_over(self, target: Target, folder: Path) -> Path:
        """The traced graph for a target: in the bundle's folder if that is its own graph."""
        traced = self.traced[target.has_engine]
        if not target.in_place:
            return traced
        for path in traced.parent.glob(f"{traced.name}*"):  # and its weights
            shutil.move(path, folder) if self.alone else shutil.copy(path, folder)
        return folder / traced.name

    def tidy(self, target: Target) -> None:
        """Remove what was tried beside a target's traced graph."""
        traced = self.traced[target.has_engine]
        for path in traced.parent.iterdir():
            if not path.name.startswith(traced.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def share(
    checkpoint: Checkpoint,
    preprocessing: Preprocessing,
    several: Sequence[ExportOptions],
    folder: Path,
    progress: Callable[[str], None],
) -> Shared:
    """Trace a checkpoint, ask it for all answers, and give its weights back.

    Args:
        checkpoint: as loaded.
        preprocessing: of the model.
        several: options of each target, which differ in what is about the target alone.
        folder: for traced graphs.
        progress: called with a word per step.

    Raises:
        DataError, AudioError: of the speech.
        CheckpointError: answers that are not on 0..1.
    """
    reference = Reference(checkpoint.model, checkpoint.prepare)
    targets = [find_target(options.target) for options in several]
    measuring = [o for o, target in zip(several, targets, strict=True) if target.measures]
    # before the minutes that tracing a large model takes
    calibration = _draw(measuring[0], reference, preprocessing, progress) if measuring else None
    traced = {}
    for for_engines in sorted({target.has_engine for target in targets}):
        progress("tracing")
        graph = folder / ("engines" if for_engines else "cpus") / GRAPH
        graph.parent.mkdir()
        trace(
            checkpoint.model, graph, preprocessing.max_samples, preprocessing.min_samples,
            doubles=not for_engines,
        )  # fmt: skip
        traced[for_engines] = graph
    progress("recording the reference's answers")
    given = several[0].speech
    evidence = ask_reference(reference, preprocessing, given, progress)
    measured = None
    if calibration is not None:
        measured = evidence.judged_on(calibration, given, reference, preprocessing)
    architecture = describe_architecture(checkpoint)
    # a large model must not lie in memory twice while a candidate runs
    checkpoint.release()
    release_memory()
    return Shared(
        checkpoint, preprocessing, architecture, traced, evidence, calibration, measured,
        alone=len(several) == 1,
    )  # fmt: skip


def _draw(
    options: ExportOptions,
    reference: Reference,
    preprocessing: Preprocessing,
    progress: Callable[[str], None],
) -> CalibrationSet:
    progress("drawing calibration speech")
    config = reference.model.config
    classes = classes_of(config.heads, config.partition)
    drawn = draw(
        options.calibration,
        preprocessing,
        classes,
        lambda x: reference.one(x).arrays[classes.output][0],
        audio=options.calibration_audio,
        split=options.calibration_split,
    )
    return judge_enough(drawn, classes)
