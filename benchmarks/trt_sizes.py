"""TensorRT engines of real size, built without a GPU: how long, how large, in which precision?

    python benchmarks/trt_sizes.py                     # all three sizes, FP16 and INT8, RTX 40
    python benchmarks/trt_sizes.py default --precisions fp16 --device rtx-3060

Each size is exported by the command line in a process of its own, whose peak memory is the
operating system's figure; times of the steps are those of its progress. Random weights, as in
`common.py`, serve for all but the default model. Writes `results/trt-sizes.json` and
`results/trt-sizes.md`. Nothing here runs an engine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, SIZES, checkpoint, machine_line

from edge_ser.host.child import code_command

# Columns of the table of times, and the export's own words for what is in them.
_STEPS = {
    "imports": ("imports",),
    "tracing": ("tracing",),
    "reference in PyTorch": ("recording the reference's answers", "reference", "file"),
    "ranges": ("measuring ranges",),
    "eight bits": ("choosing what is in eight bits",),
    "gate": ("single", "padded", "speech"),
    "engine": ("building the engine",),
}


_EXPORT = """
import json, sys, time
from pathlib import Path
from edge_ser.cli.common import collect_rarely
from edge_ser.cli.export import parity_audio
started = time.perf_counter()
collect_rarely()  # as the command does
from edge_ser_export import pipeline
from edge_ser_runtimes.engines.plan import EngineOptions
source, target, device, out, report = sys.argv[1:]
steps = [("imports", started)]
def progress(word):
    steps.append((word.split(":")[0], time.perf_counter()))
options = pipeline.ExportOptions(
    source, target=target, out=Path(out), speech=tuple(parity_audio(())),
    engine=EngineOptions((device,)), keep_failed=True)
error = None
try:
    pipeline.export(options, progress=progress)
except Exception as failure:
    error = str(failure)
steps.append(("end", time.perf_counter()))
seconds = {}
for (word, at), (_, until) in zip(steps, steps[1:]):
    seconds[word] = round(seconds.get(word, 0) + until - at, 2)
Path(report).write_text(json.dumps({"error": error, "steps": seconds}))
"""


def measure(size: str, precision: str, device: str, work: Path) -> dict[str, Any]:
    """Export one engine in a child process."""
    source = checkpoint(size, work)
    bundle, report = work / f"{size}-{precision}", work / "report.json"
    arguments = [source, f"trt-{precision}", device, str(bundle), str(report)]
    started = time.perf_counter()
    process = subprocess.Popen(code_command(_EXPORT, *arguments))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"export of {size} to trt-{precision} failed")
    told = json.loads(report.read_text())
    result: dict[str, Any] = {
        "size": size,
        "precision": precision,
        "device": device,
        "seconds": round(seconds, 1),
        "steps": told["steps"],
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "refused": told["error"],
    }
    if (bundle / "manifest.json").is_file():
        manifest = json.loads((bundle / "manifest.json").read_text())
        engine = manifest["engine"]
        result |= {
            "engine_bytes": (bundle / engine["file"]).stat().st_size,
            "version": engine["version"],
            "build_seconds": engine["build_seconds"],
            "weight_bytes": engine["weight_bytes"],
            "activation_bytes": engine["activation_bytes"],
            "census": engine["census"],
            "share": engine["share"],
            "kept_in_float32": manifest["lowered"].get("kept_in_float32"),
            "kept_in_float16": manifest["lowered"].get("kept_in_float16"),
            "parity": manifest["parity"],
        }
        for file in bundle.iterdir():
            file.unlink()
    print(json.dumps({k: result[k] for k in ("size", "precision", "seconds", "steps", "refused")}))
    return result


def table(results: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| model | precision | engine | as asked | of which | fused attention | VAD max "
        "| least CCC | regions changed | gate passed | build | export | peak memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        head = f"| {r['size']} | {r['precision']} "
        tail = f"| {r['seconds']:.0f} s | {r['peak_rss_bytes'] / 1e9:.2f} GB |"
        if "engine_bytes" not in r:
            lines.append(f"{head}| refused: {r['refused']} | | | | | | | | {tail}")
            continue
        kinds = ", ".join(f"{k} {v:.1%}" for k, v in r["census"]["encoder"].items())
        agreement = r["parity"].get("agreement", {})
        ccc = agreement.get("ccc")
        least = f"{min(ccc.values()):.6f}" if ccc else "-"
        lines.append(
            f"{head}| {r['engine_bytes'] / 1e6:.0f} MB | {r['share']:.1%} | {kinds} "
            f"| {r['census']['fused_attention']} | {r['parity']['vad_max']:.1e} | {least} "
            f"| {r['parity']['region_flips']} | {'yes' if r['parity']['passed'] else 'no'} "
            f"| {r['build_seconds']:.1f} s {tail}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["default", *SIZES], help="what to export")
    parser.add_argument("--precisions", nargs="+", default=["fp16", "int8"])
    parser.add_argument("--device", default="rtx-4090")
    arguments = parser.parse_args()
    path = RESULTS / "trt-sizes.json"
    # figures of earlier runs stay until they are taken again
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    results = {(r["size"], r["precision"], r["device"]): r for r in kept}
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        for size in arguments.sizes:
            for precision in arguments.precisions:
                found = measure(size, precision, arguments.device, Path(folder))
                results[size, precision, arguments.device] = found
                write(list(results.values()))
    print(table(list(results.values())))


def write(results: list[dict[str, Any]]) -> None:
    """Both files, after every export."""
    devices = dict.fromkeys(r["device"] for r in results)
    machine = machine_line()
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine, "results": results}
    (RESULTS / "trt-sizes.json").write_text(json.dumps(record, indent=1) + "\n")
    made = (
        f"`python benchmarks/trt_sizes.py` for {', '.join(devices)} on {machine}, without "
        "a GPU. No engine was run: VAD, CCC and regions are those of the typed graph, with every "
        "rounding, in ONNX Runtime against PyTorch. wavlm-base and wavlm-large are of that size, "
        "with random weights, whose answers hardly depend on what is said: the least CCC of such "
        "a model says more about its spread than about its error."
    )
    steps = ["| model | precision | " + " | ".join(_STEPS) + " | everything else |",
             "|---|---|" + "---|" * (len(_STEPS) + 1)]  # fmt: skip
    for r in results:
        named = [sum(r["steps"].get(w, 0.0) for w in words) for words in _STEPS.values()]
        rest = sum(r["steps"].values()) - sum(named)
        cells = " | ".join(f"{s:.1f} s" for s in (*named, rest))
        steps.append(f"| {r['size']} | {r['precision']} | {cells} |")
    text = (
        f"# TensorRT engines of real size\n\n{made}\n\n{table(results)}\n\n"
        "Where the time of an export goes:\n\n" + "\n".join(steps) + "\n"
    )
    (RESULTS / "trt-sizes.md").write_text(text)


if __name__ == "__main__":
    main()
