"""A bundle of somebody else is verified in a process that may take its limits and no more."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.cli.isolated import run_isolated
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError


def greedy(folder: Path) -> Path:
    """A sealed bundle of known operators whose run takes 40 GB."""
    manifest = Bundle.open(folder).manifest
    model = onnx.load(folder / "model.onnx")
    for name, value in (("zero", 0), ("end", 5_000_000_000), ("one", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    model.graph.node.insert(0, helper.make_node("Range", ["zero", "end", "one"], ["many"]))
    model.graph.node.insert(1, helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0))
    model.graph.node.insert(2, helper.make_node("Cast", ["sum"], ["offset"], to=1))
    next(n for n in model.graph.node if list(n.output) == ["vad"]).output[0] = "plain"
    model.graph.node.append(helper.make_node("Add", ["plain", "offset"], ["vad"]))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    seal(folder, manifest)
    return folder


def test_a_sound_bundle_is_verified_as_otherwise(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(DEFAULT_BUNDLE), "--isolated", "--threads", "1"]) == 0
    assert "verified: this device gives the reference's answers" in capfd.readouterr().out


def test_a_graph_that_takes_all_memory_is_refused(
    tiny_bundle: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(greedy(tiny_bundle())), "--isolated", "--threads", "1"]) == 2
    assert "error" in capfd.readouterr().err


def test_what_does_not_end_is_ended() -> None:
    with pytest.raises(BundleError, match=r"isolated process: .*found more than 0.2 s"):
        run_isolated(["verify", str(DEFAULT_BUNDLE)], seconds=0.2)


def test_a_child_that_cannot_begin_is_no_failed_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "edge_ser.py").write_text("raise ImportError('its files\\nare damaged')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_isolated(["--version"]) == 2
    assert capfd.readouterr() == (
        "",
        "edge-ser: error: isolated process: expected one that begins, found ImportError: its files "
        "are damaged\n",
    )


def test_too_little_memory_to_begin_is_no_failed_gate(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_isolated(["verify", str(DEFAULT_BUNDLE)], memory_bytes=1) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("edge-ser: error: ")


@pytest.mark.parametrize("asked_bytes", [2 << 30, 8 << 30])
def test_a_limit_that_is_lower_already_is_kept(asked_bytes: int) -> None:
    code = "import resource as r; from edge_ser.cli.isolated import set_limits; "
    code += "r.setrlimit(r.RLIMIT_AS, (4 << 30, 4 << 30)); "
    code += (
        f"set_limits({asked_bytes}); print(r.getrlimit(r.RLIMIT_AS), r.getrlimit(r.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    limit = min(asked_bytes, 4 << 30)
    assert done.stdout.split("\n")[0] == f"{(limit, limit)} (0, 0)"


@pytest.mark.parametrize("value", ["1", str(os.getpid())], ids=["1", "pid"])
def test_no_variable_of_the_environment_takes_the_limits_away(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of time, which no fault of the limits themselves can hide."""
    monkeypatch.setenv("EDGE_SER_ISOLATED", value)
    monkeypatch.setattr(run_isolated, "__defaults__", (0.2, 8 << 30))
    with pytest.raises(BundleError, match=r"isolated process: .*found more than 0.2 s"):
        run_isolated(["verify", str(DEFAULT_BUNDLE), "--isolated"])
    assert main(["verify", str(DEFAULT_BUNDLE), "--isolated"]) == 2
