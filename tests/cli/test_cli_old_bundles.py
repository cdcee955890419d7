"""Bundles that earlier versions wrote still open, give their recorded answers and are explained.

`tests/helpers/make_old_bundles.py` made them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ser

Cli = Callable[..., Any]
DATA = Path(__file__).resolve().parent.parent / "data"
BUNDLES = sorted(DATA.glob("bundles-schema-*/*.zip"))
# what `inspect` says of each target besides what it says of all
SAID = {
    "onnx-fp32": ["computed in fp32, weights stored as float32"],
    "onnx-fp32-group": ["computed in fp32, weights stored as float32"],
    "onnx-fp16": ["weights stored as float16", "recipe         weights", "calibration    4 utter"],
    "onnx-int8": ["recipe         dynamic", "made for       x86-vnni", "100.0% of the encoder"],
    "trt-fp16": ["not built yet, fp16 for orin (sm87)", "100.0% of the encoder (fp16 100.0%)"],
    "trt-int8": ["not built yet, int8 for orin (sm87)", "(fp16 27.4%, int8 72.6%)"],
}


def test_a_bundle_of_each_kind_is_there() -> None:
    assert {path.stem for path in BUNDLES} == set(SAID)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
class TestOldBundle:
    def test_verifies(self, path: Path, cli: Cli) -> None:
        """The typed graphs of TensorRT's targets run on the CPU, too."""
        done = cli("verify", path, "--json", "--threads", "1")
        assert (done.code, json.loads(done.out)["failures"]) == (0, [])

    def test_is_explained(self, path: Path, cli: Cli) -> None:
        done = cli("inspect", path)
        assert done.code == 0
        target = path.stem.removesuffix("-group")
        for line in (target, "all files as recorded", "parity         passed", *SAID[path.stem]):
            assert line in done.out
        assert json.loads(cli("inspect", path, "--json").out)["schema"] == 1

    def test_answers(self, path: Path) -> None:
        runtime = {"runtime": "onnx"} if path.stem.startswith("trt") else {}
        emotion = edge_ser.load(path, threads=1, **runtime)(
            np.sin(np.arange(16_000, dtype=np.float32)), 16_000
        )
        assert len(emotion.region_probabilities) == 8
        assert 1 <= emotion.arousal <= 7
