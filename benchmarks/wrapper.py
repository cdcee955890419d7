"""What edge-ser adds to the model's own time, and the promises about the default model.

    python benchmarks/wrapper.py
    python benchmarks/wrapper.py --int8 BUNDLE --wavlm-base BUNDLE   # made before, to save time

Without options, the INT8 bundle of the default model is exported first, and a float32 bundle of
WavLM-base's size with random weights: neither time depends on what a model has learnt. Writes
`results/wrapper.json` and `results/wrapper.md`; exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import compileall
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import RESULTS, checkpoint

import edge_ser
import edge_ser_runtimes
from edge_ser.audio.files import decode_file
from edge_ser.bench.speech import speech, write_wav
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.host.child import module_command
from edge_ser.host.facts import machine, state
from edge_ser.host.offline import import_onnxruntime
from edge_ser.measure import ColdSystem, Estimate, Plan, measure, measure_cold, median, ratio
from edge_ser.recognizer import Recognizer
from edge_ser.session import pad_batch
from edge_ser_runtimes.base import BaseSession

RATE = 16_000
# As short as it can be written, with everything that a correct answer needs.
BARE = """
import numpy as np
import onnxruntime as ort
import soundfile as sf
mark("import")
options = ort.SessionOptions()
options.log_severity_level = 3
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
mark("load")
x, rate = sf.read(sys.argv[2], dtype="float32")
mean, std = (np.float32(a) for a in sys.argv[3:5])
x = ((x - mean) / std)[None]
vad, logits = session.run(["vad", "region_logits"],
                          {"samples": x, "lengths": np.array([x.shape[1]])})
