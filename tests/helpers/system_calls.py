"""What a process does to the world, as strace sees it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which tells the system calls, is not installed"
)
# Names of hosts are also asked for through systemd's local service.
_TO_THE_NETWORK = re.compile(r"\b(?:connect|send\w*)\(.*(?:AF_INET|AF_UNIX.*Resolve)")


@dataclass(frozen=True)
class Traced:
    """A process that ended.

    Attributes:
        status: its exit status.
        output: stdout and stderr.
        contacts: system calls that reach for the network, its names included.
        written: files below its home, relative to it.
    """

    status: int
    output: str
    contacts: list[str]
    written: list[str]


def trace(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Traced:
    """Run Python with a fresh home, and wait for it.

    Args:
        arguments: of the interpreter.
        folder: for the home and the trace.
        environment: of the process, but for its home.
    """
    home, log = folder / "home", folder / "calls"
    home.mkdir()
    names = {"HOME": ".", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"}
    homes = {name: str(home / place) for name, place in names.items()}
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-e", "trace=%network", "-o", str(log), sys.executable,
         *arguments],
        env=environment | homes, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    calls = log.read_text(errors="replace").splitlines()
    return Traced(
        done.returncode,
        done.stdout + done.stderr,
        [call for call in calls if _TO_THE_NETWORK.search(call)],
        sorted(str(p.relative_to(home)) for p in home.rglob("*")),
    )
