"""A session's end, its tensors' names, and its life in other processes, in every CPU runtime."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import MANIFEST
from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, UsageError
from edge_ser.session import Session
from edge_ser_runtimes.base import BaseSession
from edge_ser_runtimes.registry import open_session

TinyBundle = Callable[..., Path]
RUNTIMES = ["onnx", "openvino"]
SECONDS = 60
NOISE = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
INPUTS = NOISE[None], np.array([8000])
AUDIO = TensorSpec("audio", "float32", ("batch", "n"))
SIZES = TensorSpec("sizes", "int64", ("batch",))


def opened(runtime: str, threads: int = 1) -> Any:
    return open_session(Bundle.open(DEFAULT_BUNDLE), runtime, threads)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_session_is_closed_by_a_with_statement(runtime: str) -> None:
    with opened(runtime) as session:
        assert isinstance(session, BaseSession)
        assert session.run(*INPUTS).vad.shape == (1, 3)
    with pytest.raises(UsageError, match="session: expected an open one, found one that was"):
        session.run(*INPUTS)
    session.close()  # again does nothing


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_run_that_another_thread_overtakes_with_close_says_so(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(runtime)
    check_open = session._check_open

    def checked_then_closed() -> None:
        check_open()
        session.close()

    monkeypatch.setattr(session, "_check_open", checked_then_closed)
    with pytest.raises(UsageError, match="session: expected an open one, found one that was"):
        session.run(*INPUTS)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells threads here")
def test_a_closed_session_gives_its_threads_back() -> None:
    code = """
import os
import numpy as np
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser_runtimes.registry import open_session
def threads():
    return len(os.listdir("/proc/self/task"))
bundle = Bundle.open(DEFAULT_BUNDLE)
open_session(bundle, "onnx", 1).close()  # what the library keeps for itself
before = threads()
session = open_session(bundle, "onnx", 3)
session.run(np.ones((1, 8000), np.float32), np.array([8000]))
assert threads() == before + 2, (threads(), before)
session.close()
assert threads() == before, (threads(), before)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


# Names


def with_inputs(bundle: Bundle, *specs: TensorSpec) -> Bundle:
    return Bundle(bundle.root, replace(bundle.manifest, inputs=specs))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_inputs_have_the_names_of_the_manifest(runtime: str, tiny_bundle: TinyBundle) -> None:
    path = tiny_bundle("named", inputs=("audio", "sizes"))
    manifest = Manifest.from_json((path / MANIFEST).read_bytes(), MANIFEST)
    seal(path, replace(manifest, inputs=(AUDIO, SIZES)))
    outputs = open_session(Bundle.open(path), runtime, 1).run(*INPUTS)
    plain = open_session(Bundle.open(tiny_bundle("plain")), runtime, 1).run(*INPUTS)
    np.testing.assert_array_equal(outputs.vad, plain.vad)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_manifest_of_other_inputs_is_refused(runtime: str, tiny_bundle: TinyBundle) -> None:
    with pytest.raises(BundleError, match=r"expected two inputs, .*found audio float32"):
        open_session(with_inputs(Bundle.open(tiny_bundle()), AUDIO), runtime, 1)


# Other processes


def run_in_child(answers: Any, session: Session) -> None:
    try:
        answers.put(str(session.run(*INPUTS).vad))
    except UsageError as error:
        answers.put(str(error))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_session_of_the_parent_says_so_in_a_forked_child(runtime: str, threads: int) -> None:
    session = opened(runtime, threads)
    session.run(*INPUTS)
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=run_in_child, args=(answers, session))
    child.start()
    answer = answers.get(timeout=SECONDS)
    child.join(SECONDS)
    assert child.exitcode == 0
    assert "found one of the process that it was forked from; open it after the fork" in answer
    assert session.run(*INPUTS).vad.shape == (1, 3), "the parent's goes on"


FORKED = """
import os, sys
import numpy as np
import edge_ser
runtime, threads = sys.argv[1], int(sys.argv[2])
ser = edge_ser.load(runtime=runtime, threads=threads)
noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
mine = ser(noise, 16_000).arousal
child = os.fork()
if not child:
    assert abs(ser(noise, 16_000).arousal - mine) < 1e-4
    ser.close()
    sys.exit(7)  # the interpreter's whole end, with what it inherited
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert abs(ser(noise, 16_000).arousal - mine) < 1e-4
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_forked_child_predicts_and_ends_as_any_process(runtime: str, threads: str) -> None:
    subprocess.run([sys.executable, "-c", FORKED, runtime, threads], check=True, timeout=SECONDS)


def predict_in_child(answers: Any, ser: edge_ser.Recognizer) -> None:
    answers.put(ser(NOISE, 16_000).arousal)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_spawned_child_predicts(runtime: str) -> None:
    ser = edge_ser.load(runtime=runtime, threads=1)
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    child = spawn.Process(target=predict_in_child, args=(answers, ser))
    child.start()
    assert answers.get(timeout=SECONDS) == pytest.approx(ser(NOISE, 16_000).arousal, abs=1e-4)
    child.join(SECONDS)
    assert child.exitcode == 0
