"""Whatever stops a command ends in one line, and never in the exit code of a failed gate."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser.cli import predict
from edge_ser.cli.failures import explain
from edge_ser.errors import BundleError, GateError

Cli = Callable[..., Any]
INTERNAL = 70
# A fresh process that has loaded the command line, changes something, and runs the command.
PROGRAM = """
import resource, sys
from edge_ser.cli import program
import edge_ser_runtimes.registry, onnxruntime, soundfile
{change}
sys.exit(program())
"""
LITTLE_MEMORY = """
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {megabytes} * 2**20,) * 2)
"""


def run(change: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(change=change), *arguments],
        capture_output=True, text=True, check=False, timeout=120, **options,
    )  # fmt: skip


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-ser: error: ")
    return line.removeprefix("edge-ser: error: ")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_memory_that_does_not_do_is_one_line(tmp_path: Path) -> None:
    wide = tmp_path / "wide.wav"  # 12.5 s of it are 600 MB
    with wave.open(str(wide), "wb") as file:
        file.setparams((64, 2, 192_000, 13 * 192_000, "NONE", ""))
        file.writeframes(bytes(128))
    os.truncate(wide, 44 + 128 * 13 * 192_000)
    with wide.open("r+b") as header:
        for place, size in ((4, 36 + 128 * 13 * 192_000), (40, 128 * 13 * 192_000)):
            header.seek(place)
            header.write(size.to_bytes(4, "little"))
    done = run(LITTLE_MEMORY.format(megabytes=64), "predict", str(wide))
    assert line_of(done).startswith("memory: expected enough for this model and audio, found too")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("megabytes", [1, 8, 24])
def test_no_memory_at_any_step_is_no_failed_gate(megabytes: int, utterances: list[Path]) -> None:
    change = LITTLE_MEMORY.format(megabytes=megabytes)
    done = run(change, "predict", "--threads", "1", str(utterances[0]))
    assert done.returncode == (0 if done.stdout else 2), done.stderr
    # ONNX Runtime's own log aside
    ours = [line for line in done.stderr.splitlines() if "[E:onnxruntime" not in line]
    assert len(ours) == (0 if done.stdout else 1)
    assert all(line.startswith("edge-ser: error: ") for line in ours)


def test_recursion_that_goes_too_deep_is_one_line() -> None:
    done = run("sys.setrecursionlimit(20)", "inspect")
    assert "internal error: expected none, found RecursionError" in line_of(done)
    assert done.returncode == INTERNAL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["inspect"], ["verify"], ["inspect", "--json"], ["doctor"]])
def test_a_full_disk_is_one_line_of_every_command(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_ser", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert "expected room for it, found No space left" in line_of(done)
    assert done.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_limit_of_file_size_is_one_line(tmp_path: Path) -> None:
    def limit() -> None:
        # Python ignores the signal and gets the error
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    report = tmp_path / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "edge_ser", "verify", "--report", str(report)],
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=limit,
    )  # fmt: skip
    assert "File too large" in line_of(done)
    assert done.returncode == 2


class PanicError(BaseException):
    """As a library in Rust raises it: no `Exception`."""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 2, "memory: expected enough"),
        (RuntimeError("std::bad_alloc"), 2, "memory: expected enough"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 2,
         "memory: expected enough"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y.csv"), 2,
         "/x/y.csv: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "file: expected room for it, found"),
        (OSError("no number"), 2, "file: no number"),
        (BundleError("b", expected="x", found="y"), 2, "b: expected x, found y"),
        (GateError("g", expected="x", found="y"), 1, "g: expected x, found y"),
        (RuntimeError("\n [ONNXRuntimeError] : 6 : bad\nsecond line"), INTERNAL,
         "found RuntimeError: [ONNXRuntimeError] : 6 : bad; for the traceback run edge-ser -v"),
        (KeyError("vad"), INTERNAL, "found KeyError: 'vad'; for"),
        (AssertionError(), INTERNAL, "found AssertionError; for"),
        (RecursionError("maximum recursion depth exceeded"), INTERNAL, "found RecursionError"),
        (UserWarning("as -W error raises it"), INTERNAL, "found UserWarning: as -W"),
        (PanicError("called `Option::unwrap()`"), INTERNAL, "found PanicError: called"),
        (ValueError("a\x1b[31mred"), INTERNAL, r"found ValueError: a\x1b[31mred"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else "",
)  # fmt: skip
def test_every_kind_of_error_has_its_line_and_code(
    error: BaseException, code: int, words: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(predict, "load", load)
    done = cli("predict")
    assert done.code == code
    (line,) = done.err.splitlines()
    assert line.startswith("edge-ser: error: ") and words in line
    assert done.out == ""


def test_ctrl_c_has_its_own_code() -> None:
    assert explain(KeyboardInterrupt()) == ("interrupted", 130)


@pytest.mark.parametrize(
    ("before", "after", "variable"), [("-v", "", ""), ("", "-v", ""), ("", "", "1")]
)
def test_the_traceback_can_be_had(
    before: str, after: str, variable: str, cli: Cli, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("EDGE_SER_DEBUG", variable)
    words = [before, "inspect", after, str(tmp_path / "none")]
    done = cli(*(w for w in words if w))
    assert done.code == 2
    first, *_, last = done.err.splitlines()
    assert first.startswith("Traceback") and "none: expected a bundle" in last
    assert re.search(r'File ".*bundle\.py", line', done.err)


def test_without_it_there_is_none(cli: Cli, tmp_path: Path) -> None:
    assert "EDGE_SER_DEBUG" not in os.environ
    assert "none: expected a bundle" in cli("inspect", tmp_path / "none").error()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell that closes streams")
@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(
    "arguments",
    ["predict", "predict --format csv", "inspect", "doctor", "--help", "predict none.wav"],
)
def test_a_stream_that_the_shell_closed_is_as_if_nobody_read_it(
    arguments: str, redirect: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m edge_ser {arguments} {redirect}', sys.executable],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    refused = "none.wav" in arguments
    assert done.returncode == (2 if refused else 0), done.stderr
    assert bool(done.stdout) == (not refused and not redirect.startswith(">"))
    assert bool(done.stderr) == (refused and "2>" not in redirect)
