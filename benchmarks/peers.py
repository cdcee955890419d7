"""The default model and WavLM-base beside what a user would pick instead.

    python benchmarks/peers.py
    python benchmarks/peers.py --sizes default wavlm-base wavlm-large --work DIR

The same speech and the same weights in every system, each in its own virtual environment, which is
made here from the package index, and in its own process. The systems of a size run in turn, A B C
A B C, on one thread; ratios are those of the same round. Weights of the large models are random:
neither speed nor size depends on what a model has learnt. The tiny class is other architectures
with random weights, for latency and size alone. A peer that cannot be installed, built or run is in
the table with its reason.

`--work DIR` keeps the environments (about 4 GB) for the next run. Writes `results/peers.json`,
`results/peers.md` and `results/peers.png`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import RESULTS
from peers_ import page
from peers_.environments import ENVIRONMENTS, Environment, make
from peers_.lineup import SECONDS, Peer, peers_of
from peers_.link import Clock, PeerError, Worker

from edge_ser.host.facts import machine, state
from edge_ser.measure import Estimate, Plan, claim, measure

# rounds at least and at most, and seconds: 12 and more allow claims at 99 %
PLANS = {
    "default": Plan(min_rounds=40, max_rounds=200, max_seconds=60, precision=0.01),
    "wavlm-base": Plan(min_rounds=15, max_rounds=40, max_seconds=300, precision=0.01),
    "wavlm-large": Plan(min_rounds=12, max_rounds=20, max_seconds=600, precision=0.01),
}


def measure_size(
    size: str, environments: dict[str, Environment], work: Path, plan: Plan
) -> dict[str, Any]:
    """Build, load and time all systems of a size.

    Args:
        size: key of `PLANS`.
        environments: by name, also those that could not be made.
        work: for files; emptied first.
        plan: how much to measure.

    Returns:
        a JSON-ready record.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    samples = work / "samples.npy"
    print(f"{size}: graphs", file=sys.stderr, flush=True)
    peers = peers_of(size, work, samples)
    workers: dict[str, Worker] = {}
    facts: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    for peer in peers:
        environment = environments[peer.environment]
        workshop = environments[peer.made_in or peer.environment]
        refused = peer.refused or environment.error or workshop.error
        if refused:
            errors[peer.name] = refused
            continue
        print(f"{size}: {peer.name}", file=sys.stderr, flush=True)
        try:
            facts[peer.name] = peer.prepare(workshop) if peer.prepare else {}
            worker = Worker(environment.python, work / "messages.log")
            workers[peer.name] = worker
            arguments = {**peer.arguments, "samples": str(samples)}
            loaded = worker.ask("prepare", function=peer.load, arguments=arguments)
            facts[peer.name]["load_seconds"] = loaded["seconds"]
        except PeerError as error:
            errors[peer.name] = str(error)
            if peer.name in workers:
                workers.pop(peer.name).close()
    clock = Clock()

    def runner(worker: Worker) -> Callable[[None], None]:
        def run(batch: None) -> None:
            clock.seconds += worker.ask("run")["seconds"]

        return run

    before = state()
    result = measure({n: runner(w) for n, w in workers.items()}, None, plan, clock=clock)
    errors.update({name: str(error) for name, error in result.errors.items()})
    answers = {}
    for name, worker in workers.items():
        if name in result.timings:
            answers[name] = worker.ask("answer")
        worker.close()
    return {
        "size": size,
        "seconds": SECONDS,
        "rounds": max((len(t.turns) for t in result.timings.values()), default=0),
        "stable": result.stable,
        "state": {"before": before, "after": state()},
        "systems": [_row(p, result, answers, errors, facts, environments) for p in peers],
        "verdicts": _verdicts(peers, result),
    }


def _row(
    peer: Peer,
    result: Any,
    answers: dict[str, Any],
    errors: dict[str, str],
    facts: dict[str, dict[str, Any]],
    environments: dict[str, Environment],
) -> dict[str, Any]:
    """One system as JSON-ready data."""
    row: dict[str, Any] = {
        "name": peer.name,
        "environment": peer.environment,
        "note": peer.note,
        "other_model": peer.other_model,
        "error": errors.get(peer.name, ""),
        "ms": None,
        **facts.get(peer.name, {}),
    }
    if peer.name not in result.timings:
        return row
    reference = answers.get(page.REFERENCE, {}).get("answer")
    own = answers[peer.name]["answer"]
    ratio = (
        result.ratio(peer.name, page.REFERENCE) if page.REFERENCE in result.timings else None
    )  # fmt: skip
    return {
        **row,
        "ms": _interval(result.timings[peer.name].median(), 1000),
        "ratio": ratio and _interval(ratio),
        "rounds_ms": [round(1000 * t, 4) for t in result.timings[peer.name].rounds],
        "file_bytes": sum(_bytes(f) for f in peer.files),
        "rss_bytes": answers[peer.name]["rss"],
        "installed_bytes": environments[peer.environment].bytes,
        "difference": None if peer.other_model or reference is None
        else max(abs(a - b) for a, b in zip(own, reference, strict=True)),
    }  # fmt: skip


