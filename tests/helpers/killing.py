"""Killing a process before each step that it takes in the file system, one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Of Python's audit events, those by which files change, and are opened.
_STEPS = ("open", "os.", "shutil.", "tempfile.", "ctypes.dlsym")


def kill_before(step: int, folder: Path) -> None:
    """Have this process killed before the given step, from 0, that it takes in a folder.

    Finding `renameat2`, the one step that Python has no event for, counts too.
    """
    left = step

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if not event.startswith(_STEPS):
            return
        texts = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
        # whoever removes a tree gives names relative to its folders
        is_step = event in ("os.remove", "os.rmdir") or "renameat2" in texts
        if is_step or any(text.startswith(str(folder)) for text in texts):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(watch)


def _serve(prepare: str, folder: Path) -> None:
    """For each line of stdin, a fork that runs its code and is killed at the step of its number."""
    names: dict[str, object] = {}
    exec(prepare, names)
    for step, code in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            kill_before(step, folder)
            exec(code, names)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


@contextmanager
def killer(prepare: str, folder: Path) -> Iterator[Callable[[str], bool]]:
    """A function that runs code, and kills it one step later than the time before.

    Args:
        prepare: code that runs once, before all.
        folder: whose steps count.

    Yields:
        it returns whether the code was killed; it no longer is when it takes fewer steps.
    """
    arguments = [sys.executable, "-m", "helpers.killing", prepare, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        arguments, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(code: str) -> bool:
            assert "\n" not in code
            print(code, file=stdin, flush=True)
            status = int(stdout.readline())
            assert status in (0, -signal.SIGKILL), f"exit code {status}: {code}"
            return status != 0

        yield run
        stdin.close()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
