"""The command line: `edge-ser export | build | verify | predict | inspect | bench | ...`.

Results go to stdout, progress and messages to stderr. Exit codes: 0 fine, 1 a gate failed,
2 wrong use or input or a full disk or memory, 70 a fault of the program, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from edge_ser.cli.common import collect_rarely
from edge_ser.cli.console import told_log
from edge_ser.cli.failures import complain, end_tidily
from edge_ser.cli.outputs import refuse_overwriting
from edge_ser.cli.parser import Parser, add_verbosity
from edge_ser.errors import UsageError
from edge_ser.libraries import loading
from edge_ser.progress import silent
from edge_ser.version import __version__

_WINDOWS = os.name == "nt"

# A file of this folder each.
COMMANDS = (
    "export", "build", "sign", "verify", "predict", "listen", "evaluate", "stress", "inspect",
    "report", "bench", "doctor", "train", "completion",
)  # fmt: skip
# Those that take the default bundle where none is named; others refuse to.
_DEFAULTED = ("verify", "predict", "inspect", "bench", "doctor", "listen")


def _words(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def build_parser(command: str | None = None) -> Parser:
    """The parser of all commands.

    Args:
        command: the one that is run: only its file is imported then, and what another package
            declares is needed for it alone. None: all are declared, for help and advice, without
            the options of what is not installed.
    """
    parser = Parser(
        prog="edge-ser",
        description="Speech emotion recognition on the device: export trained models, prove that "
        "they say the same, run them without torch.",
        epilog=f"Where {_words(_DEFAULTED)} are given no BUNDLE, and export no CKPT, the small "
        "default model is used. It was trained on synthetic speech: it is for trying the pipeline, "
        "not for judging people.",
    )
    parser.add_argument("--version", action="version", version=f"edge-ser {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS if command is None else [command]:
        _module(name).add_parser(commands)
    with contextlib.nullcontext() if command else contextlib.suppress(ImportError):
        if command in ("export", None):
            _module("export").add_targets(commands.choices["export"])
        if command in ("train", None):
            _module("train").add_recipe(commands.choices["train"])
    add_verbosity(parser, commands.choices.values())
    return parser


def program(limited: bool = False) -> int:
    """Run the command as a process of its own; returns its exit code.

    Args:
        limited: whether this process was made, with its limits, for an isolated command.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    end_tidily()
    if _command(sys.argv[1:]) == "export":
        collect_rarely()
    return main(limited=limited)


def _module(command: str) -> Any:
    with loading("edge-ser"):
        return importlib.import_module(f"{__name__}.{command}")


def _command(argv: Sequence[str]) -> str | None:
    """Name of the command, which no option before it takes as a value; None where there is none."""
    first = next((a for a in argv if not a.startswith("-")), None)
    return first if first in COMMANDS else None


def _refuse_empty(given: Sequence[str]) -> None:
    """An empty path would mean the working directory, and an empty name the default.

    Raises:
        UsageError: an argument is empty.
    """
    if "" in given:
        raise UsageError(
            "command line",
            expected="a path or a name",
            found="an empty argument",
            advice="is a variable of the shell unset?",
        )


def main(argv: Sequence[str] | None = None, limited: bool = False) -> int:
    """Run a command; returns its exit code.

    Args:
        argv: its words; None: those of this process.
        limited: whether this process has the limits of an isolated command already.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be Unicode
    given = sys.argv[1:] if argv is None else argv
    arguments = argparse.Namespace(verbose=False)
    try:
        _refuse_empty(given)
        parser = build_parser(_command(given))
        arguments = parser.parse_args(given)
        refuse_overwriting(parser.commands()[arguments.command].actions(), arguments)
        with told_log(arguments.verbose), silent(arguments.quiet):
            isolated = getattr(arguments, "isolated", False) and not limited
            code: int = (
                _module("isolated").run_isolated(given) if isolated else arguments.run(arguments)
            )
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SystemExit:  # --help and --version
        raise
    except BaseException as error:  # panics of libraries in Rust are no Exception
        if _reader_has_gone(error):
            _drop_output()
            return 0
        exit_code = complain(error, arguments.verbose)
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            _drop_output()  # the interpreter would try again at its end, and exit with 120
        return exit_code


def _drop_output() -> None:
    """What is not written yet goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_has_gone(error: BaseException) -> bool:
    """Whether the reader of our output ended first, as `head` does: Windows calls that EINVAL."""
    if _WINDOWS and isinstance(error, OSError) and error.errno == errno.EINVAL:
        return error.filename is None
    return isinstance(error, BrokenPipeError)
