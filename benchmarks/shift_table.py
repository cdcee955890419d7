"""Which wrong answers `edge-ser verify` refuses on a device: a constant added to all of them.

    python benchmarks/shift_table.py WORK [--earlier ROOT BUNDLES]

Exports wavlm-tiny in each precision to WORK, adds a constant to the graph's `vad` in a copy of each
bundle, and verifies the copy in each runtime, as whoever copies a wrong file would. With --earlier,
the same is done with the code of an earlier version, whose source tree is ROOT, and with bundles
that it wrote: BUNDLES/wavlm-tiny-onnx-fp32 and so on. Writes results/shift-table.{json,md}. Needs
the extras `export` and `openvino`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "shift-table"
# With what each is exported; OpenVINO takes no integers whose scales are measured in the run.
TARGETS: dict[str, list[str]] = {
    "onnx-fp32": [],
    "onnx-fp16": ["--force"],
    "onnx-int8": ["--force", "--recipe", "static"],
}
RUNTIMES = ("onnx", "openvino")
# On the scale of 1..7; the graph answers on 0..1.
POINTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.6, 1.2)
_WIDTH = 6.0

Verdicts = dict[str, dict[str, list[str]]]


def shifted(bundle: Path, folder: Path, points: float) -> Path:
    """A copy of a bundle whose graph adds a constant, and whose manifest knows that graph."""
    shutil.copytree(bundle, folder)
    path = folder / "model.onnx"
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["vad_as_it_was" if name == "vad" else name for name in names]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(points / _WIDTH), "shift"))
    model.graph.node.append(helper.make_node("Add", ["vad_as_it_was", "shift"], ["vad"]))
    onnx.save(model, path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        data = (folder / entry["path"]).read_bytes()
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def verdicts(bundles: Path) -> Verdicts:
    """What the version that is imported says, by target and runtime, for each of `POINTS`."""
    from edge_ser.cli import main

    said: Verdicts = {}
    for target in TARGETS:
        said[target] = {runtime: [] for runtime in RUNTIMES}
        for points in POINTS:
            with tempfile.TemporaryDirectory() as folder:
                copy = shifted(bundles / f"wavlm-tiny-{target}", Path(folder) / "copy", points)
                for runtime in RUNTIMES:
                    with contextlib.redirect_stdout(io.StringIO()):
                        code = main(["verify", str(copy), "--runtime", runtime, "--json"])
                    said[target][runtime].append({0: "verified", 1: "refused"}[code])
    return said


def earlier_verdicts(root: Path, bundles: Path) -> Verdicts:
    """The same of an earlier version, in a process of its own."""
    parts = (root, root / "runtimes", root / "export")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, parts))}
    command = [sys.executable, __file__, str(bundles), "--verdicts"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    said: Verdicts = json.loads(done.stdout)
    return said


def table(now: Verdicts, before: Verdicts | None) -> str:
    """For people."""
    lines = [
        "# A constant added to every answer: verdict of `edge-ser verify`",
        "",
        "By `benchmarks/shift_table.py` on wavlm-tiny; points on 1..7. "
        + ("Each cell: before, then now." if before else ""),
        "",
        f"| bundle, runtime | {' | '.join(f'{p:g}' for p in POINTS)} |",
        f"|---|{'---|' * len(POINTS)}",
    ]
    for target, by_runtime in now.items():
        for runtime, words in by_runtime.items():
            old = before[target][runtime] if before else None
            cells = [f"{old[i]}, {w}" if old else w for i, w in enumerate(words)]
            lines.append(f"| {target}, {runtime} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--earlier", type=Path, nargs=2, metavar=("ROOT", "BUNDLES"))
    parser.add_argument("--verdicts", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.verdicts:
        print(json.dumps(verdicts(arguments.work)))
        return
    from edge_ser.cli import main as edge_ser

    for target, options in TARGETS.items():
        out = arguments.work / f"wavlm-tiny-{target}"
        if not out.exists():
            code = edge_ser(["export", "wavlm-tiny", "--target", target, *options, "-o", str(out)])
            if code:
                sys.exit(f"export to {target}: exit code {code}")
    before = earlier_verdicts(*arguments.earlier) if arguments.earlier else None
    now = verdicts(arguments.work)
    record: dict[str, Any] = {"points": POINTS, "before": before, "now": now}
    RESULTS.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(table(now, before))
    print(table(now, before))


if __name__ == "__main__":
    main()