scores = np.clip(6 * vad[0] + 1, 1, 7).tolist(), int(logits[0].argmax())
mark("first")
"""
OURS = """
import edge_ser
mark("import")
ser = edge_ser.load(sys.argv[1])
mark("load")
emotion = ser(sys.argv[2])
mark("first")
"""


class Replay(BaseSession):
    """A session that costs nothing: it gives recorded outputs, after all checks of a real one."""

    def __init__(self, bundle: Bundle, outputs: Outputs) -> None:
        super().__init__(bundle)
        self.outputs = outputs

    def _run(self, samples: Any, lengths: Any) -> Outputs:
        return self.outputs


def wrapper(bundle: Path, rounds: int) -> dict[str, Any]:
    """Everything but the session, each time straight after a run of the session: caches are its."""
    ser = edge_ser.load(bundle, threads=1)
    p = ser.manifest.preprocessing
    x = speech(5.0, RATE)
    inputs = pad_batch([p.apply(x)])
    replay = Recognizer(ser.bundle, Replay(ser.bundle, ser.session.run(*inputs)))
    feeds = dict(zip(("samples", "lengths"), inputs, strict=True))
    model: Any = ser.session
    times: list[tuple[float, float]] = []
    for turn in range(rounds + 2):
        marks = [time.perf_counter()]
        model.session.run(None, feeds)
        marks.append(time.perf_counter())
        replay(x, RATE)
        marks.append(time.perf_counter())
        if turn >= 2:
            times.append((marks[1] - marks[0], marks[2] - marks[1]))
    session, own = (list(t) for t in zip(*times, strict=True))
    return {
        "session_ms": _ms(median(session)),
        "wrapper_ms": _ms(median(own)),
        "share": _plain(ratio(own, session)),
    }


def cold(bundle: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """First result of a fresh process, beside a bare script that does the same."""
    opened = Bundle.open(bundle)
    p = opened.manifest.preprocessing
    file = folder / "speech.wav"
    write_wav(file, speech(1.0, RATE), RATE)
    systems = {
        "bare": ColdSystem(
            BARE, (str(opened.graph_path), str(file), repr(p.mean), repr(p.std + p.eps))
        ),
        "edge-ser": ColdSystem(OURS, (str(bundle), str(file))),
    }
    found, errors = measure_cold(systems, rounds)
    for error in errors.values():
        sys.exit(str(error))
    over = ratio(found["edge-ser"].starts, found["bare"].starts)
    return {
        "ratio": _plain(over),
        **{
            name: {"first_result_ms": _ms(c.first_result), "parts_ms": {
                part: 1000 * s for part, s in c.parts.items()}}
            for name, c in found.items()
        },
    }  # fmt: skip


def file_minus_decoding(bundle: Path, folder: Path, plan: Plan, threads: int | None) -> Estimate:
    """Seconds that a file of 10 s takes beyond reading it."""
    ser = edge_ser.load(bundle, threads=threads)
    file = folder / "ten.wav"
    write_wav(file, speech(10.0, RATE), RATE)
    systems: dict[str, Callable[[Path], Any]] = {
        "all": ser,
        "read": lambda f: decode_file(f, RATE, 12.0),
    }
    result = measure(systems, file, plan)
    rounds = (result.timings[name].rounds for name in ("all", "read"))
    return median([a - b for a, b in zip(*rounds, strict=True)])


def batch_gain(bundle: Path, plan: Plan) -> Estimate:
    """Throughput of 8 utterances of 5 s in one run, two threads over one."""
    one, two = (edge_ser.load(bundle, threads=n) for n in (1, 2))
    p = one.manifest.preprocessing
    inputs = pad_batch([p.apply(speech(5.0, RATE))] * 8)
    systems: dict[str, Callable[[Any], Any]] = {
        "one": lambda batch: one.session.run(*batch),
        "two": lambda batch: two.session.run(*batch),
    }
    return measure(systems, inputs, plan).ratio("one", "two")


def window(bundle: Path, plan: Plan) -> Estimate:
    """Seconds for 1 s of samples in memory, on one thread."""
    ser = edge_ser.load(bundle, threads=1)
    x = speech(1.0, RATE)
    return measure({"ser": lambda y: ser(y, RATE)}, x, plan).timings["ser"].median()


def _ms(e: Estimate) -> dict[str, float]:
    return {"value": 1000 * e.value, "low": 1000 * e.low, "high": 1000 * e.high}


def _plain(e: Estimate) -> dict[str, float]:
    return {"value": e.value, "low": e.low, "high": e.high}


def export(source: str, out: Path, target: str) -> Path:
    """Export a bundle in a process of its own."""
    arguments = ["export", source, "--target", target, "-o", str(out)]
    command = module_command("edge_ser", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"edge-ser {' '.join(arguments)}: {done.stderr[-400:]}")
    return out


def wavlm_base(work: Path) -> Path:
    """A bundle of WavLM-base's size with random weights, made in processes of their own."""
    return export(checkpoint("wavlm-base", work), work / "bundle-wavlm-base", "onnx-fp32")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--int8", type=Path, help="INT8 bundle of the default model")
    parser.add_argument("--wavlm-base", type=Path, help="bundle of WavLM-base's size")
    parser.add_argument("--rounds", type=int, default=60, help="at most, per figure (default 60)")
    parser.add_argument("--max-time", type=float, default=30, help="seconds per figure (30)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    plan = Plan(max_rounds=rounds, min_rounds=min(rounds, 12), max_seconds=arguments.max_time)
    import_onnxruntime()  # without telemetry, which the bare processes then inherit
    for package in (edge_ser, edge_ser_runtimes):  # as pip does when it installs them
        compileall.compile_dir(str(Path(str(package.__file__)).parent), quiet=1)
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        work = Path(folder)
        int8 = arguments.int8 or export("spectral", work / "int8", "onnx-int8")
        base = arguments.wavlm_base or wavlm_base(work)
        before = state()
        found: dict[str, Any] = {
            "wrapper": {
                "default": wrapper(DEFAULT_BUNDLE, rounds),
                "default INT8": wrapper(int8, rounds),
                "WavLM-base size": wrapper(base, max(3, rounds // 4)),
            },
            "cold": {
                "default": cold(DEFAULT_BUNDLE, work, max(3, rounds // 3)),
                "default INT8": cold(int8, work, max(3, rounds // 3)),
            },
            "size_mb": {
                "default": Bundle.open(DEFAULT_BUNDLE).size_bytes / 1e6,
                "default INT8": Bundle.open(int8).size_bytes / 1e6,
            },
            "window_ms": {
                "default": _ms(window(DEFAULT_BUNDLE, plan)),
                "default INT8": _ms(window(int8, plan)),
            },
            "file_10s_ms": {
                "default": _ms(file_minus_decoding(DEFAULT_BUNDLE, work, plan, None)),
                "default INT8": _ms(file_minus_decoding(int8, work, plan, None)),
                "default INT8, one thread": _ms(file_minus_decoding(int8, work, plan, 1)),
            },
            "two_threads": {
                "default": _plain(batch_gain(DEFAULT_BUNDLE, plan)),
                "default INT8": _plain(batch_gain(int8, plan)),
                "WavLM-base size": _plain(batch_gain(base, plan)),
            },
        }
        after = state()
    rows = judge(found)
    record = {
        "machine": machine(), "before": before, "after": after, "results": found,
        "targets": [{"what": w, "target": t, "found": f, "kept": k} for w, t, f, k in rows],
    }  # fmt: skip
    text = page(rows, record)
    arguments.out.mkdir(exist_ok=True)
    (arguments.out / "wrapper.json").write_text(json.dumps(record, indent=1) + "\n")
    (arguments.out / "wrapper.md").write_text(text)
    print(text)
    return 0 if all(kept for *_, kept in rows) else 1


Row = tuple[str, str, str, bool]


def judge(found: dict[str, Any]) -> list[Row]:
    """Every target: what, limit, figure with its interval, whether it is kept."""
    rows: list[Row] = []

    def add(what: str, value: dict[str, float], limit: float, form: str, most: bool = True) -> None:
        shown = form.format(value["value"])
        if value["low"] != value["high"]:
            shown += f" ({form.format(value['low'])} to {form.format(value['high'])})"
        kept = value["value"] <= limit if most else value["value"] >= limit
        rows.append(
            (what, f"{'at most' if most else 'at least'} {form.format(limit)}", shown, kept)
        )

    for name, w in found["wrapper"].items():
        if name.startswith("default"):
            add(f"wrapper, {name}, 5 s", w["wrapper_ms"], 1.0, "{:.2f} ms")
        else:
            add(f"wrapper, {name}, 5 s, of the session", w["share"], 0.03, "{:.2%}")
    for name, c in found["cold"].items():
        add(f"first result, {name}, over a bare script", c["ratio"], 1.2, "{:.2f}")
    size = found["size_mb"]["default INT8"]
    add("bundle, default INT8", {"value": size, "low": size, "high": size}, 1.8, "{:.2f} MB")
    add("1 s in memory, default INT8", found["window_ms"]["default INT8"], 21, "{:.2f} ms")
    for name in ("default INT8", "default INT8, one thread"):
        ten = found["file_10s_ms"][name]
        add(f"10 s file beyond reading it, {name}", ten, 7, "{:.2f} ms")
    for name, gain in found["two_threads"].items():
        add(f"8 x 5 s on two threads over one, {name}", gain, 1.7, "{:.2f}", most=False)
    return rows


def page(rows: list[Row], record: dict[str, Any]) -> str:
    """The results as Markdown."""
    m = record["machine"]
    libraries = ", ".join(f"{k} {v}" for k, v in m["libraries"].items())
    lines = [
        "# What edge-ser adds to the model",
        "",
        f"`python benchmarks/wrapper.py` on {m['processor']}, {m['cores']} cores, Python "
        f"{m['python']}, {libraries}; load {record['before'].get('load_1min', '-')} when it began.",
        "",
        "The wrapper is everything but the session: intake of the samples, normalisation, checks, "
        "reading the outputs, the result object. One thread where nothing else is said; the 10 s "
        "file on all cores, as `edge_ser.load` runs. In brackets the intervals of the medians.",
        "",
        "| what | target | found | kept |",
        "|---|---|---|---|",
        *(f"| {w} | {t} | {f} | {'yes' if k else '**no**'} |" for w, t, f, k in rows),
        "",
        "First result of the default bundle, from starting Python, in parts (ms):",
        "",
        "| | import | load | first | all |",
        "|---|---|---|---|---|",
    ]
    for name in ("bare", "edge-ser"):
        c = record["results"]["cold"]["default"][name]
        parts = [f"{c['parts_ms'][p]:.0f}" for p in ("import", "load", "first")]
        lines.append(f"| {name} | {' | '.join(parts)} | {c['first_result_ms']['value']:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
