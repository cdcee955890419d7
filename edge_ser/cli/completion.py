"""`edge-ser completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import argparse
from typing import Any

from edge_ser.cli.common import needs
from edge_ser.cli.outputs import names_path

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
        for action in command._actions:
            if names_path(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell))
    return 0
