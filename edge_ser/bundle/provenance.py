"""Where a bundle came from and how well it did, in words, out of the manifest's free-form parts.

They were written by another machine and are not checked as the rest of the manifest is: whatever is
there is told, and what is missing is left out.
"""

from __future__ import annotations

from typing import Any

from edge_ser.bundle.manifest import Manifest

Row = tuple[str, str]


def table(value: Any) -> dict[str, Any]:
    """A value that should be an object; an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def checkpoint(manifest: Manifest) -> dict[str, Any]:
    """What the provenance says of the checkpoint: kind, sha256, what was assumed."""
    return table(manifest.provenance.get("checkpoint"))


def assumed(manifest: Manifest) -> list[str]:
    """What was assumed because the checkpoint does not say."""
    notes = checkpoint(manifest).get("assumed")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def command(manifest: Manifest) -> str:
    """What made the bundle."""
    return str(manifest.provenance.get("command", "unknown"))


def versions(manifest: Manifest) -> str:
    """Of the packages that made the bundle."""
    return ", ".join(f"{k} {v}" for k, v in table(manifest.provenance.get("versions")).items())


def speed(manifest: Manifest) -> str:
    """Against float32, where it was measured; empty where it was not."""
    record = table(manifest.lowered.get("speed"))
    if not record:
        return ""
    ratio = record.get("speedup")
    if not isinstance(ratio, float):
        return str(ratio)
    doubt = f", could not be judged: {record['why']}" if record.get("why") else ""
    return f"{ratio:.2f}x float32 where it was made{doubt}"


def milliseconds(manifest: Manifest) -> str:
    """The times that `speed` is made of; empty where they are not told."""
    record = table(manifest.lowered.get("speed"))
    times = [record.get(key) for key in ("candidate_ms", "baseline_ms", "seconds")]
    if not all(isinstance(t, int | float) for t in times):
        return ""
    after, before, seconds = times
    return f"{after:.1f} ms instead of {before:.1f} ms for {seconds:g} s of speech, one thread"


def elsewhere(manifest: Manifest) -> list[Row]:
    """Other runtimes in which the gate held: `in NAME`, and how."""
    rows = []
    for name, proof in table(manifest.parity.get("runtimes")).items():
        facts = table(proof)
        difference, ratio = brief(facts.get("vad_max")), facts.get("times_onnx")
        rows.append(
            (
                f"in {name}",
                f"passed, VAD within {difference}, the rest computed in {facts.get('precision')}; "
                f"{ratio}x the speed of onnx where it was made",
            )
        )
    return rows


def brief(value: object) -> str:
    """A difference in few characters."""
    return f"{value:.1e}" if isinstance(value, float) else str(value)
