"""`edge-ser bench`: its arguments; what they do is in `bench_run`, imported when it is needed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_ser.cli.outputs import Output
from edge_ser.cli.parser import Several

# Of --budget; `bench.budgets` says what they are.
BUDGETS = (
    "latency_ms", "p90_ms", "p99_ms", "rtf", "energy_j", "first_result_ms", "load_ms", "rss_mb",
    "device_mb", "size_mb",
)  # fmt: skip


def add_parser(commands: Any) -> None:
    """Declare the command."""
    from edge_ser_runtimes.registry import RUNTIMES

    names = ", ".join(("auto", *RUNTIMES, "torch"))
    parser = commands.add_parser(
        "bench",
        help="measure speed, memory and size on this machine",
        description="Time bundles in their runtimes, in turn, for utterances of several lengths, "
        "with first results and memory of fresh processes. Differences inside the noise are called "
        "none. With --budget or --compare a gate: exit code 1 if it fails.",
    )
    parser.add_argument(
        "bundles", nargs="*", type=Path, metavar="BUNDLE", help="default: the one in this package"
    )
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{names}; several with commas or by repeating; torch is the reference model "
        "(default: auto, what suits the bundle and runs here)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="CKPT",
        help="of runtime torch (default: the one in this package that the bundle was made from)",
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument("--seconds", default="1,3,5,10,12", metavar="S,...", help="of speech")
    what.add_argument("--batch", default="1", metavar="N,...", help="utterances per run")
    what.add_argument("--threads", default="1", metavar="N,...", help="of the computation")
    what.add_argument("--audio", type=Path, metavar="FILE", help="speech instead of the samples")
    what.add_argument(
        "--rounds", type=int, default=200, metavar="N", help="at most so many turns (default 200)"
    )
    what.add_argument(
        "--max-time",
        type=float,
        default=20.0,
        metavar="S",
        help="at most so long for one length, batch and number of threads (default 20)",
    )
    what.add_argument(
        "--processes",
        type=int,
        default=5,
        metavar="N",
        help="fresh processes for first results and memory (default 5; 0: none)",
    )
    out = parser.add_argument_group("what is written")
    stream = {"action": Output, "metavar": "FILE|-"}
    out.add_argument("--json", **stream, shares="compare", help="append records, one a line")
    out.add_argument("--csv", **stream, help="write them as CSV")
    out.add_argument("--markdown", **stream, help="write the tables as Markdown")
    out.add_argument("--plot", action=Output, help="draw latency as .png or .svg")
    gates = parser.add_argument_group("gates")
    gates.add_argument(
        "--budget",
        action=Several,
        like=lambda word: "=" in word,
        metavar="NAME=LIMIT[@1s]",
        help=f"what may not be exceeded: {', '.join(BUDGETS)}",
    )
    gates.add_argument("--compare", type=Path, metavar="FILE", help="with records of --json")
    gates.add_argument(
        "--threshold",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="by which a figure of --compare may grow (default 0.1)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser.cli.bench_run import run_bench

    return run_bench(arguments)
