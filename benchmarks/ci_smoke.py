"""A minute of paired timings against stored ratios: has something become much slower?

    python benchmarks/ci_smoke.py            # exit code 1 where a ratio is far outside the noise
    python benchmarks/ci_smoke.py --update   # store the ratios of this machine

Seconds differ from machine to machine and from hour to hour; ratios of systems that run in turn
hardly do. One of the systems runs twice, under two names: what differs there is noise. A ratio
fails only if it is worse than the stored one by far more than all the noise that is known, and only
where the processor has the instruction sets of the stored run; elsewhere it is shown.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edge_ser.host.facts import machine
from edge_ser.measure import Estimate, Plan, measure

STORED = Path(__file__).parent / "results" / "ci-smoke.json"
SECONDS = 5.0
PLAN = Plan(min_rounds=20, max_rounds=120, max_seconds=20, precision=0.01)
TORCH, FP32, AGAIN = "PyTorch eager", "edge-ser fp32", "edge-ser fp32 again"
INT8, WRAPPED, PRODUCTS = "edge-ser INT8", "edge-ser fp32 with wrapper", "products alone"
# time of the first over time of the second; lower is better
RATIOS = {
    "edge-ser fp32 / PyTorch eager": (FP32, TORCH),
    "edge-ser INT8 / edge-ser fp32": (INT8, FP32),
    "recogniser / session": (WRAPPED, FP32),
    "graph / its matrix products alone": (FP32, PRODUCTS),
}
# A change is far outside the noise if it is so many times as large ...
NOISE_FACTOR = 4.0
# ... and so large at all: other versions of libraries move ratios a little, and nobody minds.
LEAST_CHANGE = 0.25

Verdict = Literal["as stored", "worse", "better", "not judged"]


@dataclass(frozen=True)
class Ratio:
    """A median ratio with the interval that holds it."""

    value: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Half the interval, as a difference of logarithms."""
        return math.log(self.high / self.low) / 2

    @classmethod
    def of(cls, estimate: Estimate) -> Ratio:
        """From an estimate of the measuring core."""
        return cls(estimate.value, estimate.low, estimate.high)


def judge(stored: Ratio | None, found: Ratio, itself: Ratio, same_machine: bool) -> Verdict:
    """Whether a ratio is far from the stored one.

    Args:
        stored: of an earlier run; None: there is none.
        found: now.
        itself: of the system that ran twice, now: it should be 1.
        same_machine: whether the stored ratio is of a processor like this one.
    """
    if stored is None or not same_machine:
        return "not judged"
    change = math.log(found.value / stored.value)
    noise = math.hypot(stored.noise, found.noise, itself.noise, math.log(itself.value))
    if abs(change) <= max(math.log1p(LEAST_CHANGE), NOISE_FACTOR * noise):
        return "as stored"
    return "worse" if change > 0 else "better"


def systems(work: Path) -> dict[str, Callable[[None], Any]]:
    """What is timed, loaded: one utterance, one thread, in this process."""
    import int8_speed
    import torch

    import edge_ser
    from edge_ser.bench.speech import speech
    from edge_ser.measure.gemm_peak import Gemms
    from edge_ser.measure.products import heaviest, products
    from edge_ser.session import pad_batch
    from edge_ser_export.graph.run import feed, open_graph
    from edge_ser_export.precision.recipes import Recipe

    torch.set_num_threads(1)
    built = int8_speed.build("default", work)
    recipe = Recipe("static", False, False, built.kept)
    integers = open_graph(built.quantizer.build(recipe, work / "int8.onnx"))
    ser = edge_ser.load(threads=1)
    rate = ser.manifest.preprocessing.sample_rate
    voice = speech(SECONDS, rate)
    batch = pad_batch([ser.manifest.preprocessing.normalize(voice)])
    inputs = feed([batch[0][0]])
    gemms = Gemms("fp32", 1, heaviest(products(ser.bundle.graph_path, inputs), "fp32", 1.0))
    model = built.checkpoint.model.eval()
    tensors = [torch.from_numpy(a) for a in batch]

    def eager(_: None) -> None:
        with torch.inference_mode():
            model(*tensors)

    return {
        FP32: lambda _: ser.session.run(*batch),
        TORCH: eager,
        INT8: lambda _: integers.run(None, inputs),
        AGAIN: lambda _: ser.session.run(*batch),
        WRAPPED: lambda _: ser(voice, rate),
        PRODUCTS: lambda _: gemms.run_all(),
    }


def stored_ratios(path: Path) -> tuple[dict[str, Ratio], dict[str, Any]]:
    """Ratios of an earlier run and its machine; empty where there is none."""
    if not path.exists():
        return {}, {}
    data = json.loads(path.read_text(encoding="utf-8"))
    return {n: Ratio(**r) for n, r in data["ratios"].items()}, data["machine"]


def like(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether ratios of two machines may be compared: same architecture and instruction sets."""
    return bool(a) and all(a.get(k) == b.get(k) for k in ("architecture", "instructions"))


def report(
    found: dict[str, Ratio], itself: Ratio, stored: dict[str, Ratio], same: bool
) -> tuple[list[str], bool]:
    """Lines to print, and whether all is well."""
    lines = [f"noise: the same system twice gives {_words(itself)}"]
    well = True
    for name, ratio in found.items():
        verdict = judge(stored.get(name), ratio, itself, same)
        before = f", stored {_words(stored[name])}" if name in stored else ""
        lines.append(f"{name:<36} {_words(ratio)}{before}: {verdict}")
        well = well and verdict != "worse"
    return lines, well


def _words(ratio: Ratio) -> str:
    return f"{ratio.value:.3f} ({ratio.low:.3f}..{ratio.high:.3f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="store what is found")
    update = parser.parse_args().update
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="edge-ser-smoke-") as folder:
        result = measure(systems(Path(folder)), None, PLAN)
    for name, error in result.errors.items():
        raise SystemExit(f"{name}: {error}") from error
    here = machine()
    found = {name: Ratio.of(result.ratio(*pair)) for name, pair in RATIOS.items()}
    itself = Ratio.of(result.ratio(AGAIN, FP32))
    stored, there = stored_ratios(STORED)
    same = like(there, here)
    lines, well = report(found, itself, stored, same)
    print("\n".join(lines))
    if stored and not same:
        print("the stored ratios are of a processor with other instructions: nothing is judged")
    print(f"{len(result.timings[FP32].turns)} rounds, {time.perf_counter() - began:.0f} s")
    if update:
        kept = {k: here[k] for k in ("processor", "architecture", "instructions", "libraries")}
        ratios = {n: asdict(r) for n, r in found.items()}
        record = {"machine": kept, "itself": asdict(itself), "ratios": ratios}
        STORED.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"stored: {STORED.name}")
        return 0
    if not well:
        print("far slower than stored, beyond the noise; if that is meant: --update")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
