"""`edge-ser inspect`."""

from __future__ import annotations

import argparse
from typing import Any

from edge_ser.bundle import provenance
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.check import check_bom, read_document
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.evidence import Lowering
from edge_ser.bundle.files import CARD, MANIFEST
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import CheckpointOrigin, Row
from edge_ser.bundle.score_reference import recorded_reference
from edge_ser.bundle.trust import UNASKED
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import SignatureError
from edge_ser.printable import printable


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "inspect",
        help="show what a bundle is and where it came from",
        description="Verify a bundle's files and print its manifest, for people or as JSON.",
    )
    parser.add_argument(
        "bundle", nargs="?", default=DEFAULT_BUNDLE, metavar="BUNDLE",
        help="directory or .zip (default: the default model)",
    )  # fmt: skip
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print the manifest itself")
    shown.add_argument("--card", action="store_true", help="print the model card in the bundle")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    bundle = Bundle.open(arguments.bundle, UNASKED)
    bundle.manifest.check_evidence()
    check_bom(bundle)
    if arguments.card:
        # foreign text of several lines: none of them may be obeyed by a terminal
        card = read_document(bundle, CARD).decode(errors="replace")
        print("\n".join(printable(line) for line in card.splitlines()))
        return 0
    if arguments.json:
        print(bundle.read(MANIFEST).decode(), end="")
        return 0
    m = bundle.manifest
    p = m.preprocessing
    normalization = "per utterance to zero mean, unit variance"
    if p.normalization == "corpus":
        normalization = f"(x - {p.mean:.6g}) / ({p.std:.6g} + {p.eps:g})"
    parity = m.parity
    proof = "none"
    if parity is not None:
        verdict = "passed" if parity.passed else "FAILED"
        proof = f"{verdict}, {parity.utterances} runs, {parity.differences}"
    origin = m.provenance
    checkpoint = origin.checkpoint
    rows = [
        ("name", m.name),
        ("fingerprint", bundle.fingerprint),
        ("signature", _signature(bundle)),
        ("model", m.architecture.get("summary", m.family)),
        ("target", f"{m.target}, computed in {m.precision}, weights stored as {m.weight_storage}"),
        ("graph", f"{m.graph}, opset {m.opset}"),
        ("inputs", "; ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in m.inputs)),
        ("outputs", "; ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in m.outputs)),
        (
            "audio",
            f"{p.sample_rate} Hz mono, {p.min_samples} to {p.max_samples} samples, "
            f"shorter: {p.short}",
        ),
        *_sound(m),
        ("normalisation", normalization),
        *_classes(m),
        *_scores(bundle),
        ("parity", proof),
        *provenance.elsewhere(m.parity),
        ("limits", _limits(m)),
        *_lowered(m.lowered),
        *_engine(m.engine),
        ("licence", f"{m.licence} (of the weights)"),
        ("checkpoint", f"{checkpoint.kind}, sha256 {str(checkpoint.sha256)[:16]}..."),
        *_repository(checkpoint),
        *(("assumed", note) for note in checkpoint.assumed),
        ("made by", origin.made_by),
        *([("made at", origin.date)] if origin.date else []),
        ("with", origin.made_with),
    ]
    for name, value in rows:
        print(f"{name:<14} {value}")
    for entry in m.files:
        print(f"{'file':<14} {entry.path:<22} {entry.bytes:>12,} bytes  {entry.sha256[:16]}...")
    print(f"{'total':<14} {bundle.size_bytes / 1e6:.2f} MB, all files as recorded")
    return 0


def _signature(bundle: Bundle) -> str:
    """Who says that they signed it; whether they did, only `edge-ser verify` tells."""
    try:
        signature = bundle.signature()
    except SignatureError as error:
        return f"not readable: expected {error.expected}, found {error.found}"
    if signature is None:
        return "none"
    signer = f"by the key {signature.key_id}" if signature.key_id else "by a key it does not name"
    return f"{signer}, not checked (edge-ser verify --trusted-key PUB.pem checks it)"


def _sound(m: Manifest) -> list[Row]:
    """From where on a recording is poor, where the bundle says it."""
    limits = m.sound
    if limits is None:
        return []
    return [("poor below", f"{limits.min_speech:.0%} speech, {limits.quiet_dbfs:g} dBFS")]


def _scores(bundle: Bundle) -> list[Row]:
    """What the scores mean, where the bundle tells it."""
    reference = recorded_reference(bundle)
    if reference is None:
        return []
    return [("scores", reference.words_of(bundle.manifest.files))]


def _limits(m: Manifest) -> str:
    if not m.has_dimensions:
        return f"probabilities {m.limits.vad:g}"
    return f"VAD {m.limits.vad:g} on 0..1, logits {m.limits.region_logits:g}"


def _repository(checkpoint: CheckpointOrigin) -> list[Row]:
    if checkpoint.repository is None:
        return []
    return [("repository", f"{checkpoint.repository} at {checkpoint.commit}")]


def _classes(m: Manifest) -> list[Row]:
    """What the model tells apart."""
    named = []
    if m.has_dimensions:
        named.append(("regions", [str(r) for r in m.partition.regions]))
    if m.categories:
        named.append(("categories", list(m.categories)))
    return [
        (kind, f"{len(names)}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}")
        for kind, names in named
    ]


def _lowered(lowered: Lowering | None) -> list[Row]:
    """How precision was lowered, the evidence, and the graph before and after."""
    if lowered is None:
        return []
    rows = []
    if lowered.recipe is not None:
        rows.append(("recipe", lowered.recipe))
    if lowered.cpu is not None:
        rows.append(("made for", f"{lowered.cpu.name}: {lowered.cpu.instructions}"))
    if lowered.integer_share is not None:
        rows.append(("in integers", f"{_percent(lowered.integer_share.encoder)} of the encoder"))
    speed = provenance.speed(lowered)
    if speed:
        rows.append(("speed", speed))
    calibration = lowered.calibration
    if calibration is not None:
        rows.append(
            (
                "calibration",
                f"{calibration.fit} utterances of "
                f"{', '.join((str(calibration.source), *calibration.splits))}, "
                f"fingerprint {str(calibration.fingerprint)[:16]}...",
            )
        )
    for moment, graph in (lowered.graph or {}).items():
        counts = graph.operators
        frequent = ", ".join(f"{n} {name}" for name, n in list(counts.items())[:8])
        nodes = sum(counts.values())
        rows.append((f"graph {moment}", f"{graph.bytes:,} bytes, {nodes} nodes: {frequent}, ..."
                     if graph.bytes is not None else "unknown"))  # fmt: skip
    return rows


def _engine(engine: Engine | None) -> list[Row]:
    """The TensorRT engine: what it is for, and what is known about it."""
    if engine is None:
        return []
    profiles = "; ".join(str(p) for p in engine.profiles)
    rows = [("profiles", profiles), ("typed graph", engine.graph)]
    if engine.share:
        kinds = ", ".join(f"{k} {_percent(v)}" for k, v in engine.census.encoder.items())
        rows.append(("as asked", f"{_percent(engine.share)} of the encoder ({kinds})"))
    made_for = f"{engine.precision} for {engine.made_for}, {engine.library}"
    if not engine.file:
        return [("engine", f"not built yet, {made_for}; on the device: edge-ser build"), *rows]
    memory = f"{engine.activation_bytes / 1e6:.0f} MB of activations at the largest shapes"
    verdict = "gave the recorded answers there" if engine.verified else "not run yet"
    return [
        ("engine", f"{engine.file}, {made_for} {engine.version}, {verdict}"),
        ("engine memory", f"{engine.weight_bytes / 1e6:.1f} MB of weights, {memory}"),
        *rows,
    ]


def _percent(share: float | None) -> str:
    return str(share) if share is None else f"{share:.1%}"
