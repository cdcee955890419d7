"""OpenVINO: the same answers, in float32 unless more was proved, and refusals."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Lowering, RuntimeProof
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, MissingExtraError
from edge_ser.session import pad_batch
from edge_ser.verify import verify
from edge_ser_runtimes.onnxruntime.session import OrtSession
from edge_ser_runtimes.openvino import (
    GRID_SAMPLES,
    KEPT_KERNELS,
    PART_ROWS,
    OpenVinoSession,
    part_rows,
)
from edge_ser_runtimes.registry import describe, open_session

TinyBundle = Callable[..., Path]


@pytest.fixture(scope="module")
def session(ser: edge_ser.Recognizer) -> OpenVinoSession:
    return OpenVinoSession(ser.bundle, threads=1)


def proved(bundle: Bundle, precision: str) -> Bundle:
    proof = RuntimeProof(passed=True, precision=precision)
    parity = replace(bundle.manifest.parity, runtimes={"openvino": proof})
    return Bundle(bundle.root, bundle.manifest.with_parts(parity=parity))


def test_recorded_answers_are_given(ser: edge_ser.Recognizer, session: OpenVinoSession) -> None:
    verdict = verify(ser.bundle, session)
    assert set(verdict.groups) == set(verdict.judged) == {"recorded", "batched", "own"}
    assert verdict.failures == []


@pytest.mark.parametrize("samples", [[400], [16_001, 400], [GRID_SAMPLES], [15_999, 9_000, 12_000]])
def test_padding_to_the_grid_changes_no_answer(
    ser: edge_ser.Recognizer, session: OpenVinoSession, samples: list[int]
) -> None:
    rng = np.random.default_rng(len(samples))
    inputs = pad_batch([rng.standard_normal(n).astype(np.float32) for n in samples])
    given, expected = session.run(*inputs), ser.session.run(*inputs)
    np.testing.assert_allclose(given.vad, expected.vad, atol=2e-5)
    assert given.region_logits is not None and expected.region_logits is not None
    np.testing.assert_allclose(given.region_logits, expected.region_logits, atol=2e-4)


@pytest.mark.parametrize("rows", [1, 3, 8, 9, 23])
def test_a_batch_in_parts_gives_what_its_rows_give_alone(
    session: OpenVinoSession, rows: int
) -> None:
    spans = list(part_rows(rows))
    assert [i for first, last in spans for i in range(first, last)] == list(range(rows))
    assert {last - first for first, last in spans} <= set(PART_ROWS)
    rng = np.random.default_rng(rows)
    alone = [rng.standard_normal(int(n)).astype(np.float32) for n in rng.integers(400, 16000, rows)]
    together = session.run(*pad_batch(alone))
    assert together.region_logits is not None
    for x, vad, logits in zip(alone, together.vad, together.region_logits, strict=True):
        given = session.run(*pad_batch([x]))
        assert given.region_logits is not None
        np.testing.assert_allclose(vad, given.vad[0], atol=2e-5)
        np.testing.assert_allclose(logits, given.region_logits[0], atol=2e-4)


def test_answers_outlive_the_next_run(session: OpenVinoSession) -> None:
    rng = np.random.default_rng(5)
    first, second = (pad_batch([rng.standard_normal(8000).astype(np.float32)]) for _ in range(2))
    given = session.run(*first).vad
    kept = given.copy()
    assert np.abs(session.run(*second).vad - kept).max() > 1e-4
    np.testing.assert_array_equal(given, kept)


def test_threads_may_share_a_session(session: OpenVinoSession) -> None:
    rng = np.random.default_rng(6)
    inputs = [pad_batch([rng.standard_normal(n).astype(np.float32)]) for n in (8000, 12_000) * 4]
    alone = [session.run(*x).vad for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: session.run(*x).vad, inputs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_float32_unless_bfloat16_was_proved(
    ser: edge_ser.Recognizer, session: OpenVinoSession
) -> None:
    assert session.precision == "f32"
    assert session.compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    has = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert OpenVinoSession(proved(ser.bundle, "bf16")).precision == ("bf16" if has else "f32")
    assert OpenVinoSession(proved(ser.bundle, "f32")).precision == "f32"


def test_chosen_by_name_only(ser: edge_ser.Recognizer, utterances: list[Path]) -> None:
    assert isinstance(open_session(ser.bundle), OrtSession)
    assert isinstance(open_session(ser.bundle, "openvino"), OpenVinoSession)
    recognizer = edge_ser.load(runtime="openvino", threads=1)
    assert recognizer(str(utterances[0])).region == ser(str(utterances[0])).region


def test_dynamic_scales_are_refused(ser: edge_ser.Recognizer) -> None:
    manifest = replace(ser.manifest, max_batch=1)
    manifest = manifest.with_parts(lowered=Lowering("dynamic, log-mel in float32"))
    with pytest.raises(BundleError, match=r"found recipe dynamic.*export with --runtime openvino"):
        OpenVinoSession(Bundle(ser.bundle.root, manifest))


@pytest.mark.parametrize(
    ("precision", "preset", "refused"),
    [("int8", "arm64", True), ("fp32", "arm64", False), ("int8", "x86", False)],
)
def test_integers_are_refused_on_arm64(
    ser: edge_ser.Recognizer,
    precision: str,
    preset: str,
    refused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_ser_runtimes.openvino.integer_preset", lambda: preset)
    bundle = Bundle(ser.bundle.root, replace(ser.manifest, precision=precision))
    if refused:
        with pytest.raises(BundleError, match=r"computes wrongly on arm64.+use --runtime onnx"):
            OpenVinoSession(bundle, threads=1)
    else:
        OpenVinoSession(bundle, threads=1).close()


def test_missing_openvino_names_the_extra(
    ser: edge_ser.Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edge-ser\[openvino\]'"):
        OpenVinoSession(ser.bundle)


def test_other_inputs_are_refused(tiny_bundle: TinyBundle) -> None:
    draft = tiny_bundle(inputs=("audio", "sizes"))
    bundle = Bundle(draft, Bundle.open(DEFAULT_BUNDLE).manifest)  # opening it refuses them, too
    with pytest.raises(BundleError, match=r"expected samples f32, lengths i64, found .*audio"):
        OpenVinoSession(bundle)


def test_a_graph_that_cannot_be_loaded(tiny_bundle: TinyBundle) -> None:
    folder = tiny_bundle()
    (folder / "model.onnx").write_bytes(b"no protocol buffer at all")
    bundle = Bundle(folder, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(BundleError, match=r"a graph that OpenVINO .* can load.*use runtime onnx"):
        OpenVinoSession(bundle)


IR = """<?xml version="1.0"?>
<net name="foreign" version="11"><layers>
<layer id="0" name="samples" type="Parameter" version="opset1">
<data shape="?,?" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port></output></layer>
<layer id="1" name="vad" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>"""


def test_a_model_of_another_framework_is_not_taken_for_onnx(bundle_dir: Path) -> None:
    (bundle_dir / "model.onnx").write_text(IR)
    assert openvino.Core().read_model(bundle_dir / "model.onnx").inputs, "OpenVINO itself reads it"
    draft = Bundle(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(BundleError, match=r"a graph that OpenVINO .* can load"):
        OpenVinoSession(draft)
    seal(bundle_dir, draft.manifest)
    with pytest.raises(BundleError, match="expected an ONNX model, found a damaged or other file"):
        Bundle.open(bundle_dir)


def test_a_session_is_described_by_its_runtime(session: OpenVinoSession) -> None:
    assert describe(session) == f"openvino (openvino {openvino.__version__})"


def test_kernels_are_kept_within_a_bound(
    ser: edge_ser.Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = openvino.Core.compile_model, []

    def spy(core: Any, model: Any, device: str, options: dict[str, Any]) -> Any:
        asked.append(options)
        return real(core, model, device, options)

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    OpenVinoSession(ser.bundle, 1)
    assert int(asked[0]["CPU_RUNTIME_CACHE_CAPACITY"]) == KEPT_KERNELS <= 1000
