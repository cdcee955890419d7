"""TensorRT on a real GPU, in one run of under nine minutes: does it run, is it right, how fast?

    python benchmarks/gpu_check.py
    python benchmarks/gpu_check.py --prepare DIR --device sm90     # anywhere, without a GPU
    python benchmarks/gpu_check.py --bundles DIR                   # then on the GPU

A model of WavLM's size with random weights is exported to every precision; answers are compared
with the reference's recorded ones; latency is measured beside PyTorch in FP16 (eager,
`torch.compile`, CUDA-graph replays) and ONNX Runtime's CUDA provider. Neither numerics nor time
depend on what a model has learnt. On a GPU that TensorRT for RTX has no target for, its default
target and a few others are tried, and what they say is recorded.

Every step is a process of its own with a time limit (see gpu_steps.py): one that fails or hangs is
reported as such, and the others are measured all the same. What the machine lacks is said first;
without a GPU the exit code is 2 and nothing is written. Results: `results/gpu-check.json`, `.md`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.host.child import module_command
from edge_ser.host.offline import import_onnxruntime
from edge_ser_runtimes.tensorrt.cuda import Driver, Gpu

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PRECISIONS = ("fp16", "fp32", "bf16", "int8")
SECONDS, BATCHES = (1, 3, 5, 12), (1, 8, 32)
PROFILE = "1x0.025s:1x5s:32x12s"
CHECKPOINT = "checkpoint"
PREPARE_SECONDS = 1800  # for one bundle, where no GPU waits for it
LEAST_SECONDS = 10  # a step started with less left would only be stopped
# Steps in the order of their worth, and the most seconds that each may take.
STEPS = (
    ("engine-fp16", 120),
    ("engine-again-fp16", 60),
    ("torch-eager", 60),
    ("torch-compile", 100),
    ("torch-graphs", 60),
    ("onnx-fp16", 45),
    ("engine-fp32", 60),
    ("engine-bf16", 60),
    ("engine-int8", 60),
    ("engine-graphs-fp16", 60),
    ("onnx-fp32", 45),
    ("torch-bf16", 30),
)
NAMES = {
    "engine-fp16": "edge-ser, TensorRT FP16",
    "engine-graphs-fp16": "edge-ser, TensorRT FP16, CUDA graphs",
    "engine-fp32": "edge-ser, TensorRT FP32",
    "engine-bf16": "edge-ser, TensorRT BF16",
    "engine-int8": "edge-ser, TensorRT INT8 + FP16",
    "torch-eager": "PyTorch FP16, eager",
    "torch-compile": "PyTorch FP16, torch.compile",
    "torch-graphs": "PyTorch FP16, CUDA-graph replays",
    "torch-bf16": "PyTorch BF16, eager",
    "onnx-fp16": "ONNX Runtime CUDA, FP16 graph",
    "onnx-fp32": "ONNX Runtime CUDA, FP32 graph",
}


def machine() -> tuple[dict[str, Any], list[str]]:
    """What is here, and what is missing, each in one line."""
    found: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    missing = []
    try:
        driver = Driver()
        gpu = Gpu(driver)
        gpu.open()
        with gpu.current():
            total = gpu.memory()[1]
        gpu.close()
        found |= {"gpu": gpu.name, "sm": gpu.sm, "memory_bytes": total}
        found["cuda"] = ".".join(map(str, driver.version))
    except EdgeSerError as error:
        missing.append(f"GPU: {error}")
    for module in ("tensorrt_rtx", "tensorrt", "torch", "transformers", "onnx", "onnxruntime"):
        try:
            load = {"onnxruntime": import_onnxruntime}.get(module, importlib.import_module)
            found[module] = str(load(module).__version__)
        except (ImportError, OSError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            if module != "tensorrt" or "tensorrt_rtx" not in found:
                missing.append(f"{module}: {reason}")
    if "torch" in found and not importlib.import_module("torch").cuda.is_available():
        missing.append(f"torch: {found['torch']} finds no GPU; its rows need a build with CUDA")
    if "onnxruntime" in found:
        ort = import_onnxruntime()
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            missing.append("onnxruntime: no CUDA provider; its rows need onnxruntime-gpu")
    return found, missing


def write_checkpoint(folder: Path, size: str, seconds: float) -> str:
    """A checkpoint with random weights, unless it is there; returns "" or what went wrong."""
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        return ""
    command = [sys.executable, str(HERE / "common.py"), size, str(checkpoint)]
    return run(command, seconds)


def export(folder: Path, precision: str, device: str, seconds: float) -> float | str:
    """A bundle of the checkpoint; returns the seconds it took, or what went wrong."""
    started = time.monotonic()
    command = module_command(
        *("edge_ser", "export", str(folder / CHECKPOINT)),
        *("--target", f"trt-{precision}", "--device", device, "--profile", PROFILE),
        *("-o", str(folder / f"trt-{precision}"), "--keep-failed"),
    )
    done = run(command, seconds) or round(time.monotonic() - started, 1)
    print(f"export to {precision}: {done}", flush=True)
    return done


def run(command: list[str], seconds: float) -> str:
    """Run a process; returns "" or the last line of what went wrong."""
    if seconds < LEAST_SECONDS:
        return "not run: no time left"
    # a session of its own, so that what it started ends with it
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            _, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return f"stopped after {seconds:.0f} s"
            raise
    if process.returncode:
        lines = errors.strip().splitlines() or ["no message"]
        return f"exit code {process.returncode}: {lines[-1][:300]}"
    return ""


def measure(record: dict[str, Any], folder: Path, work: Path, device: str, end: float) -> None:
    """All steps, each in a process of its own; what they need is exported just before.

    Args:
        record: gets `prepared` and `results`; written after every step.
        folder: of the bundles.
        work: for everything else.
        device: to export for.
        end: of everything, on the monotonic clock.
    """

    def left() -> float:
        return end - time.monotonic()

    failure = write_checkpoint(folder, record["size"], left())
    if failure:
        record["prepared"]["checkpoint"] = failure
    for name, most in STEPS:
        precision = name.rsplit("-", 1)[1]
        new = precision in PRECISIONS and not (folder / f"trt-{precision}").exists()
        if new and precision not in record["prepared"]:
            record["prepared"][precision] = export(folder, precision, device, min(120, left()))
        out = work / f"{name}.json"
        arguments = {
            "step": name,
            "bundles": str(folder),
            "cache": str(work / "cache"),
            "seconds": SECONDS,
            "batches": BATCHES,
            "until": most - 10,
        }
        command = [sys.executable, str(HERE / "gpu_steps.py"), json.dumps(arguments), str(out)]
        failure = run(command, min(most, left()))
        found = json.loads(out.read_text()) if out.is_file() else {}
        if failure:
            found["failed"] = found.get("failed") or failure
        record["results"][name] = found
        write(record)
        print(f"{name}: {found.get('failed') or 'measured'}", flush=True)


def write(record: dict[str, Any]) -> None:
    """Both results files."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gpu-check.json").write_text(json.dumps(record, indent=1) + "\n")
    made = f"`python benchmarks/gpu_check.py --size {record['size']}`"
    text = f"# TensorRT on a GPU\n\n{made} on {table(record)}\n"
    (RESULTS / "gpu-check.md").write_text(text)


