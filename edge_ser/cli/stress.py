"""`edge-ser stress`."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_ser.cli.common import add_runtime_options, computing_words
from edge_ser.cli.console import print_error, print_note, print_warning, told_warnings
from edge_ser.cli.folders import audio_files
from edge_ser.cli.outputs import Output
from edge_ser.cli.parser import Several
from edge_ser.errors import GateError, MissingPathError
from edge_ser.load import load
from edge_ser.progress import watched
from edge_ser.recognizer import Recognizer
from edge_ser.report.files import check_output_path, check_page_path, write_page, write_whole

# Clips that are named when they cannot be used; the others are counted.
_NAMED = 10


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "stress",
        help="see whether a bundle's answers hold under noise, rooms, lines and codecs",
        description="Answer speech clean and under many conditions - noise, rooms, telephone, "
        "codecs, levels, pace - and print how far the answers move, or how far a bundle moves from "
        "another one. Needs no torch. With --budget a gate: exit code 1 if it fails.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory or .zip")
    parser.add_argument("--audio", type=Path, metavar="DIR", required=True, help="folder of speech")
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE.csv",
        help="file, group: who speaks, or where; each group is judged by itself, too",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE.csv",
        help="FileName, EmoAct, EmoDom, EmoVal: agreement with what people heard, under each "
        "condition",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="BUNDLE",
        help="of the same model, such as its float32 one, to compare with under each condition",
    )
    parser.add_argument(
        "--condition",
        action=Several,
        like=lambda word: not Path(word).exists(),
        metavar="NAME",
        help="to try, by kind, name or pattern: noise, noise-20db, *-10db (default: all)",
    )
    parser.add_argument(
        "--budget",
        action=Several,
        like=lambda word: "=" in word,
        metavar="CONDITION.FIGURE=LIMIT",
        help="what may not be exceeded, such as noise-20db.flips=0.1 or '*.against.ccc=0.95'; "
        "figures: vad, angle, flips, bias, ccc, the same behind against. or labels., and all of "
        "them behind groups. for the worst group",
    )
    parser.add_argument("--report", action=Output, help="write a page: HTML, or .pdf")
    parser.add_argument("--json", action=Output, help="write all figures as JSON")
    add_runtime_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: 2 if any clip could not be used, after all others were."""
    from edge_ser.stress.budgets import broken, check_sides, parse_budget
    from edge_ser.stress.clips import describe_clips
    from edge_ser.stress.page import stress_page
    from edge_ser.stress.perturbations import choose
    from edge_ser.stress.run import stress
    from edge_ser.stress.tables import page

    conditions = choose(arguments.condition)
    budgets = [parse_budget(text, [c.name for c in conditions]) for text in arguments.budget]
    check_sides(
        budgets, arguments.against is not None, arguments.groups is not None,
        arguments.labels is not None,
    )  # fmt: skip
    _check_outputs(arguments)
    folder: Path = arguments.audio
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing there"
        raise MissingPathError(folder, expected="a folder of speech", found=found)
    files, unreadable = audio_files([folder])
    with ExitStack() as stack:
        stack.enter_context(told_warnings())
        clips = describe_clips(folder, files, arguments.groups, arguments.labels)
        recognizer = stack.enter_context(_load(arguments.bundle, arguments))
        against = None
        if arguments.against is not None:
            against = stack.enter_context(_load(arguments.against, arguments))
        runtime, _ = computing_words(recognizer.session, arguments)
        with watched(total=len(files), unit="clip", name="stress") as bar:
            result = stress(recognizer, clips, conditions, against, progress=bar.update)
    failures = broken(budgets, result)
    print(page(result))
    if arguments.json is not None:
        data = {**result.to_dict(), "budgets": [b.text for b in budgets], "broken": failures}
        write_whole(arguments.json, json.dumps(data, indent=1) + "\n")
    if arguments.report is not None:
        written = _writing(runtime)
        write_page(arguments.report, stress_page(result, budgets, failures, written))
        print_note(f"report: {arguments.report}")
    for name, reason in result.not_tried.items():
        print_warning(f"{name} was not tried: {reason}")
    for line in result.unusable[:_NAMED]:
        print_error(line)
    if len(result.unusable) > _NAMED:
        print_error(f"and {len(result.unusable) - _NAMED} more")
    if failures:
        gate = GateError("budget", expected="every budget kept", found="; ".join(failures))
        if not result.unusable and not unreadable:
            raise gate
        print_error(gate)
    elif budgets:
        print(f"\nbudgets: {', '.join(b.text for b in budgets)}: kept")
    return 2 if result.unusable or unreadable else 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    if arguments.json is not None:
        check_output_path(arguments.json)
    if arguments.report is not None:
        check_page_path(arguments.report)


def _load(bundle: Path, arguments: argparse.Namespace) -> Recognizer:
    return load(bundle, arguments.runtime, arguments.threads, provider=arguments.provider)


def _writing(runtime: str) -> Any:
    from edge_ser.host.facts import this_machine
    from edge_ser.report.origin import Writing
    from edge_ser.version import __version__

    words = f"{runtime}, edge-ser {__version__}"
    return Writing(datetime.now(timezone.utc), this_machine(), words)
