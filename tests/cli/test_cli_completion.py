"""The scripts for shells: sound, and completing what there is."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from edge_ser.cli import COMMANDS
from edge_ser.cli.completion import SHELLS

pytest.importorskip("shtab")
Cli = Callable[..., Any]
ASK = """
source /dev/stdin
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_edge_ser
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_commands_and_options(shell: str, cli: Cli) -> None:
    done = cli("completion", shell)
    assert (done.code, done.err) == (0, "")
    for word in (*COMMANDS, "target", "parity-audio", "min-ccc", "runtime"):
        assert word in done.out
    if shutil.which(shell):
        check = [shell, "-n"] if shell != "fish" else [shell, "--no-execute"]
        assert subprocess.run(check, input=done.out, text=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("edge-ser ver", {"verify"}),
        ("edge-ser e", {"export", "evaluate"}),
        ("edge-ser verify --ref", {"--reference"}),
        ("edge-ser export --tar", {"--target"}),
        ("edge-ser predict --format ", {"table", "json", "csv", "rttm"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], cli: Cli) -> None:
    script = cli("completion", "bash").out
    quoted = words if not words.endswith(" ") else f"{words}''"
    done = subprocess.run(
        ["bash", "-c", ASK.format(words=quoted)], input=script, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) == expected, done.stderr


def test_it_costs_no_other_command_its_import() -> None:
    code = "import sys; from edge_ser.cli import main; main(['inspect']); "
    code += "print('shtab' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