def _interval(found: Estimate, factor: float = 1.0) -> dict[str, float]:
    return {k: factor * getattr(found, k) for k in ("value", "low", "high")}


def _bytes(path: Path) -> int:
    """Of a file, and of the weights beside it."""
    return sum(f.stat().st_size for f in (path, path.with_name(f"{path.name}.data"),
               path.with_name(f"{path.name}_data")) if f.exists())  # fmt: skip


def _verdicts(peers: list[Peer], result: Any) -> dict[str, dict[str, str]]:
    """What may be said about ours and every peer."""
    known = [p.name for p in peers if p.name in result.timings]
    ours = [n for n in known if n.startswith(page.OURS)]
    return {o: {n: claim(result.ratio(o, n)) for n in known if n not in ours} for o in ours}


def write(records: list[dict[str, Any]], environments: dict[str, Environment]) -> None:
    """Results to `results/`; sizes that were not measured now keep their own."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "peers.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    every = {r["size"]: r for r in [*kept, *records]}
    records = [every[size] for size in PLANS if size in every]
    here = machine()
    command = f"python benchmarks/peers.py --sizes {' '.join(r['size'] for r in records)}"
    document = {
        "command": command,
        "machine": here,
        "environments": {
            n: {"error": e.error, "bytes": e.bytes, "versions": e.versions}
            for n, e in environments.items()
        },
        "results": records,
    }
    path.write_text(json.dumps(document) + "\n")
    page.draw(records, RESULTS / "peers.png")
    lines = [
        "# Beside what a user would pick instead",
        "",
        f"`{command}` on {here['processor']} ({', '.join(here['instructions'])}), "
        f"{here['cores']} cores, {here['system']}, Python {here['python']}. One thread; every "
        "system in its own environment and process, run in turn. The interval holds the median "
        "with 95 % confidence, that of the ratio with 99 %. *Installed* is the whole environment. "
        "Memory is that of the process after loading and running. The difference is that of the "
        "scores on 0..1 for the utterance measured, to PyTorch's.",
        "",
        "![Latency of every system](peers.png)",
        "",
        "\n\n".join(page.table(r) for r in records),
        "",
        "Optimum exports the encoder alone: pooling and heads, a tenth of the multiplications at "
        "WavLM-base's size, are missing from its time. MobileNetV4-small and Wav2Small "
        "(arXiv 2408.13920) are other "
        "architectures with random weights: they show the latency and size of their class, and "
        "nothing about answers. The quantisers of others are used as their documentation shows, "
        "and once more with the log-mel front end left in float32, as ours leave it. OpenVINO "
        "computes what is not quantised in bfloat16 where the processor has it. `torch.compile` is "
        "given one length; another would be compiled anew.",
        "",
        "| environment | packages asked for | versions |",
        "|---|---|---|",
        *(_environment_row(n, e) for n, e in environments.items()),
    ]
    (RESULTS / "peers.md").write_text("\n".join(lines) + "\n")


def _environment_row(name: str, environment: Environment) -> str:
    shown = ("torch", "transformers", "optimum", "optimum-onnx", "onnxruntime", "openvino", "nncf",
             "audonnx", "timm", "numpy")  # fmt: skip
    versions = [f"{n} {environment.versions[n]}" for n in shown if n in environment.versions]
    return (
        f"| {name} | {' '.join(ENVIRONMENTS[name])} | {environment.error or ', '.join(versions)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", nargs="+", choices=list(PLANS), default=["default", "wavlm-base"]
    )
    parser.add_argument("--work", type=Path, help="keep environments and graphs here")
    parser.add_argument("--rounds", type=int, help="exactly so many; default: until stable")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-ser-peers-") as scratch:
        work = (arguments.work or Path(scratch)).resolve()
        environments = {name: make(name, work / "environments") for name in ENVIRONMENTS}
        for name, environment in environments.items():
            if environment.error:
                print(f"environment {name}: {environment.error}", file=sys.stderr)
        records = []
        for size in arguments.sizes:
            plan = PLANS[size]
            if arguments.rounds:
                plan = Plan(min_rounds=arguments.rounds, max_rounds=arguments.rounds,
                            max_seconds=3600)  # fmt: skip
            records.append(measure_size(size, environments, work / size, plan))
            print(page.table(records[-1]), flush=True)
            write(records, environments)  # each at once: what follows may take long, or fail


if __name__ == "__main__":
    main()
