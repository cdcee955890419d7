"""A bundle of somebody else is verified in a process that may take its limits and no more."""

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
