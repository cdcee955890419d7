"""Does a process grow that predicts for long, or that loads and closes bundles again and again?

`python benchmarks/long_life.py` writes results/long-life.md: memory and open files after
predictions of ever new lengths, and after loads of a zipped bundle, in each runtime that computes
on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from common import RESULTS, machine_line

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.host.child import code_command

_RUNTIMES = ("onnx", "openvino")
_CHILD = """
import json, os, sys
import numpy as np
import edge_ser

kind, runtime, count, archive = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
speech = 0.1 * np.random.default_rng(0).standard_normal(12 * 16_000).astype(np.float32)

def note(step):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps({"step": step, "mb": int(status["VmRSS"].split()[0]) / 1024,
                      "files": len(os.listdir("/proc/self/fd")),
                      "threads": len(os.listdir("/proc/self/task"))}), flush=True)

if kind == "predictions":
    ser = edge_ser.load(runtime=runtime, threads=1)
    lengths = np.random.default_rng(1).permutation(np.linspace(400, speech.size, count, dtype=int))
    for step, length in enumerate(lengths):
        if step in (0, count // 10, count // 2):
            note(step)
        ser(speech[:length], 16_000)
else:
    for step in range(count):
        if step in (0, count // 10, count // 2):
            note(step)
        with edge_ser.load(archive, runtime, threads=1) as ser:
            ser(speech[:16_000], 16_000)
note(count)
"""


def life(kind: str, runtime: str, count: int, archive: Path) -> list[dict[str, Any]]:
    """What a process holds at its start, after a tenth, half and all of its work."""
    output = subprocess.run(
        code_command(_CHILD, kind, runtime, str(count), str(archive)),
        stdout=subprocess.PIPE, text=True, check=True,
        env=os.environ | {"TMPDIR": str(archive.parent)},
    ).stdout  # fmt: skip
    return [json.loads(line) for line in output.splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=3000)
    parser.add_argument("--loads", type=int, default=200)
    arguments = parser.parse_args()
    counts = {"predictions": arguments.predictions, "loads": arguments.loads}
    rows, left = [], []
    with tempfile.TemporaryDirectory() as work:
        archive = Path(work) / "default.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in DEFAULT_BUNDLE.iterdir():
                file.write(path, path.name)
        for kind, count in counts.items():
            for runtime in _RUNTIMES:
                for at in life(kind, runtime, count, archive):
                    print(kind, runtime, at, flush=True)
                    rows.append(
                        f"| {kind} | {runtime} | {at['step']} | {at['mb']:.0f} | {at['files']} | "
                        f"{at['threads']} |"
                    )
        left = [path.name for path in archive.parent.iterdir() if path != archive]
    page = f"""# A process in its long life

Made by `python benchmarks/long_life.py`: {machine_line()}. Predictions are of as many distinct
lengths, 25 ms to 12 s, in no order; loads open the default model as a .zip, predict once and close.
Left in TMPDIR afterwards: {", ".join(left) or "nothing"}.

| | runtime | after | resident MB | open files | threads |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    (RESULTS / "long-life.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
