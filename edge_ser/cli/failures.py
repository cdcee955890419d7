"""What a command says, and exits with, when something stops it.

Exit code 1 belongs to gates alone: a script that ships a model on it must not take a full disk for
a failed comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import NamedTuple

from edge_ser.errors import DEBUG_VARIABLE, INTERRUPTED, EdgeSerError
from edge_ser.printable import printable

# Wrong use, or something that the user can solve: a disk, a permission, memory.
USAGE = 2
# EX_SOFTWARE of sysexits.h: a fault of this program, or of a library that it calls.
INTERNAL = 70
# What libraries in C++ say, in errors of their own, where Python would raise MemoryError.
_NO_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "out of memory", "cannot allocate")


class TerminatedError(KeyboardInterrupt):
    """A signal that asks a process to end; handled as Ctrl-C is, so that everything is tidied up.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number  # as shells say it


def end_tidily() -> None:
    """Let SIGTERM, and a terminal that closes, end this process as Ctrl-C does."""

    def end(number: int, _: object) -> None:
        raise TerminatedError(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # not where the parent, such as nohup, has chosen otherwise
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


class Failure(NamedTuple):
    """How a command ends.

    Attributes:
        line: for stderr.
        exit_code: of the process.
    """

    line: str
    exit_code: int


def explain(error: BaseException) -> Failure:
    """One line and an exit code for whatever stopped a command."""
    if isinstance(error, EdgeSerError):
        return Failure(str(error), error.exit_code)
    if isinstance(error, TerminatedError):
        return Failure("terminated", error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted", INTERRUPTED)
    first_line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, MemoryError) or any(words in first_line.lower() for words in _NO_MEMORY):
        return Failure(
            "memory: expected enough for this model and audio, found too little; free some, or "
            "take smaller batches or a smaller model",
            USAGE,
        )
    if isinstance(error, OSError):
        reason = error.strerror or first_line
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"expected room for it, found {reason}; free some, or choose another place"
        if error.errno == errno.EFBIG:
            reason = (
                f"expected a file that may grow, found {reason}; raise the limit (ulimit -f), or "
                "choose another place"
            )
        return Failure(f"{error.filename or 'file'}: {reason}", USAGE)
    kind = type(error).__name__
    return Failure(
        f"internal error: expected none, found {kind}{f': {first_line}' if first_line else ''}; "
        f"for the traceback run edge-ser -v ..., or set {DEBUG_VARIABLE}=1",
        INTERNAL,
    )


def complain(error: BaseException, verbose: bool) -> int:
    """Say on stderr what stopped a command, after the traceback if that is wanted.

    Returns:
        the exit code.
    """
    failure = explain(error)
    if verbose or os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    # a name of a file or a library's words may hold anything
    line = printable(failure.line)
    # plainly: what draws around bars wants memory and locks, and no bar is left
    print(f"edge-ser: error: {line}", file=sys.stderr)
    return failure.exit_code
