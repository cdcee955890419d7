"""A command in a process of its own, with limits: for bundles that were made elsewhere.

Opening a bundle has limits, running its graph has none: what lies between its operators may take
all memory, and a run may never end or take the process along.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from edge_ser.cli.failures import USAGE
from edge_ser.errors import BundleError, UsageError
from edge_ser.host.child import code_command

# WavLM large in float32 takes 5 GB of address space, mapped weights and threads' stacks included.
LIMIT_BYTES = 8 << 30
# It answers its recorded clips within a minute on a small board.
LIMIT_SECONDS = 300.0
# What fails here is no gate, whose exit code is the one that Python itself would end with.
_CODE = """
try:
    from edge_ser.cli import program
    from edge_ser.cli.isolated import set_limits
    set_limits({bytes})
except Exception as error:
    print("edge-ser: error: isolated process: expected one that begins, found",
          type(error).__name__ + ":", *str(error).split(), file=sys.stderr)
    sys.exit({usage})
sys.exit(program(limited=True))
"""


def add_isolated(parser: Any) -> None:
    """The option that asks for it."""
    parser.add_argument(
        "--isolated",
        action="store_true",
        help="in a process of its own, which ends after 5 minutes or at 8 GB: for bundles that "
        "were made elsewhere",
    )


def set_limits(memory_bytes: int) -> None:
    """Limit this process for good, in the child alone: to what its parent may have at the most.

    Args:
        memory_bytes: of address space.

    Raises:
        OSError: the system does not set them.
        ValueError: it does not set such ones.
    """
    import resource

    for kind, limit in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))


def run_isolated(
    given: Sequence[str], seconds: float = LIMIT_SECONDS, memory_bytes: int = LIMIT_BYTES
) -> int:
    """Run a command with limits.

    Args:
        given: its words, without the program's name.
        seconds: after which it is ended.
        memory_bytes: of address space.

    Returns:
        its exit code.

    Raises:
        UsageError: this system has no such limits.
        BundleError: it did not end by itself.
    """
    if sys.platform == "win32":
        raise UsageError(
            "--isolated", expected="a system with limits of processes", found="Windows",
            advice="use a container",
        )  # fmt: skip
    sys.stdout.flush()
    command = code_command(_CODE.format(bytes=memory_bytes, usage=USAGE), *given)
    try:
        code = subprocess.run(command, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired as error:
        raise _ended(f"more than {seconds:g} s") from error
    if code < 0:
        raise _ended(signal.Signals(-code).name)
    return code


def _ended(how: str) -> BundleError:
    return BundleError(
        "isolated process",
        expected="one that ends by itself",
        found=how,
        advice="do not use this bundle",
    )
