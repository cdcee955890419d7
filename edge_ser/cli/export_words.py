"""What `edge-ser export` says of a bundle that it has made."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bundle.engine import Engine
from edge_ser.bundle.evidence import Lowering

if TYPE_CHECKING:
    from edge_ser_export.pipeline import Exported


def export_record(made: Exported) -> dict[str, Any]:
    """As JSON-ready data: where it lies, every comparison, and the manifest."""
    return {
        "bundle": str(made.path),
        "fingerprint": made.fingerprint,
        "bytes": sum(f.bytes for f in made.manifest.files),
        "replaced": made.replaced,
        "passed": made.parity.passed,
        "notes": [*made.notes, *made.words],
        "parity": made.parity.to_dict(),
        "manifest": json.loads(made.manifest.to_json()),
    }


def print_export(made: Exported, verbose: bool) -> None:
    """A few lines, and the command to type next.

    Args:
        made: the bundle.
        verbose: show every comparison. Of a bundle in lower precision they are shown in any case,
            as its answers are not quite those of the checkpoint.
    """
    manifest, parity = made.manifest, made.parity
    is_brief = manifest.lowered is None and not verbose
    if not is_brief:
        print(parity.table())
    for note in made.notes:
        print(f"{'note':<9}{note}")
    _print_lowered(manifest.lowered)
    _print_engine(manifest.engine, made.path)
    if made.words:
        print("\n".join(["", *made.words]))
    if not is_brief or manifest.engine is not None or made.words or made.notes:
        print()
    size = sum(f.bytes for f in manifest.files) / 1e6
    summary = manifest.architecture["summary"]
    replaced = " (replaced the bundle that was there)" if made.replaced else ""
    print(f"{made.path}: {manifest.target}, {size:.1f} MB, {summary}; parity passed{replaced}")
    if is_brief:
        runs = sum(r.count for r in parity.groups.values())
        worst = max(parity.groups.values(), key=lambda r: r.largest)
        changed = sum(r.changed for r in parity.groups.values())
        print(
            f"proof: {runs} runs, {worst.measure} within {worst.largest:.1e} of the checkpoint's "
            f"(limit {parity.limits.vad:g}), {changed or 'no'} "
            f"{worst.classes_of(max(changed, 1))} changed"
        )
    origin = manifest.provenance.checkpoint
    if origin.repository is not None:
        print(f"from {origin.repository} at {origin.commit}, licence {manifest.licence}")
    print(f"fingerprint {made.fingerprint}")
    print(f"next: edge-ser {_next_command(made)}")


def _next_command(made: Exported) -> str:
    """What is mostly done with such a bundle."""
    engine, path = made.manifest.engine, shlex.quote(str(made.path))
    if engine is None:
        return f"predict {path} speech.wav"
    return f"verify {path}, on the device" if engine.file else f"build {path}, on the device"


def _print_lowered(lowered: Lowering | None) -> None:
    """What lowering precision did, in a few lines."""
    if lowered is None:
        return
    lines = [f"recipe: {lowered.recipe}"]
    share = lowered.integer_share
    if share is not None:
        lines.append(
            f"in integers: {share.encoder:.1%} of the encoder's multiplications, "
            f"{share.everything:.1%} of all, as the runtime executes them"
        )
    if lowered.float16_share is not None:
        lines.append(f"in float16: {lowered.float16_share.encoder:.1%} of the encoder's")
    if lowered.gain is not None:
        lines.append(f"gain: {lowered.gain}")
    speed = lowered.speed
    if speed is not None:
        lines.append(
            f"speed: {speed.speedup:.2f}x float32 on this machine "
            f"({speed.candidate_ms:.1f} ms for {speed.seconds:g} s of speech, one thread)"
            + (f"; {speed.outcome}: {speed.why}" if speed.why else "")
        )
        if speed.why and lowered.integer_share is not None:
            lines.append(
                "another run may choose another recipe, as times decide: --recipe settles it"
            )
    calibration = lowered.calibration
    if calibration is not None:
        lines.append(
            f"calibration: {calibration.fit} utterances, judged on {calibration.judge} others "
            f"({', '.join((calibration.source or '', *calibration.splits))})"
        )
    print("\n".join(["", *lines]))


def _print_engine(engine: Engine | None, bundle: Path) -> None:
    """What was built, or what the device still has to do."""
    if engine is None:
        return
    if not engine.file:
        print(
            f"\nbuild bundle for {engine.made_for}: copy it there and run: "
            f"edge-ser build {bundle.name}"
        )
        return
    mb = (bundle / engine.file).stat().st_size / 1e6
    kinds = ", ".join(f"{k} {v:.1%}" for k, v in engine.census.encoder.items())
    print(
        f"\nengine: {mb:.1f} MB for {engine.made_for}, {engine.library} {engine.version}, "
        f"built in {engine.build_seconds:.1f} s\n"
        f"as asked: {engine.share:.1%} of the encoder's multiplications ({kinds})\n"
        "not run yet: on the device, edge-ser verify runs it"
    )
