"""`edge-ser doctor`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from typing import Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import open_session
from edge_ser.cli.console import print_error, step, steps
from edge_ser.cli.isolated import add_isolated
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.doctor.bundles import check_bundle
from edge_ser.doctor.examine import examine, python_version
from edge_ser.errors import EdgeSerError
from edge_ser.host.finding import Finding
from edge_ser.host.survey import survey
from edge_ser.version import __version__

_SCHEMA_VERSION = 1
_DEFAULT_NAME = "default model"


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="say what this machine has and lacks for each target and runtime",
        description="Look at the processor, memory, GPU, runtimes and libraries, and run the "
        "recorded utterances of the bundles. Exits with 1 if a bundle does not run here or gives "
        "other answers, with 2 if a path is no sound bundle.",
    )
    parser.add_argument(
        "bundles", nargs="*", metavar="BUNDLE", help="to be tried (default: the default model)"
    )
    add_isolated(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: 2 if a path is no bundle, after all others were tried; else 1 if one fails.

    The table comes even then: what is wrong with a bundle is often what is missing here.
    """
    asked = arguments.bundles or [DEFAULT_BUNDLE]
    code = 0
    with steps(2 + len(asked), quiet=arguments.json) as bar:
        here = survey()
        step(bar, "machine")
        findings = examine(here)
        step(bar, "runtimes")
        for path in asked:
            name = str(path) if arguments.bundles else _DEFAULT_NAME
            try:
                finding = check_bundle(Bundle.open(path), name, here, open_session)
            except EdgeSerError as error:
                print_error(error)
                finding = Finding("bundle", name, "fails", f"found {error.found}", error.advice)
                code = 2
            if finding.state == "fails":
                code = max(code, 1)
            findings.append(finding)
            step(bar, name)
    if arguments.json:
        record = {
            "schema": _SCHEMA_VERSION,
            "edge_ser": __version__,
            "python": python_version(),
            "ok": code == 0,
            "findings": [f.to_dict() for f in findings],
        }
        print(json.dumps(record, indent=1))
    else:
        print(f"edge-ser {__version__}, Python {python_version()}\n")
        _print(findings)
    return code


def _print(findings: list[Finding]) -> None:
    """One line each, advice below it; long ones are wrapped where people read them."""
    heads = [f"{f.area} {f.name}" for f in findings]
    width = max(len(h) for f, h in zip(findings, heads, strict=True) if f.area != "bundle")
    indent = " " * (width + 11)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for finding, head in zip(findings, heads, strict=True):
        lines = [finding.found, *([f"-> {finding.advice}"] if finding.advice else [])]
        if len(head) > width:  # a long path has its own line
            print(head)
        first = f"{head if len(head) <= width else '':<{width}}  {finding.state:<7}  "
        for text in lines:
            print(textwrap.fill(
                text, max(60, room - 1), initial_indent=first, subsequent_indent=indent,
                break_long_words=False, break_on_hyphens=False,
            ))  # fmt: skip
            first = indent