def table(record: dict[str, Any]) -> str:
    """The figures as Markdown."""
    m, results = record["machine"], record["results"]
    lines = [
        f"{m['gpu']} ({m['sm']}, {m['memory_bytes'] / 2**30:.0f} GiB), CUDA {m['cuda']}; "
        + ", ".join(f"{k} {m[k]}" for k in ("tensorrt_rtx", "torch", "onnxruntime") if k in m)
        + f"; {record['size']}, random weights.",
        "",
        "## Does the engine run on this GPU?",
        "",
    ]
    for name in (f"engine-{p}" for p in PRECISIONS):
        for attempt in results.get(name, {}).get("attempts", []):
            lines.append(f"- {NAMES.get(name, name)}, {attempt['target']}: {attempt['outcome']}")
    lines += [
        "",
        "## Latency",
        "",
        "Median milliseconds of a run with its copies to and from the GPU; in brackets what the "
        "GPU itself computed.",
        "",
    ]
    cells = [f"{b}x{s}s" for b in BATCHES for s in SECONDS]
    lines += [f"| system | {' | '.join(cells)} |", "|---" * (len(cells) + 1) + "|"]
    for name, label in NAMES.items():
        times = results.get(name, {}).get("times", {})
        row = [
            f"{times[c]['ms']:.2f} ({times[c]['device_ms']:.2f})" if c in times else "-"
            for c in cells
        ]
        if times:
            lines.append(f"| {label} | {' | '.join(row)} |")
    own = results.get("engine-fp16", {}).get("times", {}).get("1x5s")
    peer = results.get("torch-compile", {}).get("times", {}).get("1x5s")
    if own and peer:
        ratio = peer["ms"] / own["ms"]
        lines += ["", f"FP16 at batch 1, 5 s: {ratio:.2f} times as fast as torch.compile."]
    lines += [
        "",
        "## Answers, start and memory",
        "",
        "| system | largest VAD difference | logits | regions changed | load s | first run s "
        "| GPU MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (*NAMES, "engine-again-fp16"):
        r = results.get(name, {})
        if not {"answers", "load_seconds"} & set(r):
            continue
        label = NAMES.get(name, "edge-ser, TensorRT FP16, with kernels kept from before")
        a = r.get("answers")
        judged = ["-"] * 3
        if a:
            logits = "-" if a["logits_max"] is None else f"{a['logits_max']:.1e}"
            judged = [f"{a['vad_max']:.1e}", logits, str(a["flips_far"] + a["flips_near"])]
        start = [f"{r[k]:.2f}" if k in r else "-" for k in ("load_seconds", "first_run_seconds")]
        memory = f"{r['gpu_bytes'] / 1e6:.0f}" if "gpu_bytes" in r else "-"
        lines.append(f"| {label} | {' | '.join([*judged, *start, memory])} |")
    failed = {n: r["failed"] for n, r in results.items() if "failed" in r}
    failed |= {f"export to {p}": r for p, r in record["prepared"].items() if isinstance(r, str)}
    if failed or record["missing"]:
        lines += ["", "## Missing or failed", ""]
        lines += [f"- {line}" for line in record["missing"]]
        lines += [f"- {name}: {reason}" for name, reason in failed.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=("wavlm-base", "wavlm-large"), default="wavlm-base")
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="prepared ones")
    parser.add_argument("--prepare", type=Path, metavar="DIR", help="only make the bundles")
    parser.add_argument("--device", help="to prepare for, such as sm90; default: the GPU here")
    parser.add_argument("--minutes", type=float, default=8.5, help="for everything")
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    if a.prepare is not None:
        if a.device is None:
            parser.error("--prepare needs --device")
        a.prepare.mkdir(parents=True, exist_ok=True)
        failure = write_checkpoint(a.prepare, a.size, PREPARE_SECONDS)
        bundles = [a.prepare / f"trt-{p}" for p in PRECISIONS]
        for p, bundle in zip(PRECISIONS, bundles, strict=True):
            if not bundle.exists() and not failure:
                export(a.prepare, p, a.device, PREPARE_SECONDS)
        if failure:
            print(f"gpu_check: {failure}", file=sys.stderr)
        # kept as well where its gate failed: random weights are not what precisions are judged by
        return 0 if all(bundle.exists() for bundle in bundles) else 1
    found, missing = machine()
    for line in missing:
        print(f"gpu_check: missing: {line}", file=sys.stderr)
    if "gpu" not in found:
        print("gpu_check: nothing to measure without a GPU", file=sys.stderr)
        return 2
    record: dict[str, Any] = {
        "machine": found,
        "missing": missing,
        "size": a.size,
        "prepared": {},
        "results": {},
    }
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        folder = a.bundles or Path(work) / "bundles"
        folder.mkdir(exist_ok=True)
        measure(record, folder, Path(work), a.device or found["sm"], end)
    print(table(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
