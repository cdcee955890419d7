"""`edge-ser bench`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_ser.bench import tables
from edge_ser.bench.budgets import FIGURES, broken, check_lengths, parse_budget
from edge_ser.bench.compare import Comparison, compare
from edge_ser.bench.plot import check_plot_path, write_plot
from edge_ser.bench.records import Record, append, check_history, read_history
from edge_ser.bench.suite import Options, Suite
from edge_ser.bench.timing import Plan
from edge_ser.cli.bench_systems import candidates, runtime_names
from edge_ser.cli.common import steps
from edge_ser.errors import EdgeSerError, GateError, UsageError

_STDOUT = "-"
_LEFT_LATENCY, _LEFT_CHANGES = ("length", "system"), (0, 1, 5)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    names = ", ".join(runtime_names())
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
        "(default: what runs the bundle's target)",
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
    out.add_argument("--json", metavar="FILE|-", help="append records, one a line")
    out.add_argument("--csv", metavar="FILE|-", help="write them as CSV")
    out.add_argument("--markdown", metavar="FILE|-", help="write the tables as Markdown")
    out.add_argument("--plot", type=Path, metavar="FILE", help="draw latency as .png or .svg")
    gates = parser.add_argument_group("gates")
    gates.add_argument(
        "--budget",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=LIMIT[@1s]",
        help=f"what may not be exceeded: {', '.join(FIGURES)}",
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
    """Run the command: 2 if anything could not be measured, after all else was."""
    options = _options(arguments)
    budgets = [parse_budget(text) for text in arguments.budget]
    check_lengths(budgets, options.seconds)
    _check_outputs(arguments)
    history = None if arguments.compare is None else read_history(arguments.compare)
    failures: list[EdgeSerError] = []

    def complain(error: EdgeSerError) -> None:
        failures.append(error)
        print(f"edge-ser: error: {error}", file=sys.stderr)

    runtimes = [n.strip() for given in arguments.runtime for n in given.split(",") if n.strip()]
    systems = candidates(arguments.bundles, runtimes, arguments.checkpoint, complain)
    with steps(options.steps(len(systems)), quiet=not systems) as bar:

        def complain_over_bar(error: EdgeSerError) -> None:
            bar.clear()
            complain(error)

        def progress(word: str, count: float) -> None:
            bar.set_postfix_str(word, refresh=count == 0)
            bar.update(count)

        records = Suite(options, complain_over_bar, progress).run(systems)
    if not records:
        return 2
    comparison = None
    if history is not None:
        try:
            comparison = compare(history, records, arguments.threshold, str(arguments.compare))
        except EdgeSerError as error:
            complain(error)  # after an hour of measuring, its results are still wanted
    _write(arguments, records, comparison)
    exceeded = broken(budgets, records)
    regressions = comparison.regressions if comparison else []
    if budgets and not exceeded and not _quiet(arguments):
        print(f"\nbudgets: {', '.join(b.text for b in budgets)}: kept")
    gates = []
    if exceeded:
        gates.append(GateError("budget", expected="every budget kept", found="; ".join(exceeded)))
    if regressions:
        worst = [f"{c.place}: {c.metric} {c.ratio.value:.2f} times" for c in regressions]
        gates.append(
            GateError(
                "comparison",
                expected=f"nothing worse by more than {arguments.threshold:.0%}",
                found="; ".join(worst),
            )
        )
    for gate in gates:
        print(f"edge-ser: error: {gate}", file=sys.stderr)
    if failures:
        return 2
    return 1 if gates else 0


def _options(arguments: argparse.Namespace) -> Options:
    for name, value, least in (
        ("--rounds", arguments.rounds, 1),
        ("--processes", arguments.processes, 0),
    ):
        if value < least:
            raise UsageError(name, expected=f"at least {least}", found=str(value))
    for name, share in (("--max-time", arguments.max_time), ("--threshold", arguments.threshold)):
        if not 0 <= share < float("inf"):
            raise UsageError(name, expected="a number, at least 0", found=f"{share:g}")
    plan = Plan(
        max_rounds=arguments.rounds,
        max_seconds=arguments.max_time,
        min_rounds=min(arguments.rounds, Plan.min_rounds),
    )
    return Options(
        seconds=_numbers("--seconds", arguments.seconds, float),
        batches=_numbers("--batch", arguments.batch, int),
        threads=_numbers("--threads", arguments.threads, int),
        plan=plan,
        processes=arguments.processes,
        audio=arguments.audio,
    )


def _numbers(name: str, text: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    """Numbers above zero, separated by commas, each once.

    Raises:
        UsageError: anything else.
    """
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < v < 1e6 for v in values):
        what = "whole numbers" if kind is int else "numbers"
        raise UsageError(name, expected=f"{what} above 0, separated by commas", found=text)
    return tuple(dict.fromkeys(values))


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written, before anything is measured."""
    given = [arguments.json, arguments.csv, arguments.markdown]
    if given.count(_STDOUT) > 1:
        raise UsageError(
            "standard output", expected="one of --json, --csv and --markdown", found="several"
        )
    if arguments.json not in (None, _STDOUT):
        check_history(Path(arguments.json))
    for text in (arguments.csv, arguments.markdown):
        path = Path(text or _STDOUT)
        if text not in (None, _STDOUT) and (path.is_dir() or not path.parent.is_dir()):
            raise UsageError(path, expected="a file in an existing directory", found="none such")
    if arguments.plot is not None:
        check_plot_path(arguments.plot)


def _quiet(arguments: argparse.Namespace) -> bool:
    """Whether standard output belongs to a machine."""
    return _STDOUT in (arguments.json, arguments.csv, arguments.markdown)


def _write(
    arguments: argparse.Namespace, records: Sequence[Record], comparison: Comparison | None
) -> None:
    if not _quiet(arguments):
        print(_page(records, comparison, tables.text))
    if arguments.json == _STDOUT:
        print("".join(r.to_json() + "\n" for r in records), end="")
    elif arguments.json:
        append(Path(arguments.json), records)
    for target, content in (
        (arguments.csv, tables.csv_text(records)),
        (arguments.markdown, _page(records, comparison, tables.markdown) + "\n"),
    ):
        if target == _STDOUT:
            print(content, end="")
        elif target:
            Path(target).write_text(content, encoding="utf-8")
    if arguments.plot is not None:
        write_plot(arguments.plot, records)


def _page(
    records: Sequence[Record],
    comparison: Comparison | None,
    form: Callable[[tables.Rows, Sequence[int]], str],
) -> str:
    """All tables, and what must be said with them."""
    latency = tables.latency_rows(records)
    left = [i for i, name in enumerate(latency[0]) if name in _LEFT_LATENCY or "= 1" in name]
    bullet = "- " if form is tables.markdown else ""
    parts = [
        form(latency, left),
        form(tables.system_rows(records), (0,)),
        "\n".join(f"{bullet}{note}" for note in tables.notes(records)),
    ]
    if comparison is not None:
        parts.append(form(tables.change_rows(comparison), _LEFT_CHANGES))
        said = f"compared with {comparison.runs} earlier run{'s' if comparison.runs > 1 else ''}"
        if comparison.unmatched:
            said += f"; without an earlier measurement: {'; '.join(comparison.unmatched)}"
        parts.append(said)
    return "\n\n".join(parts)
