"""Findings about bundles: those that run, differ, or do not run."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.manifest_parts import ENGINE
from helpers.surveys import BARE, GPU

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.evidence import Lowering, MadeFor
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.doctor.bundles import check_bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import DeviceError, MissingExtraError
from edge_ser.host.nvidia import TensorRt
from edge_ser.host.survey import Survey
from edge_ser.session import Session
from edge_ser_runtimes.registry import RUNTIMES, Runtime, open_session


def misfit_other(bundle: Bundle, here: Survey, words_said: str) -> str:
    """What it says of a bundle that does not run."""
    return f"other needs {bundle.manifest.target} elsewhere"


def register(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    other = Runtime("other", "nowhere:Session", "", ("other",), ("no_such_library",))
    monkeypatch.setitem(RUNTIMES, "other", replace(other, **fields))


def test_a_runtime_says_what_does_not_fit_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, misfit=f"{__name__}:misfit_other")
    finding = check_bundle(changed(), "x", BARE, lambda bundle: Wrong())
    assert finding.advice == "other needs onnx-fp32 elsewhere"


def test_the_default_bundle_answers() -> None:
    finding = check_bundle(Bundle.open(DEFAULT_BUNDLE), "default", BARE, open_session)
    assert (finding.state, finding.advice) == ("ok", "")
    assert "onnx-fp32: 17 recorded answers, VAD within" in finding.found


def test_a_bundle_that_does_not_fit_is_not_opened() -> None:
    def never(bundle: Bundle) -> Session:
        raise AssertionError("opened")

    finding = check_bundle(
        Bundle.open(DEFAULT_BUNDLE), "x", replace(BARE, free_bytes=1_000_000), never
    )
    assert finding.state == "fails"
    assert "0.00 GB of memory free" in finding.found and "onnx-int8" in finding.advice


class Wrong:
    """A session whose answers are all the same."""

    def run(self, samples: np.ndarray, lengths: np.ndarray) -> Outputs:
        n = lengths.size
        return Outputs.of(np.full((n, 3), 0.5, np.float32), np.zeros((n, 8), np.float32))

    def close(self) -> None:
        """Nothing to let go of."""


def changed(target: str | None = None, **parts: object) -> Bundle:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    manifest = bundle.manifest.with_parts(**parts)
    return Bundle(bundle.root, replace(manifest, target=target or manifest.target))


STANDARD = replace(ENGINE, backend="tensorrt", version="10.3.0.26", sm=("sm87",))


FOR_VNNI = Lowering("static", cpu=MadeFor("x86-vnni"))


@pytest.mark.parametrize(
    ("fields", "here", "advice"),
    [
        ({}, BARE, "do not use it on this device; export again"),
        ({"lowered": FOR_VNNI}, replace(BARE, integers="x86"),
         "export again with --cpu x86: it was made for x86-vnni"),
        ({"lowered": FOR_VNNI}, BARE, "do not use it on this device"),
        ({"engine": ENGINE}, GPU, "it was built for sm86, here is sm87"),
    ],
)  # fmt: skip
def test_other_answers_fail_with_advice(
    fields: dict[str, object], here: Survey, advice: str
) -> None:
    finding = check_bundle(changed(**fields), "x", here, lambda bundle: Wrong())
    assert finding.state == "fails"
    assert "answers differ: recorded: " in finding.found
    assert advice in finding.advice


@pytest.mark.parametrize(
    ("engine", "here", "advice"),
    [
        (ENGINE, BARE, "it needs the module tensorrt_rtx: pip install 'edge-ser[trt]'"),
        (STANDARD, BARE, "it needs the module tensorrt: install TensorRT's Python package"),
        (STANDARD, replace(GPU, tensorrt=TensorRt({"tensorrt": "10.4.0.26"})),
         "it was built by tensorrt 10.3.0.26, here is 10.4.0.26"),
        (STANDARD, replace(GPU, tensorrt=TensorRt({"tensorrt": "10.3.0"})), ""),
        (STANDARD, replace(GPU, tensorrt=TensorRt({"tensorrt": "unknown version"})), ""),
        (ENGINE, BARE, "it needs a GPU of NVIDIA's: use an onnx target here"),
        (ENGINE, replace(GPU, tensorrt=TensorRt({"tensorrt_rtx": "1.6"})),
         "it was built by tensorrt_rtx 1.7.1, here is 1.6; it was built for sm86, here is sm87"),
        (replace(STANDARD, version="10.3"), GPU, ""),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_fit_says_why(engine: Engine, here: Survey, advice: str) -> None:
    def refuse(bundle: Bundle) -> Session:
        raise MissingExtraError("runtime trt", "tensorrt_rtx", "trt")

    finding = check_bundle(changed(engine=engine, target="trt-fp16"), "x", here, refuse)
    assert finding.state == "fails"
    assert finding.found.startswith("trt-fp16: runtime trt: expected the Python module")
    assert finding.advice.startswith("run: pip install 'edge-ser[trt]'")
    assert advice in finding.advice
    assert finding.advice.endswith("'edge-ser[trt]'") == (advice == "")


@pytest.mark.parametrize(("backend", "module"), [("rtx", "tensorrt_rtx"), ("tensorrt", "tensorrt")])
def test_an_engine_that_is_still_to_be_built_has_no_version_to_compare(
    backend: str, module: str
) -> None:
    def refuse(bundle: Bundle) -> Session:
        raise DeviceError(bundle.root, expected="an engine", found="none")

    bundle = changed(engine=replace(ENGINE, file="", version="", backend=backend))
    here = replace(GPU, tensorrt=TensorRt({module: "1.2.3.4"}))
    finding = check_bundle(bundle, "x", here, refuse)
    assert finding.state == "fails"
    assert finding.advice == f"it has no engine yet: run edge-ser build {bundle.root}"

    def refuse_with_advice(bundle: Bundle) -> Session:
        raise DeviceError(bundle.root, expected="", found="", advice="run: edge-ser build x")

    finding = check_bundle(bundle, "x", here, refuse_with_advice)
    assert finding.advice == "run: edge-ser build x", "said once"


def test_a_target_that_no_runtime_knows(tmp_path: Path) -> None:
    finding = check_bundle(changed(target="tflite-fp16"), "x", BARE, open_session)
    assert finding.state == "fails"
    assert "found tflite-fp16" in finding.found
    assert finding.advice == "upgrade edge-ser"


def test_a_runtime_that_stands_in_is_advice(ser: object) -> None:
    def fall_back(bundle: Bundle) -> Session:
        warnings.warn("runtime onnx instead of trt: no\nGPU", stacklevel=1)
        return open_session(Bundle.open(DEFAULT_BUNDLE))

    finding = check_bundle(changed(engine=ENGINE), "x", BARE, fall_back)
    assert finding.state == "advice"
    assert finding.advice.startswith("runtime onnx instead of trt: no GPU; it needs the module")


def test_a_bundle_without_recorded_answers_cannot_be_judged(
    tiny_bundle: Callable[..., Path],
) -> None:
    folder = tiny_bundle()
    bundle = Bundle.open(folder)
    files = tuple(f for f in bundle.manifest.files if f.path != "golden.npz")
    bundle = Bundle(folder, replace(bundle.manifest, files=files))
    finding = check_bundle(bundle, "x", BARE, open_session)
    assert finding.state == "fails" and "golden.npz" in finding.found
