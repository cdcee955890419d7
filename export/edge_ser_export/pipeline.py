"""`edge-ser export`: checkpoint in, proved bundle out."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ser.bundle.bundle import (
    GOLDEN,
    PARITY,
    SENSITIVITY,
    Bundle,
    check_new_bundle,
    new_bundle,
    seal,
)
from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import GateError, UsageError
from edge_ser.session import Session
from edge_ser.verify import verify
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.calibration.draw import CalibrationSet, draw
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.rewrite import store_half, strip_metadata
from edge_ser_export.graph.run import Samples
from edge_ser_export.memory import release_memory
from edge_ser_export.precision.lower import Lowered, PrecisionOptions, lower
from edge_ser_export.proof.golden import make_golden
from edge_ser_export.proof.parity import (
    FP32_LIMITS,
    Parity,
    Reference,
    answer_speech,
    parity_steps,
    reference_answers,
    run_parity,
)
from edge_ser_export.proof.runtime import OpenSession, check_runtimes, prove_in_openvino
from edge_ser_export.proof.speech import ProofSpeech
from edge_ser_export.tensorrt.typed import write_graphs
from edge_ser_export.trace.capture import OPSET, trace
from edge_ser_runtimes.engines.plan import (
    EngineOptions,
    plan_engine,
    write_engine,
)
from edge_ser_runtimes.engines.profiles import read_profiles

Target = Literal[
    "onnx-fp32", "onnx-fp16", "onnx-int8", "trt-fp32", "trt-fp16", "trt-bf16", "trt-int8", "trt-fp8"
]
TARGETS: tuple[str, ...] = get_args(Target)
# Nothing is measured on speech for these.
_EXACT = ("onnx-fp32", "trt-fp32")
GRAPH = "model.onnx"
_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "numpy")
# Steps besides those of the parity run.
_STEPS = 4

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how.

    Attributes:
        source: checkpoint path, or the name of one inside the package.
        target: one of `TARGETS`.
        out: bundle directory; None: named after model and target, in the working directory.
        epoch: of a run directory: `best` (if None), `final` or a number.
        neutral_radius: of the neutral region, where a run directory's regions have one.
        max_seconds: longest utterance; the rest of longer audio is not used.
        short: what the bundle does with audio shorter than one frame: "refuse" or "pad".
        speech: audio for parity and the recorded answers.
        calibration: speech for lower precisions, a folder or a CSV; None: the built-in samples.
        precision: how precision is lowered.
        engine: of the targets of TensorRT: what the engine is for.
        runtimes: other runtimes to prove the bundle in: "openvino".
        keep_failed: write the bundle even when the gate fails.
        command: for the provenance.
    """

    source: str
    target: str = "onnx-fp32"
    out: Path | None = None
    epoch: str | None = None
    neutral_radius: float | None = None
    max_seconds: float = 12.0
    short: Literal["refuse", "pad"] = "refuse"
    speech: tuple[Path, ...] = ()
    calibration: Path | None = None
    precision: PrecisionOptions = field(default_factory=PrecisionOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    runtimes: tuple[str, ...] = ()
    keep_failed: bool = False
    command: str = "edge-ser export"

    def check(self) -> None:
        """Refuse what needs no checkpoint to be seen.

        Raises:
            UsageError: unknown target or option of precision, or `out` is no directory's name or
                cannot be written; a device that cannot do what is asked.
            MissingExtraError: the TensorRT or OpenVINO that is needed here is not installed, or the
                clips that calibrate where no others are given are not.
        """
        if self.target not in TARGETS:
            raise UsageError("--target", expected=f"one of {', '.join(TARGETS)}", found=self.target)
        if self.out is not None and self.out.suffix == ".zip":
            raise UsageError(
                "--out",
                expected="a directory",
                found=str(self.out),
                advice="export to a directory, then zip it: bundles are read from both",
            )
        self.precision.check()
        lowering = self.precision != PrecisionOptions()
        lowers = self.target in ("onnx-fp16", "onnx-int8")
        calibrates = self.target in _EXACT and self.calibration is not None
        if calibrates or (lowering and not lowers):
            raise UsageError(
                "options of lower precision",
                expected="--target onnx-int8 or onnx-fp16 beside them"
                if lowering
                else "a target of lower precision beside --calibration",
                found=f"--target {self.target}",
            )
        if self.runtimes:
            check_runtimes(self.runtimes, self.target, self.precision.recipe)
        if self.target.startswith("trt-"):
            plan_engine(self.target, self.engine)
        elif self.engine != EngineOptions():
            raise UsageError(
                "--device, --profile and --trt-backend",
                expected="one of the targets trt-fp32, trt-fp16, trt-bf16, trt-int8, trt-fp8",
                found=f"--target {self.target}",
            )
        if self.out is not None:
            check_new_bundle(self.out)
        if self.target not in _EXACT and self.calibration is None:
            default_calibration_samples()


@dataclass(frozen=True)
class Exported:
    """A written bundle.

    Attributes:
        path: of the bundle.
        manifest: of the bundle.
        parity: comparison with the reference.
        words: what to tell its maker about other runtimes.
        replaced: whether a bundle was there before.
    """

    path: Path
    manifest: Manifest
    parity: Parity
    words: tuple[str, ...] = ()
    replaced: bool = False


def export(
    options: ExportOptions, open_session: OpenSession, progress: Progress = lambda _: None
) -> Exported:
    """Export a checkpoint and prove the result.

    Args:
        options: what and how.
        open_session: opens the new bundle for the proof, as a device would.
        progress: called with a word per step; `export_steps` says how often.

    Raises:
        UsageError: unknown target, or `out` is something other than a bundle.
        CheckpointError: see `checkpoint.load_checkpoint`.
        GateError: the bundle does not say what the checkpoint says. Nothing is written, unless
            `keep_failed`.
    """
    options.check()
    tensorrt = options.target.startswith("trt-")
    plan = plan_engine(options.target, options.engine) if tensorrt else None
    progress("loading the checkpoint")
    checkpoint = load_checkpoint(options.source, options.epoch, options.neutral_radius)
    out = options.out or Path(f"{checkpoint.name}-{options.target}")
    config = checkpoint.config
    preprocessing = config.preprocessing(options.max_seconds, options.short)
    if plan is not None:
        read_profiles(plan.profiles, preprocessing)  # refused before the minutes of tracing
    partition = config.partition
    speech = list(options.speech)
    with new_bundle(out) as work, tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        exact = options.target == "onnx-fp32"
        scratch = Path(folder)
        reference = Reference(checkpoint.model, checkpoint.prepare)
        calibration = None
        if options.target not in _EXACT:  # before the minutes that tracing a large model takes
            progress("drawing calibration speech")
            calibration = draw(
                options.calibration, preprocessing, partition, lambda x: reference.one(x).vad[0]
            )
        progress("tracing")
        graph = (work if exact else scratch) / GRAPH
        lengths = preprocessing.max_samples, preprocessing.min_samples
        trace(checkpoint.model, graph, *lengths, doubles=plan is None)
        progress("recording the reference's answers")
        make_golden(reference, preprocessing, speech).save(work / GOLDEN)
        expected = reference_answers(reference, preprocessing, speech, progress)
        added, labels = _added(calibration, reference)
        source = ProofSpeech.of(speech, [u.path for u in calibration.judge] if calibration else [])
        architecture = _architecture(checkpoint)
        # a large model must not lie in memory twice while the candidate runs
        checkpoint.release()
        release_memory()
        lowered = Lowered("fp32", "float32", FP32_LIMITS)
        judged = work / GRAPH
        if plan is not None:
            lowered, judged = write_graphs(
                plan, graph, work, calibration, partition, scratch, progress
            )
            release_memory()
        elif calibration is not None:
            lowered = lower(
                options.target,
                graph,
                work / GRAPH,
                calibration,
                partition,
                # see check_runtimes
                replace(options.precision, recipe="static")
                if options.runtimes
                else options.precision,
                scratch,
                progress,
            )
        progress("cleaning the graph")
        for path in work.glob("*.onnx"):
            # the engine builder gets its graph typed, and as it is
            storage = _finish_graph(path, checkpoint.half and plan is None)
        if lowered.sensitivity is not None:
            (work / SENSITIVITY).write_text(json.dumps(lowered.sensitivity, indent=1) + "\n")
        manifest = Manifest(
            name=checkpoint.name,
            family=config.family,
            architecture=architecture,
            target=options.target,
            precision=lowered.precision,
            weight_storage=storage if exact else lowered.storage,
            opset=OPSET,
            graph=GRAPH,
            inputs=(
                TensorSpec("samples", "float32", ("batch", "n")),
                TensorSpec("lengths", "int64", ("batch",)),
            ),
            outputs=_outputs(config.region_count),
            preprocessing=preprocessing,
            partition=partition,
            limits=lowered.limits,
            licence=config.weights_licence,
            provenance=_provenance(checkpoint, options),
            max_batch=lowered.max_batch,
            lowered=lowered.record,
        )

        def judge(session: Session) -> Parity:
            limits = lowered.limits
            return run_parity(
                expected,
                session,
                partition,
                limits,
                progress,
                speech=added,
                labels=labels,
                source=source,
            )

        parity = judge(open_session(Bundle(judged.parent, replace(manifest, graph=judged.name))))
        (work / PARITY).write_text(json.dumps(parity.to_dict(), indent=1) + "\n")
        if not parity.passed and not options.keep_failed:
            raise _gate_error(out, parity, "no bundle was written")
        manifest = replace(manifest, parity=parity.summary())
        words = []
        if "openvino" in options.runtimes and parity.passed:
            proof = prove_in_openvino(work, manifest, judge, open_session)
            manifest = proof.manifest
            words.append(proof.words)
        if judged.parent != work and parity.passed:  # before the minutes of building
            _check_golden(Bundle(work, seal(work, manifest)), open_session)
        if plan is not None:
            release_memory()
            progress("building the engine" if plan.backend else "writing the build bundle")
            manifest = replace(manifest, engine=write_engine(plan, work, preprocessing))
        manifest = seal(work, manifest)
        replaced = out.exists()
    if not parity.passed:
        kept = "the bundle was kept as asked"
        kept = f"{kept} and replaced the one that was there" if replaced else kept
        raise _gate_error(out, parity, f"{kept}; do not ship it")
    return Exported(out, manifest, parity, tuple(words), replaced)


def _check_golden(bundle: Bundle, open_session: OpenSession) -> None:
    """What was judged is another form of the bundle's graph: that gives the answers, too."""
    limits = bundle.manifest.limits
    results = verify(bundle, open_session(bundle))
    failures = [f"{g}: {f}" for g, r in results.items() for f in r.failures(limits)]
    if failures:
        raise GateError(
            f"graph of {bundle.manifest.name}",
            expected="the recorded answers",
            found="; ".join(failures),
            advice="use a target of higher precision",
        )


def _added(
    calibration: CalibrationSet | None, reference: Reference
) -> tuple[list[tuple[str, Samples, Outputs]], NDArray[np.float64] | None]:
    """Speech to judge a lower precision on, with the reference's answers, and labels if it has."""
    if calibration is None:
        return [], None
    files = [u.path for u in calibration.judge]
    added = answer_speech(reference, calibration.preprocessing, files)
    scores = [u.scores for u in calibration.judge]
    if any(s is None for s in scores):
        return added, None
    return added, np.array(scores, np.float64)


def export_steps(options: ExportOptions) -> int | None:
    """How often `export` reports progress; None where the search for a recipe decides."""
    if options.target == "onnx-fp32":
        return _STEPS + parity_steps(options.speech)
    return None


def _finish_graph(path: Path, half: bool) -> str:
    """Clean the traced file, which stays where it is; returns the type of the stored weights."""
    # weights in a file of their own stay there untouched: only the small graph is rewritten
    model = onnx.load(path, load_external_data=False)
    strip_metadata(model)
    stored = half and store_half(model)
    onnx.save(model, path)
    return "float16" if stored else "float32"


def _gate_error(out: Path, parity: Parity, outcome: str) -> GateError:
    worst = parity.worst
    off = "no answer" if worst["vad_max"] is None else f"VAD off by {worst['vad_max']:.2e}"
    return GateError(
        f"parity gate of {out.name}",
        expected="the checkpoint's answers",
        found=f"{'; '.join(parity.failures)}; worst utterance: {worst['name']} "
        f"({worst['group']}, {off})",
        advice=outcome,
    )


def _outputs(regions: int) -> tuple[TensorSpec, ...]:
    vad = TensorSpec("vad", "float32", ("batch", 3))
    if not regions:
        return (vad,)
    return vad, TensorSpec("region_logits", "float32", ("batch", regions))


def _architecture(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.config
    e = config.encoder
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    head = f", {config.region_count} regions" if config.region_count else ", no region head"
    return {
        "summary": f"{e.kind} encoder ({e.num_hidden_layers} layers of {e.hidden_size}), "
        f"{config.pooling} pooling{head}, {parameters / 1e6:.1f} M parameters",
        "parameters": parameters,
        "config": config.to_dict(),
    }


def _provenance(checkpoint: Checkpoint, options: ExportOptions) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("edge-ser", *_PACKAGES)}
    return {
        "checkpoint": {
            "kind": checkpoint.kind,
            "sha256": checkpoint.sha256,
            "assumed": list(checkpoint.notes),
        },
        "command": options.command,
        # names only: a path of the exporting machine is nobody's business on the device
        "options": {
            "target": options.target,
            "epoch": checkpoint.epoch,
            "neutral_radius": options.neutral_radius,
            "max_seconds": options.max_seconds,
            "short": options.short,
            "speech": [p.name for p in options.speech][:16],
        },
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
