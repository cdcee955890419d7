"""`edge-ser inspect`."""

from __future__ import annotations

import argparse
from typing import Any

from edge_ser.bundle import provenance
from edge_ser.bundle.bundle import MANIFEST, Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import brief, table
from edge_ser.data import DEFAULT_BUNDLE


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "inspect",
        help="show what a bundle is and where it came from",
        description="Verify a bundle's files and print its manifest, for people or as JSON.",
    )
    parser.add_argument("bundle", nargs="?", default=DEFAULT_BUNDLE, metavar="BUNDLE")
    parser.add_argument("--json", action="store_true", help="print the manifest itself")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    bundle = Bundle.open(arguments.bundle)
    if arguments.json:
        print((bundle.root / MANIFEST).read_text(encoding="utf-8"), end="")
        return 0
    m = bundle.manifest
    p = m.preprocessing
    normalization = "per utterance to zero mean, unit variance"
    if p.normalization == "corpus":
        normalization = f"(x - {p.mean:.6g}) / ({p.std:.6g} + {p.eps:g})"
    regions = m.partition.regions
    grid = f"{len(regions)}: {', '.join(str(r) for r in regions[:8])}"
    parity = m.parity
    proof = "none"
    if parity:
        verdict = "passed" if parity.get("passed") else "FAILED"
        difference = brief(parity.get("vad_max"))
        proof = f"{verdict}, {parity.get('utterances')} runs, VAD within {difference}"
    checkpoint = provenance.checkpoint(m)
    rows = [
        ("name", m.name),
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
        ("normalisation", normalization),
        ("regions", grid + (", ..." if len(regions) > 8 else "")),
        ("parity", proof),
        *provenance.elsewhere(m),
        ("limits", f"VAD {m.limits.vad:g} on 0..1, logits {m.limits.region_logits:g}"),
        *_lowered(m),
        *_engine(m.engine),
        ("licence", f"{m.licence} (of the weights)"),
        ("checkpoint", f"{checkpoint.get('kind')}, sha256 {str(checkpoint.get('sha256'))[:16]}..."),
        *(("assumed", note) for note in provenance.assumed(m)),
        ("made by", provenance.command(m)),
        ("with", provenance.versions(m)),
    ]
    for name, value in rows:
        print(f"{name:<14} {value}")
    for entry in m.files:
        print(f"{'file':<14} {entry.path:<22} {entry.bytes:>12,} bytes  {entry.sha256[:16]}...")
    print(f"{'total':<14} {bundle.size_bytes / 1e6:.2f} MB, all files as recorded")
    return 0


def _lowered(manifest: Manifest) -> list[provenance.Row]:
    """How precision was lowered, the evidence, and the graph before and after."""
    rows, record = [], manifest.lowered
    if "recipe" in record:
        rows.append(("recipe", str(record["recipe"])))
    cpu = table(record.get("cpu"))
    if cpu:
        rows.append(("made for", f"{cpu.get('name')}: {cpu.get('instructions')}"))
    share = table(record.get("integer_share"))
    if share:
        rows.append(("in integers", f"{_percent(share.get('encoder'))} of the encoder"))
    speed = provenance.speed(manifest)
    if speed:
        rows.append(("speed", speed))
    calibration = table(record.get("calibration"))
    if calibration:
        rows.append(
            (
                "calibration",
                f"{calibration.get('fit')} utterances of {calibration.get('source')}, "
                f"fingerprint {str(calibration.get('fingerprint'))[:16]}...",
            )
        )
    for moment, facts in table(record.get("graph")).items():
        graph = table(facts)
        counts = table(graph.get("operators"))
        most = ", ".join(f"{n} {name}" for name, n in list(counts.items())[:8])
        nodes = sum(n for n in counts.values() if isinstance(n, int))
        size = graph.get("bytes")
        rows.append((f"graph {moment}", f"{size:,} bytes, {nodes} nodes: {most}, ..."
                     if isinstance(size, int) else "unknown"))  # fmt: skip
    return rows


def _engine(engine: dict[str, Any]) -> list[tuple[str, str]]:
    """The TensorRT engine: what it is for, and what is known about it. Fields are checked."""
    if not engine:
        return []
    made_for = f"{engine['device']} ({', '.join(engine['sm'])})"
    profiles = "; ".join(
        ":".join(f"{b}x{n / 16000:g}s" for b, n in zip(p["batch"], p["samples"], strict=True))
        for p in engine["profiles"]
    )
    rows = [("profiles", profiles), ("typed graph", engine["graph"])]
    if engine["share"]:
        kinds = ", ".join(
            f"{k} {_percent(v)}" for k, v in table(engine["census"].get("encoder")).items()
        )
        rows.append(("as asked", f"{_percent(engine['share'])} of the encoder ({kinds})"))
    module = "TensorRT for RTX" if engine["backend"] == "rtx" else "TensorRT"
    if not engine["file"]:
        return [("engine", f"not built yet, {engine['precision']} for {made_for}, {module}; on the "
                 "device: edge-ser build"), *rows]  # fmt: skip
    memory = f"{engine['activation_bytes'] / 1e6:.0f} MB of activations at the largest shapes"
    verdict = "gave the recorded answers there" if engine["verified"] else "not run yet"
    return [
        ("engine", f"{engine['file']}, {engine['precision']} for {made_for}, {module} "
         f"{engine['version']}, {verdict}"),
        ("engine memory", f"{engine['weight_bytes'] / 1e6:.1f} MB of weights, {memory}"),
        *rows,
    ]  # fmt: skip


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else str(value)
