"""The parent's side of a worker: requests, and a clock that counts its time alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

_BENCHMARKS = Path(__file__).parent.parent
_ROOT = _BENCHMARKS.parent


class PeerError(RuntimeError):
    """A peer that cannot be built, loaded or run, in its own words."""


class Clock:
    """Seconds that workers said they worked: pipes and JSON between processes cost no system."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Seconds so far."""
        return self.seconds


class Worker:
    """A process in an environment.

    Args:
        python: its interpreter.
        log: where its messages go.
    """

    def __init__(self, python: Path, log: Path) -> None:
        paths = (_ROOT, _ROOT / "export", _ROOT / "runtimes", _BENCHMARKS)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "ORT_DISABLE_TELEMETRY": "1",  # of libraries that import it themselves
            "TOKENIZERS_PARALLELISM": "false",
        }
        with log.open("ab") as messages:
            self._process = subprocess.Popen(
                [str(python), str(Path(__file__).parent / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                env=environment,
            )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request.

        Raises:
            PeerError: it failed, or the process ended.
        """
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise PeerError("the process has no pipes")
        try:
            process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"the process ended with status {process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply

    def close(self) -> None:
        """Let the process end."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def build(python: Path, log: Path, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a `build` function in a process that ends; its facts, with `seconds`.

    Raises:
        PeerError: it failed.
    """
    worker = Worker(python, log)
    try:
        reply = worker.ask("build", function=function, arguments=arguments)
    finally:
        worker.close()
    return {**reply["facts"], "build_seconds": reply["seconds"]}
