"""`edge-ser export`: checkpoint in, proved bundle out."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import onnx

from edge_ser.bundle import GOLDEN, PARITY, Bundle, new_bundle, seal
from edge_ser.errors import GateError, UsageError
from edge_ser.manifest import Manifest, TensorSpec
from edge_ser.session import Session
from edge_ser_export.checkpoint import DEFAULT_EPOCH, Checkpoint, load_checkpoint
from edge_ser_export.golden import make_golden
from edge_ser_export.optimize import store_half, strip_metadata
from edge_ser_export.parity import (
    FP32_LIMITS,
    Parity,
    Reference,
    parity_steps,
    reference_answers,
    run_parity,
)
from edge_ser_export.trace import OPSET, trace

Target = Literal["onnx-fp32"]
TARGETS: tuple[str, ...] = get_args(Target)
GRAPH = "model.onnx"
_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "numpy")
# Steps besides those of the parity run.
_STEPS = 4

OpenSession = Callable[[Bundle], Session]
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
    keep_failed: bool = False
    command: str = "edge-ser export"


@dataclass(frozen=True)
class Exported:
    """A written bundle."""

    path: Path
    manifest: Manifest
    parity: Parity


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
    if options.target not in TARGETS:
        raise UsageError("--target", expected=f"one of {', '.join(TARGETS)}", found=options.target)
    if options.out is not None and options.out.suffix == ".zip":
        raise UsageError(
            "--out",
            expected="a directory",
            found=str(options.out),
            advice="export to a directory, then zip it: bundles are read from both",
        )
    progress("loading the checkpoint")
    checkpoint = load_checkpoint(options.source, options.epoch, options.neutral_radius)
    out = options.out or Path(f"{checkpoint.name}-{options.target}")
    config = checkpoint.config
    preprocessing = config.preprocessing(options.max_seconds, options.short)
    partition = config.partition
    speech = list(options.speech)
    with new_bundle(out) as work:
        progress("tracing")
        graph = work / GRAPH
        trace(checkpoint.model, graph, preprocessing.max_samples, preprocessing.min_samples)
        progress("optimising")
        storage = _finish_graph(graph, checkpoint.half)
        progress("recording the reference's answers")
        reference = Reference(checkpoint.model)
        make_golden(reference, preprocessing, speech).save(work / GOLDEN)
        manifest = Manifest(
            name=checkpoint.name,
            family=config.family,
            architecture=_architecture(checkpoint),
            target=options.target,
            precision="fp32",
            weight_storage=storage,
            opset=OPSET,
            graph=GRAPH,
            inputs=(
                TensorSpec("samples", "float32", ("batch", "n")),
                TensorSpec("lengths", "int64", ("batch",)),
            ),
            outputs=_outputs(config.region_count),
            preprocessing=preprocessing,
            partition=partition,
            limits=FP32_LIMITS,
            licence=config.weights_licence,
            provenance=_provenance(checkpoint, options),
        )
        expected = reference_answers(reference, preprocessing, speech, progress)
        # a large model must not lie in memory twice while the candidate runs
        checkpoint.release()
        gc.collect()
        session = open_session(Bundle(work, manifest))
        parity = run_parity(expected, session, partition, FP32_LIMITS, progress)
        (work / PARITY).write_text(json.dumps(parity.to_dict(), indent=1) + "\n")
        manifest = seal(work, replace(manifest, parity=parity.summary()))
        if not parity.passed and not options.keep_failed:
            raise _gate_error(out, parity, "no bundle was written")
    if not parity.passed:
        raise _gate_error(out, parity, "the bundle was kept as asked; do not ship it")
    return Exported(out, manifest, parity)


def export_steps(options: ExportOptions) -> int:
    """How often `export` reports progress."""
    return _STEPS + parity_steps(options.speech)


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
    epoch = DEFAULT_EPOCH if options.epoch is None else options.epoch
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
            "epoch": epoch if checkpoint.kind == "emosphere-run" else None,
            "neutral_radius": options.neutral_radius,
            "max_seconds": options.max_seconds,
            "short": options.short,
            "speech": [p.name for p in options.speech][:16],
        },
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
