"""Precision-typed graphs, and the form of them that proves them on a CPU."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from helpers.rtx_graphs import calibration, kinds_of, largest, typed
from helpers.small_graphs import graph, noise, run
from helpers.traced_graphs import session, traced

from edge_ser.errors import BundleError
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.calibration.ranges import measure
from edge_ser_export.graph.half import float_value_names
from edge_ser_export.graph.run import feed
from edge_ser_export.tensorrt import typed as typing_module
from edge_ser_export.tensorrt.explicit import spell_out
from edge_ser_export.tensorrt.qdq import check_symmetric, find_targets, quantize, scale_for
from edge_ser_export.tensorrt.typed import LIMITS

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
FP8 = ir.DataType.FLOAT8E4M3FN


def speech(kind: str) -> np.ndarray:
    return next(iter(calibration(kind).samples(calibration(kind).judge)))


def answers(path: Path, kind: str) -> list[np.ndarray]:
    return list(session(path).run(None, feed([speech(kind)])))


# --- roundings on a CPU


@pytest.mark.parametrize("kind", ["spectral", "wavlm-tiny"])
def test_answers_differ_from_float32_as_float16_does(kind: str) -> None:
    """ONNX Runtime alone drops most of the roundings; written out, they are all there."""
    path, done = typed(kind, "fp16")
    exact = answers(traced(kind).path, kind)
    rounded = largest(answers(done.explicit, kind), exact)
    assert 1e-5 < rounded < 10 * LIMITS["fp16"].vad
    as_is = largest(answers(path, kind), exact)
    assert as_is < 10 * LIMITS["fp16"].vad


def test_onnx_runtime_keeps_no_rounding_of_its_own_and_all_of_ours() -> None:
    """1 + 2^-12 is 1 in float16: a sum of such ones loses all of them."""
    x = np.full((1, 4), 2.0**-12, np.float32)
    model = graph(
        "(float[n, 4] x) => (float[n, 4] y) { h = Cast<to = 10>(x) a = Add(h, one) "
        "b = Sub(a, one) y = Cast<to = 1>(b) }",
        one=np.ones(4, np.float16),
    )
    assert run(model, x=x)[0].max() == 2.0**-12, "dropped: else the explicit form has no use"
    spell_out(model)
    assert run(model, x=x)[0].max() == 0


def test_bfloat16_is_coarser_than_float16() -> None:
    exact = answers(traced("spectral").path, "spectral")
    half, brain = (
        largest(answers(typed("spectral", p)[1].explicit, "spectral"), exact)
        for p in ("fp16", "bf16")
    )
    assert 2 * half < brain < 30 * half


def test_float32_is_the_traced_graph() -> None:
    path, done = typed("spectral", "fp32")
    assert done.explicit == path
    assert largest(answers(path, "spectral"), answers(traced("spectral").path, "spectral")) < 1e-5


# --- types


def test_what_is_in_float16_and_what_is_not() -> None:
    path, done = typed("wavlm-tiny", "fp16")
    for operator in ("MatMul", "Conv", "Gemm", "Gelu"):
        assert kinds_of(path, operator) == {HALF}, operator
    for operator in ("LayerNormalization", "Softmax", "ReduceSum"):
        assert kinds_of(path, operator) <= {FLOAT}, operator
    assert done.record["kept_in_float32"] == []
    assert done.record["loudest"][0]["magnitude"] > 0


def test_the_log_mel_front_end_stays_float32() -> None:
    """Powers of quiet speech are below the smallest float16, those of loud speech too large."""
    path, _ = typed("spectral", "fp16")
    front = [n for n in ir.load(path).graph if (n.name or "").startswith("encoder.log_mel/MatMul")]
    weights = [n.inputs[1].const_value for n in front if n.inputs[1] is not None]
    assert {w.dtype for w in weights if w is not None} == {FLOAT}


def test_bfloat16_leaves_out_what_the_parser_refuses() -> None:
    path, _ = typed("spectral", "bf16")
    assert kinds_of(path, "Mish") == {FLOAT}
    assert kinds_of(path, "MatMul") == {FLOAT, ir.DataType.BFLOAT16}  # the front end is float32


# --- eight bits


@pytest.mark.parametrize(("precision", "kind"), [("int8", ir.DataType.INT8), ("fp8", FP8)])
def test_products_with_weights_are_quantised_and_attention_is_not(
    precision: str, kind: ir.DataType
) -> None:
    path, done = typed("spectral", precision)
    model = ir.load(path)
    check_symmetric(model, path.name)
    pairs = [n for n in model.graph if n.op_type == "DequantizeLinear"]
    assert {n.inputs[2].const_value.dtype for n in pairs} == {kind}  # type: ignore[union-attr]
    quantised = 0
    for node in model.graph:
        if node.op_type not in ("MatMul", "Conv"):
            continue
        sources = [v.producer() for v in node.inputs[:2] if v is not None]
        eight = [p is not None and p.op_type == "DequantizeLinear" for p in sources]
        assert eight[0] == eight[1], f"half quantised: {node.name}"
        quantised += all(eight)
        if (node.name or "").startswith("encoder.log_mel"):
            assert not any(eight)
    assert quantised == len(find_targets(_named("spectral"))) > 20
    assert done.record["kept_in_float16"] == []


def _named(kind: str) -> ir.Model:
    return ir.load(typed(kind, "int8")[1].explicit.with_name("named.onnx"))


def test_the_waveform_is_not_quantised() -> None:
    names = [t.node.name or "" for t in find_targets(_named("wavlm-tiny"))]
    assert not any(n.startswith("encoder.convolutions.0.") for n in names)
    assert any(n.startswith("encoder.convolutions.1.") for n in names)
    assert not any("head" in n for n in names)


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_per_output_channel(axis: int) -> None:
    weight = noise(24, 32)
    weight[3 if axis == 0 else slice(None), slice(None) if axis == 0 else 3] *= 100
    values, scale = quantize(weight, axis)
    assert values.dtype == np.int8 and scale.shape == (weight.shape[axis],)
    assert np.abs(values).max() == 127 and values.min() >= -127
    back = values * scale.reshape((-1, 1) if axis == 0 else (1, -1))
    step = scale.reshape((-1, 1) if axis == 0 else (1, -1))
    assert (np.abs(back - weight) <= 0.5001 * step).all()


@pytest.mark.parametrize("largest_value", [1e-9, 1e-6, 3e-3, 1.0, 700.0, 65_000.0])
def test_scales_are_exact_in_float16_and_never_clip(largest_value: float) -> None:
    scale = float(scale_for(largest_value, ir.DataType.INT8))
    assert float(np.float16(scale)) == scale > 0
    assert 127 * scale >= np.float32(largest_value)


def test_a_silent_channel_has_a_scale() -> None:
    values, scale = quantize(np.zeros((4, 5), np.float32), 0)
    assert not values.any() and (scale > 0).all()


@pytest.mark.parametrize(
    ("text", "words", "weights"),
    [
        ("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", "uint8: QuantizeLinear",
         {"z": np.array(0, np.uint8)}),
        ("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", "a zero point other than 0",
         {"z": np.array(3, np.int8)}),
        ("q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)", "uint8, the type without",
         {}),
        ("b = DequantizeLinear(i, s, z) y = Add(x, b)", "an int32 bias",
         {"i": np.arange(4, dtype=np.int32), "z": np.array(0, np.int32)}),
        ("q, s0, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s0, z)",
         "a scale that is measured in the run", {}),
    ],
)  # fmt: skip
def test_what_is_not_symmetric_is_refused_by_name(
    text: str, words: str, weights: dict[str, np.ndarray]
) -> None:
    used = {k: v for k, v in {"s": np.array(0.5, np.float32), **weights}.items() if k in text}
    model = graph(f"(float[n, 4] x) => (float[n, 4] y) {{ {text} }}", **used)
    with pytest.raises(BundleError, match=f"symmetric int8 .* found {words}.*trt-int8"):
        check_symmetric(model, "model.onnx")


def test_the_worst_parts_go_back_to_float16_within_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits that all of it breaks, the least of the encoder is given up that heals it."""
    kind = "wavlm-group"
    speech = calibration(kind)
    named = _written(kind, tmp_path)
    groups = list(dict.fromkeys(t.group for t in find_targets(ir.load(named))))
    assert len(groups) > 3
    seen: list[tuple[str, ...]] = []
    spare = next(g for g in groups if g.startswith("pooling"))

    class Recorded(typing_module._Writer):
        def try_out(self, left: Iterable[str]) -> Path:
            seen.append(tuple(left))
            return super().try_out(seen[-1])

    writer = Recorded(
        typing_module.Typing("int8", speech, traced(kind).model.config.partition),
        named, *_ranges(named, speech, tmp_path), tmp_path / "o.onnx", tmp_path / "e.onnx",
    )  # fmt: skip
    real = typing_module.compare

    def judged(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        return replace(found, vad_max=0.0 if spare in seen[-1] else 9.0)

    monkeypatch.setattr(typing_module, "compare", judged)
    left = typing_module._search(writer)
    assert left == list(seen[-1])
    assert spare in left, "what heals it costs few multiplications"
    assert seen[0] == ()
    assert {g for g in groups if tuple(x for x in groups if x != g) in seen} == set(groups)


def _written(kind: str, folder: Path) -> Path:
    from edge_ser_export.graph.names import name_nodes
    from edge_ser_export.graph.rewrite import save, tidy

    model = ir.load(traced(kind, doubles="group" not in kind).path)
    name_nodes(model)
    tidy(model)
    save(model, folder / "named.onnx", 1 << 30)
    return folder / "named.onnx"


def _ranges(named: Path, speech: CalibrationSet, work: Path) -> tuple[Any, Any]:
    names = float_value_names(ir.load(named))
    found = measure(named, names, speech.samples(speech.fit), work)
    return found, found
