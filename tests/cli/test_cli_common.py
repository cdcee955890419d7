"""What commands share."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = """
import atexit, gc, sys
# runs last: what is registered first is called last
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 1000))
from edge_ser.cli import program
sys.argv[1:] = {arguments!r}
print("code", program())
print("threshold", gc.get_threshold()[0] > 10_000)
"""


def told(*arguments: str) -> list[str]:
    program = PROGRAM.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-3:]


def test_export_spares_the_process_the_search_for_cycles() -> None:
    assert told("export", "nowhere.pt") == ["code 2", "threshold True", "frozen True"]


def test_commands_that_stay_light_leave_the_collector_alone() -> None:
    assert told("inspect", "nowhere") == ["code 2", "threshold False", "frozen False"]


def test_verbose_says_on_stderr_what_is_done(
    cli: Callable[..., Any], utterances: list[Path]
) -> None:
    quiet = cli("predict", "--threads", 1, utterances[0])
    done = cli("predict", "-v", "--threads", 1, utterances[0])
    assert (done.code, done.out, quiet.err) == (0, quiet.out, "")
    opened, ran = done.err.splitlines()
    assert "ms  edge_ser_runtimes.registry: " in opened
    assert "onnx-fp32, opened in onnx (onnxruntime" in opened
    assert "ms  edge_ser_runtimes.base: ran 1 of [2." in ran
    assert logging.getLogger("edge_ser").handlers == [], "nothing stays behind"
