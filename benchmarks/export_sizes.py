"""Export models of real size with random weights: the same answers? how long? how much memory?

    python benchmarks/export_sizes.py default wavlm-base wavlm-large

Random weights serve, because neither numerics nor time depend on what a model has learnt. Each is
written as a run directory of the EmoSphere-SER training code, then exported by the command line
in a process of its own, whose peak memory is the operating system's figure. Writes
`results/export-sizes.json` and `results/export-sizes.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import RESULTS, SIZES, checkpoint, machine_line, run_child

from edge_ser.host.child import module_command


def measure(size: str, work: Path) -> dict[str, Any]:
    """Export one size in a child process."""
    source = checkpoint(size, work)
    bundle = work / f"{size}-bundle"
    export = run_child(module_command("edge_ser", "export", source, "-o", str(bundle)))
    if export.status:
        sys.exit(f"export of {size} failed")
    print(export.output)
    parity = json.loads((bundle / "parity.json").read_text())
    path = Path(source)
    weights = sum(f.stat().st_size for f in path.iterdir()) if path.is_dir() else None
    return {
        "size": size,
        "seconds": export.seconds,
        "peak_rss_bytes": export.peak_rss_bytes,
        "checkpoint_bytes": weights,
        "bundle_bytes": sum(f.stat().st_size for f in bundle.iterdir()),
        "parity": {k: parity[k] for k in ("limits", "passed", "groups")},
    }


def table(results: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| model | runs | VAD max | VAD mean | logits max | angle max | regions changed "
        "| export | peak memory | checkpoint | bundle |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        groups = r["parity"]["groups"].values()
        runs = sum(g["count"] for g in groups)
        mean = sum(g["vad_mean"] * g["count"] for g in groups) / runs
        size = f"{r['checkpoint_bytes'] / 1e6:.0f} MB" if r["checkpoint_bytes"] else "2 MB"
        lines.append(
            f"| {r['size']} | {runs} | {max(g['vad_max'] for g in groups):.1e} | {mean:.1e} "
            f"| {max(g['logits_max'] for g in groups):.1e} "
            f"| {max(g['angle_max_degrees'] for g in groups):.4f}° "
            f"| {sum(g['flips_far'] + g['flips_near'] for g in groups)} "
            f"| {r['seconds']:.0f} s | {r['peak_rss_bytes'] / 1e9:.2f} GB | {size} "
            f"| {r['bundle_bytes'] / 1e6:.1f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["default", *SIZES], help="what to export")
    sizes = parser.parse_args().sizes
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        results = [measure(size, Path(folder)) for size in sizes]
    machine = machine_line()
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine, "results": results}
    (RESULTS / "export-sizes.json").write_text(json.dumps(record, indent=1) + "\n")
    text = table(results)
    made = (
        f"`python benchmarks/export_sizes.py {' '.join(sizes)}` on {machine}, float32 to float32."
    )
    (RESULTS / "export-sizes.md").write_text(f"# Exports of real size\n\n{made}\n\n{text}\n")
    print(text)


if __name__ == "__main__":
    main()
