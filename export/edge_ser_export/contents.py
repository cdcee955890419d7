"""What the manifest of a new bundle says."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict
from typing import Any

from edge_ser.audio import Preprocessing
from edge_ser.audio.sound import SoundLimits
from edge_ser.bundle.evidence import Lowering
from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance, made_now
from edge_ser_export.builtin import trained_on
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.command import place_name, spell_command
from edge_ser_export.models.encoders import find_encoder
from edge_ser_export.options import ExportOptions
from edge_ser_export.precision.job import Lowered
from edge_ser_export.proof.cases import used_files
from edge_ser_export.targets import find_target
from edge_ser_export.trace.capture import OPSET
from edge_ser_runtimes.engines.plan import GRAPH

_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "numpy")


def describe_bundle(
    checkpoint: Checkpoint,
    options: ExportOptions,
    preprocessing: Preprocessing,
    lowered: Lowered,
    architecture: dict[str, Any],
) -> Manifest:
    """The manifest before the proof.

    Args:
        checkpoint: that is exported; its weights may be gone.
        options: as asked.
        preprocessing: of the model.
        lowered: what became of the graph.
        architecture: see `describe_architecture`.
    """
    config = checkpoint.config
    heads = config.heads
    licence = None if checkpoint.origin is None else checkpoint.origin.licence
    return Manifest(
        name=checkpoint.name,
        family=config.family,
        architecture=architecture,
        target=options.target,
        precision=lowered.precision,
        weight_storage=lowered.storage,
        opset=OPSET,
        graph=GRAPH,
        inputs=(
            TensorSpec("samples", "float32", ("batch", "n")),
            TensorSpec("lengths", "int64", ("batch",)),
        ),
        outputs=tuple(TensorSpec(h.output, "float32", ("batch", len(h.names))) for h in heads),
        heads=heads,
        preprocessing=preprocessing,
        partition=config.partition,
        limits=lowered.limits,
        licence=options.licence or licence or config.weights_licence,
        max_batch=lowered.max_batch or find_encoder(config.encoder.kind).max_batch,
        sound=None if options.min_speech is None else SoundLimits(min_speech=options.min_speech),
    ).with_parts(
        provenance=_provenance(checkpoint, options),
        lowered=Lowering.from_dict(lowered.record) if lowered.record else None,
    )


def describe_architecture(checkpoint: Checkpoint) -> dict[str, Any]:
    """One line for people, the number of parameters, and the configuration it was built from."""
    config = checkpoint.config
    e = config.encoder
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    head = f", {config.region_count} regions" if config.region_count else ", no region head"
    if config.categories:
        head = f", {len(config.categories)} categories"
    return {
        "summary": f"{e.kind} encoder ({e.num_hidden_layers} layers of {e.hidden_size}), "
        f"{config.pooling} pooling{head}, {parameters / 1e6:.1f} M parameters",
        "parameters": parameters,
        "config": config.to_dict(),
    }


def _provenance(checkpoint: Checkpoint, options: ExportOptions) -> Provenance:
    versions = {name: importlib.metadata.version(name) for name in ("edge-ser", *_PACKAGES)}
    return Provenance(
        checkpoint=CheckpointOrigin(
            checkpoint.kind,
            checkpoint.sha256,
            tuple(checkpoint.notes),
            trained_on(options.source),
            None if checkpoint.origin is None else checkpoint.origin.repository,
            None if checkpoint.origin is None else checkpoint.origin.commit,
        ),
        command=spell_command(options),
        options=_describe_options(checkpoint, options),
        versions=versions,
        python=platform.python_version(),
        machine=platform.machine(),
        date=made_now(),
    )


def _describe_options(checkpoint: Checkpoint, options: ExportOptions) -> dict[str, Any]:
    """What was asked, and which files were used.

    Names only: a path of the exporting machine is nobody's business on the device.
    """
    target = find_target(options.target)
    paths = {
        "calibration": options.calibration,
        "audio": options.calibration_audio,
    }
    speech = [place_name(path) for path in options.parity_audio]
    return {
        "target": options.target,
        "epoch": checkpoint.epoch,
        "neutral_radius": options.neutral_radius,
        "max_seconds": options.max_seconds,
        **({} if options.min_speech is None else {"min_speech": options.min_speech}),
        "short": options.short,
        **{name: place_name(path) for name, path in paths.items() if path is not None},
        **({"parity_audio": ", ".join(speech)} if speech else {}),
        **({} if options.calibration_split is None else {"split": options.calibration_split}),
        **({"precision": asdict(options.precision)} if target.tunable else {}),
        **({"engine": asdict(options.engine)} if target.has_engine else {}),
        "runtimes": list(options.runtimes),
        "speech": [p.name for p in used_files(options.speech)],
        "speech_given": len(options.speech),
    }
