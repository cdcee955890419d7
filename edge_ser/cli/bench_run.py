"""What `edge-ser bench` does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_ser.bench import tables
from edge_ser.bench.budgets import broken, check_lengths, parse_budget
from edge_ser.bench.compare import Comparison, compare
from edge_ser.bench.plot import write_plot
from edge_ser.bench.records import Record, append, check_history, read_history
from edge_ser.bench.suite import Options, Suite
from edge_ser.cli.bench_systems import systems_of
from edge_ser.cli.console import print_error, print_warning, steps
from edge_ser.errors import EdgeSerError, GateError, UsageError
from edge_ser.measure.timing import Plan
from edge_ser.plotting import check_plot_path
from edge_ser.report.files import check_output_path, write_whole

_STDOUT = Path("-")
_LEFT_LATENCY, _LEFT_CHANGES = ("length", "system"), (0, 1, 5)


def run_bench(arguments: argparse.Namespace) -> int:
    """Run the command: 2 if anything could not be measured, after all else was."""
    options = _options(arguments)
    budgets = [parse_budget(text) for text in arguments.budget]
    check_lengths(budgets, options.seconds)
    _check_outputs(arguments)
    history = None if arguments.compare is None else read_history(arguments.compare)
    failures: list[EdgeSerError] = []

    def complain(error: EdgeSerError) -> None:
        failures.append(error)
        print_error(error)

    runtimes = [n.strip() for given in arguments.runtime for n in given.split(",") if n.strip()]
    systems = systems_of(arguments.bundles, runtimes, arguments.checkpoint, complain)
    with steps(options.steps(len(systems)), quiet=not systems) as bar:

        def complain_over_bar(error: EdgeSerError) -> None:
            bar.clear()
            complain(error)

        def progress(word: str, count: float) -> None:
            bar.set_postfix_str(word, refresh=count == 0)
            bar.update(count)

        suite = Suite(options, complain_over_bar, progress)
        records = suite.run(systems)
    if suite.is_interrupted:
        if records:
            _write(arguments, records, None)
        raise KeyboardInterrupt  # nothing is judged on a part
    if not records:
        return 2
    comparison = None
    if history is not None:
        try:
            comparison = compare(history, records, arguments.threshold, str(arguments.compare))
        except EdgeSerError as error:
            complain(error)  # after an hour of measuring, its results are still wanted
    _write(arguments, records, comparison)
    if comparison is not None and comparison.not_judged:
        print_warning(
            f"{len(comparison.not_judged)} figures were not compared, because "
            "other programs interrupted the runs: measure on a quiet machine"
        )
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
        print_error(gate)
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
    places = [arguments.json, arguments.csv, arguments.markdown]
    if places.count(_STDOUT) > 1:
        raise UsageError(
            "standard output", expected="one of --json, --csv and --markdown", found="several"
        )
    if arguments.json not in (None, _STDOUT):
        check_history(arguments.json)
    for path in (arguments.csv, arguments.markdown):
        if path not in (None, _STDOUT):
            check_output_path(path)
    if arguments.plot is not None:
        check_plot_path(arguments.plot, "edge-ser bench")


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
        append(arguments.json, records)
    for target, content in (
        (arguments.csv, tables.csv_text(records)),
        (arguments.markdown, _page(records, comparison, tables.markdown) + "\n"),
    ):
        if target == _STDOUT:
            print(content, end="")
        elif target:
            write_whole(target, content)
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
        sentence = (
            f"compared with {comparison.runs} earlier run{'s' if comparison.runs > 1 else ''}"
        )
        if comparison.unmatched:
            sentence += f"; without an earlier measurement: {'; '.join(comparison.unmatched)}"
        parts.append(sentence)
    return "\n\n".join(parts)
