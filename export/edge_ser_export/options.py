"""What a user asks `edge-ser export` for, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edge_ser.audio import Preprocessing
from edge_ser.bundle.files import MANIFEST
from edge_ser.bundle.provenance import made_now
from edge_ser.bundle.target_kind import kind_of
from edge_ser.bundle.writing import check_new_bundle
from edge_ser.errors import UsageError
from edge_ser_export.builtin import default_calibration_samples, existing_checkpoint
from edge_ser_export.calibration.sources import list_candidates
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_export.precision.recipes import find_cpu
from edge_ser_export.proof.provable import check_runtimes
from edge_ser_export.targets import DEFAULT_TARGET, Target, find_target, names_where
from edge_ser_runtimes.engines.plan import EngineOptions, plan_engine
from edge_ser_runtimes.engines.profiles import read_profiles
from edge_ser_runtimes.registry import RUNTIMES


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how.

    Attributes:
        source: checkpoint path, or the name of one inside the package.
        target: one of `targets.TARGETS`.
        out: bundle directory; None: named after model and target, in the working directory.
        name: of the bundle; None: the checkpoint's.
        licence: of the weights; None: what is known of the kind of checkpoint.
        epoch: of a run directory: `best` (if None), `final` or a number.
        neutral_radius: of the neutral region, where a run directory's regions have one.
        max_seconds: longest utterance; the rest of longer audio is not used.
        min_speech: share of the time below which recordings have hardly any speech for this model,
            0..1; None: the usual limit.
        short: what the bundle does with audio shorter than one frame: "refuse" or "pad".
        speech: audio for parity and the recorded answers.
        parity_audio: files and folders that `speech` is from, for the provenance; empty: the
            package's.
        calibration: speech for lower precisions, a folder, a CSV or a corpus; None: the built-in
            samples.
        calibration_audio: folder of a table's files; None: as `label_table.find_corpus` finds it.
        calibration_split: of a table; None: all but those for testing.
        precision: how precision is lowered.
        engine: of the targets of TensorRT: what the engine is for.
        runtimes: others to prove the bundle in: names of `registry.proving_runtimes`.
        keep_failed: write the bundle even when the gate fails.
    """

    source: str
    target: str = DEFAULT_TARGET
    out: Path | None = None
    name: str | None = None
    licence: str | None = None
    epoch: str | None = None
    neutral_radius: float | None = None
    max_seconds: float = 12.0
    min_speech: float | None = None
    short: Literal["refuse", "pad"] = "refuse"
    speech: tuple[Path, ...] = ()
    parity_audio: tuple[Path, ...] = ()
    calibration: Path | None = None
    calibration_audio: Path | None = None
    calibration_split: str | None = None
    precision: PrecisionOptions = field(default_factory=PrecisionOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    runtimes: tuple[str, ...] = ()
    keep_failed: bool = False

    @property
    def lowering(self) -> PrecisionOptions:
        """How precision is lowered; a runtime beside ONNX Runtime may decide about the recipe."""
        constant = any(RUNTIMES[name].constant_scales for name in self.runtimes)
        return replace(self.precision, recipe="static") if constant else self.precision

    def check(self) -> None:
        """Refuse what needs no checkpoint to be read; this takes no torch.

        Raises:
            MissingPathError: no such checkpoint or calibration speech.
            CheckpointError: the source can be no checkpoint.
            DataError: no calibration speech in what was named for it.
            UsageError: unknown target or option of precision, or `out` is no directory's name or
                cannot be written; a `SOURCE_DATE_EPOCH` that is no date; a device that
                cannot do what is asked.
            MissingExtraError: the TensorRT or other runtime that is needed here is not installed,
                or the clips that calibrate where no others are given are not.
        """
        target = find_target(self.target)
        if self.out is not None and self.out.suffix == ".zip":
            raise UsageError(
                "--out",
                expected="a directory",
                found=str(self.out),
                advice="export to a directory, then zip it: bundles are read from both",
            )
        made_now()
        for option, text in (("--name", self.name), ("--licence", self.licence)):
            if text is not None and (not text.isprintable() or not text.strip()):
                raise UsageError(option, expected="printable text", found=repr(text))
        if self.name is not None and Path(self.name).name != self.name:
            raise UsageError(
                "--name",
                expected="a name",
                found=f"a path, {self.name}",
                advice="say with -o where the bundle goes",
            )
        if self.min_speech is not None and not 0 <= self.min_speech <= 1:
            raise UsageError(
                "--min-speech", expected="a share, 0 to 1", found=f"{self.min_speech:g}"
            )
        self.precision.check()
        if target.name == "onnx-int8":
            find_cpu(self.precision.cpu)
        self._check_lowering(target)
        if self.runtimes:
            check_runtimes(self.runtimes, target, self.precision.recipe)
        rules = Preprocessing(max_seconds=self.max_seconds, short=self.short)
        if target.has_engine:
            plan_engine(target.precision, self.engine)
            read_profiles(self.engine.profiles, rules)
        elif self.engine != EngineOptions():
            raise UsageError(
                "--device, --profile and --trt-backend",
                expected=f"one of the targets {', '.join(names_where(lambda t: t.has_engine))}",
                found=f"--target {self.target}",
            )
        if self.out is not None:
            check_new_bundle(self.out)
        if self.calibration is None and (self.calibration_audio or self.calibration_split):
            raise UsageError(
                "--audio and --split", expected="--calibration beside them", found="none"
            )
        if target.measures:
            speech = self.calibration or default_calibration_samples()
            list_candidates(speech, self.calibration_audio, self.calibration_split)
        existing_checkpoint(self.source, self.epoch)

    def _check_lowering(self, target: Target) -> None:
        """Refuse options that the target has no use for."""
        lowering = self.precision != PrecisionOptions()
        tunable = " or ".join(reversed(names_where(lambda t: t.tunable)))
        if (self.calibration is not None and not target.measures) or (
            lowering and not target.tunable
        ):
            raise UsageError(
                "options of lower precision",
                expected=f"--target {tunable} beside them"
                if lowering
                else "a target of lower precision beside --calibration",
                found=f"--target {self.target}",
            )


def for_targets(options: ExportOptions, names: Sequence[str]) -> list[ExportOptions]:
    """The options of each of several targets, without what is about others of them alone.

    What none of them has a use for stays, and is refused as of a single target.

    Args:
        options: as asked; of several targets, `out` is the folder that holds a bundle of each.
        names: of targets; one that is named twice is meant once.

    Raises:
        UsageError: an unknown target, or `out` is a bundle itself.
    """
    targets = [find_target(name) for name in dict.fromkeys(names)]
    if len(targets) == 1:
        return [replace(options, target=targets[0].name)]
    if options.out is not None and (options.out / MANIFEST).exists():
        raise UsageError(
            "--out",
            expected="a folder for a bundle of each target",
            found=f"a bundle, {options.out}",
            advice="choose another -o",
        )
    return [_for_one(options, target, targets) for target in targets]


def _for_one(options: ExportOptions, target: Target, targets: list[Target]) -> ExportOptions:
    own = replace(options, target=target.name)
    if options.out is not None:
        own = replace(own, out=options.out / target.name)
    if not target.measures and any(t.measures for t in targets):
        own = replace(own, calibration=None, calibration_audio=None, calibration_split=None)
    if not target.tunable and any(t.tunable for t in targets):
        own = replace(own, precision=PrecisionOptions())
    if not target.has_engine and any(t.has_engine for t in targets):
        own = replace(own, engine=EngineOptions())
    kinds = {kind_of(t.name) for t in targets}

    def is_anothers(runtime: str) -> bool:
        runs = RUNTIMES[runtime].kinds if runtime in RUNTIMES else ()
        return kind_of(target.name) not in runs and not kinds.isdisjoint(runs)

    return replace(own, runtimes=tuple(r for r in options.runtimes if not is_anothers(r)))
