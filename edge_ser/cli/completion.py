"""`edge-ser completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

from edge_ser.cli.common import needs
from edge_ser.errors import MissingExtraError

SHELLS = ("bash", "zsh", "fish")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "completion",
        help="print a script that makes a shell complete commands and options",
        description="Write the script to where the shell looks for it, once: bash "
        "~/.local/share/bash-completion/completions/edge-ser, zsh a file _edge-ser in a folder of "
        "$fpath, fish ~/.config/fish/completions/edge-ser.fish.",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser.cli import build_parser

    with needs("completion", "completion"):
        import shtab
    parser = build_parser()
    for command in parser.commands().values():
        with contextlib.suppress(MissingExtraError):  # options of what is not installed
            _declare_rest(command)
        for action in command._actions:
            if action.type is Path or str(action.metavar).endswith(("BUNDLE", "CKPT", "FILE")):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _declare_rest(command: Any) -> None:
    """What `build_parser` declares only for the command that is run."""
    from edge_ser.cli import export, train

    if command.prog.endswith(" export"):
        export.add_targets(command)
    if command.prog.endswith(" train"):
        train.add_recipe(command)
