"""Do export, verify and verify --reference say the same of a bundle?

    python benchmarks/one_judge.py WORK [--checkpoints NAME ...] [--device GPU]

Exports the default checkpoints to every target and recipe that this machine can write, verifies
each bundle, and compares it with its checkpoint. A row says what each of the three decided. Writes
results/one-judge.{json,md}; exit code 1 where they disagree. Takes some ten minutes. Needs the
extras `export` and `trt`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "one-judge"
RECIPES: dict[str, list[str]] = {
    "onnx-fp32": ["--target", "onnx-fp32"],
    "onnx-fp16": ["--target", "onnx-fp16", "--force"],
    "onnx-int8, static": ["--target", "onnx-int8", "--recipe", "static", "--force"],
    "onnx-int8, dynamic": ["--target", "onnx-int8", "--recipe", "dynamic", "--force"],
    **{f"trt-{p}": ["--target", f"trt-{p}"] for p in ("fp32", "fp16", "bf16", "int8", "fp8")},
}
WORDS = {0: "passed", 1: "refused"}


def decided(*command: str) -> str:
    """What a command says by its exit code."""
    from edge_ser.cli import main

    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main(list(command))
    said = errors.getvalue().strip().splitlines()
    return WORDS.get(code) or (said[-1] if said else f"exit code {code}")


def judged(checkpoint: str, options: list[str], out: Path) -> list[str]:
    """Of one bundle: export, verify, verify --reference."""
    said = [decided("export", checkpoint, *options, "-o", str(out))]
    if said == ["passed"]:
        said.append(decided("verify", str(out), "--runtime", "onnx"))
        said.append(decided("verify", str(out), "--runtime", "onnx", "--reference", checkpoint))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--checkpoints", nargs="+", default=["spectral", "wavlm-tiny"])
    parser.add_argument("--device", default="rtx-4090", help="GPU of the TensorRT targets")
    arguments = parser.parse_args()
    rows: dict[str, list[str]] = {}
    for checkpoint in arguments.checkpoints:
        for name, options in RECIPES.items():
            device = ["--device", arguments.device] if name.startswith("trt") else []
            out = arguments.work / f"{checkpoint}-{name.replace(', ', '-')}"
            rows[f"{checkpoint}, {name}"] = judged(checkpoint, options + device, out)
            print(name, rows[f"{checkpoint}, {name}"], flush=True)
    RESULTS.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["# One judge", "", "By `benchmarks/one_judge.py`; verified in ONNX Runtime.", ""]
    lines += ["| bundle | export | verify | verify --reference |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join((*said, '-', '-')[:3])} |" for name, said in rows.items()]
    RESULTS.with_suffix(".md").write_text("\n".join(lines) + "\n")
    sys.exit(any(said[0] == "passed" and set(said) != {"passed"} for said in rows.values()))


if __name__ == "__main__":
    main()
