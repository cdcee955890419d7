"""Half precision: of the stored weights alone, and of the computation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from helpers.small_graphs import Array, graph, noise, operators, run, written
from helpers.traced_graphs import BATCHES, Floats, revealed, run_batches, session, traced
from onnx.reference import ReferenceEvaluator

from edge_ser_export.calibration.ranges import measure
from edge_ser_export.graph.half import (
    HALF_MAX,
    HEADROOM,
    compute_half,
    float_value_names,
    store_weights_half,
)
from edge_ser_export.graph.integers import Extremes
from edge_ser_export.graph.rewrite import save, tidy
from edge_ser_export.graph.run import feed
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

UTTERANCES = [x for rows in BATCHES for x in rows]
KINDS = ("spectral", "wavlm-tiny", "wavlm-group")


def measured(path: Path, work: Path) -> dict[str, Extremes]:
    return measure(path, float_value_names(ir.load(path)), UTTERANCES, work)


# --- weights


def rounded(model: ir.Model, least: int = 512) -> ir.Model:
    """The same graph with its weights rounded, as plain float32 initializers."""
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        array = value.const_value.numpy()
        if array.dtype == np.float32 and array.size >= least:
            near = array.astype(np.float16).astype(np.float32)
            value.const_value = ir.tensor(near, name=value.name)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_stored_weights_are_rounded_and_nothing_else(kind: str, tmp_path: Path) -> None:
    model = ir.load(traced(kind).optimized)
    assert store_weights_half(model) is True
    done = written(model)
    assert store_weights_half(model) is False
    assert written(model) == done
    right = run_batches(rounded(ir.load(traced(kind).optimized)))
    for given, expected, exact in zip(
        run_batches(model), right, traced(kind).expected, strict=True
    ):
        for a, b, c in zip(given, expected, exact, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6 * max(1, np.abs(b).max()), rtol=0)
            assert np.abs(a - c).max() < 2e-3 * max(1, np.abs(c).max())
    types = {v.const_value.dtype for v in model.graph.initializers.values() if v.const_value}
    assert ir.DataType.FLOAT16 in types
    path = tmp_path / "half.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    large, rest = 0, 0
    for value in ir.load(traced(kind).optimized).graph.initializers.values():
        assert value.const_value is not None
        if value.const_value.size >= 512 and value.dtype == ir.DataType.FLOAT:
            large += value.const_value.nbytes
    rest = traced(kind).optimized.stat().st_size - large
    # half of what is large; each gets a node
    assert path.stat().st_size < large / 2 + 1.15 * rest


def test_trained_models_halve(tmp_path: Path) -> None:
    for kind in ("spectral", "wavlm-tiny"):
        model = ir.load(traced(kind).optimized)
        store_weights_half(model)
        tidy(model)
        save(model, tmp_path / kind, EXTERNAL_DATA_BYTES)
        before = traced(kind).path.stat().st_size
        assert (tmp_path / kind).stat().st_size < 0.6 * before


@pytest.mark.parametrize(
    ("value", "stored"), [(65_504.0, True), (65_505.0, False), (np.inf, False), (np.nan, False)]
)
def test_weights_out_of_range_stay(value: float, stored: bool) -> None:
    weight = noise(32, 32)
    weight[3, 4] = value
    model = graph("(float[n, 32] x) => (float[n, 32] y) { y = Add(x, w) }", w=weight)
    assert store_weights_half(model) is stored
    x = np.zeros((32, 32), np.float32)
    expected = weight.astype(np.float16).astype(np.float32) if stored else weight
    np.testing.assert_array_equal(run(model, x=x)[0], expected)


def test_small_weights_and_whole_numbers_stay() -> None:
    model = graph(
        "(float[n, 8] x) => (float[n, 40] y) { a = Add(x, w) y = Gather<axis = 1>(a, i) }",
        w=noise(8), i=np.zeros(1000, np.int64)[:40],
    )  # fmt: skip
    before = written(model)
    assert store_weights_half(model) is False
    assert written(model) == before


# --- computation


def in_float16(model: ir.Model, **inputs: Array) -> list[Any]:
    """Run with every operator in the precision that the graph says.

    ONNX Runtime computes float16 by way of float32 on a CPU and rounds less often than the devices
    that the form is for: it would give finite answers where they give none.
    """
    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(ir.to_proto(model)).run(None, inputs))


def types_of(path: Path) -> dict[str, int]:
    """Inferred type of every value in a file."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    parts = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    types = {v.name: v.type.tensor_type.elem_type for v in parts}
    return types | {t.name: t.data_type for t in model.graph.initializer}


@pytest.fixture(scope="module", params=KINDS)
def halved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, list[str]]]:
    kind = request.param
    work = tmp_path_factory.mktemp(kind)
    extremes = measured(traced(kind).optimized, work)
    model = ir.load(traced(kind).optimized)
    kept = compute_half(model, extremes)
    tidy(model)
    path = work / "half.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    yield kind, path, kept


Halved = tuple[str, Path, list[str]]


def largest_difference(found: list[list[Floats]], kind: str) -> float:
    differences = []
    for given, expected in zip(found, traced(kind).expected, strict=False):
        for a, b in zip(given, expected, strict=True):
            assert a.dtype == np.float32
            differences.append(float(np.abs(a - b).max()) / max(1.0, float(np.abs(b).max())))
    return max(differences)


def test_answers_differ_as_float16_does(halved: Halved) -> None:
    kind, path, _ = halved
    assert 1e-6 < largest_difference(run_batches(path), kind) < 2e-3
    model = ir.load(path)
    found = [in_float16(model, **feed(rows)) for rows in BATCHES[:3]]
    assert 1e-5 < largest_difference(found, kind) < 5e-3


def test_the_interface_stays_float32(halved: Halved) -> None:
    kind, path, _ = halved
    onnx.checker.check_model(str(path), full_check=True)
    before, after = session(traced(kind).path), session(path)
    for part in ("get_inputs", "get_outputs"):
        described = [
            [(v.name, v.type, v.shape) for v in getattr(s, part)()] for s in (before, after)
        ]
        assert described[0] == described[1]


def test_casts_stand_only_where_precisions_meet(halved: Halved) -> None:
    _, path, _ = halved
    types = types_of(path)
    model = onnx.load(path)
    producers = {name: node for node in model.graph.node for name in node.output}
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    casts = [
        n for n in model.graph.node
        if n.op_type == "Cast" and {types[n.input[0]], types[n.output[0]]} == floats
    ]  # fmt: skip
    assert casts
    seen = set()
    for node in model.graph.node:
        if node.op_type == "Cast" and types[node.input[0]] in floats:
            assert types[node.input[0]] != types[node.output[0]], node.name
    for node in casts:
        where = node.input[0], types[node.output[0]]
        assert where not in seen, "cast twice"
        seen.add(where)
        inner = producers.get(node.input[0])
        assert inner is None or inner not in casts, "there and back"
        assert node.input[0] not in {t.name for t in model.graph.initializer}, "a stored weight"


def test_heavy_work_is_in_float16_and_delicate_work_is_not(halved: Halved) -> None:
    _, path, _ = halved
    types = types_of(path)
    nodes = list(onnx.load(path).graph.node)
    kinds: dict[str, set[int]] = {}
    for node in nodes:
        kinds.setdefault(node.op_type, set()).add(types[node.output[0]])
    for operator in ("LayerNormalization", "Softmax", "ReduceSum", "Log", "Div", "Exp", "Sqrt"):
        assert kinds.get(operator, set()) <= {
            onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64
        }  # fmt: skip
    weights = [
        n for n in nodes
        if n.op_type == "MatMul" and "ReduceSum" not in n.name and "log_mel" not in n.name
        and types[n.output[0]] != onnx.TensorProto.DOUBLE
    ]  # fmt: skip
    halves = sum(types[n.output[0]] == onnx.TensorProto.FLOAT16 for n in weights)
    assert halves >= 0.9 * len(weights) > 10
    # masked sums over time are products now, and sums all the same
    sums = [n for n in nodes if n.op_type == "MatMul" and "ReduceSum" in n.name]
    assert sums
    assert {types[n.output[0]] for n in sums} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}


def mlp(scale: float) -> ir.Model:
    """Three layers, the first scaled up and the second down: loud inside, the same outside."""
    a, b = noise(32, 64) / 6, noise(64, 32, seed=1) / 8
    return graph(
        "(float[n, 32] samples) => (float[n, 32] vad) "
        "{ q = MatMul(samples, a) h = Relu(q) c = MatMul(h, b) d = Relu(c) vad = MatMul(d, c2) }",
        a=a * np.float32(scale), b=b / np.float32(scale), c2=noise(32, 32, seed=2) / 6,
    )  # fmt: skip


def extremes_of(model: ir.Model, x: Array) -> dict[str, Extremes]:
    inner = ["q", "h", "c", "d"]
    found = dict(zip(["vad", *inner], run(revealed(model, inner), samples=x), strict=True))
    return {k: Extremes(v.min(0), v.max(0)) for k, v in found.items()}


def test_what_is_measured_as_too_loud_stays_float32() -> None:
    x = noise(40, 32, seed=3)
    model = mlp(40_000.0)
    (expected,) = run(model, samples=x)
    extremes = extremes_of(model, x)
    assert extremes["q"].largest.max() > HALF_MAX > extremes["c"].largest.max()
    kept = compute_half(model, extremes)
    # who gives it, who reads it, and nobody else
    assert kept == ["node_q", "node_h", "node_c"]
    for (given,) in (run(model, samples=x), in_float16(model, samples=x)):
        assert given.dtype == np.float32
        assert 1e-6 < np.abs(given - expected).max() < 1e-2
    # without the measurement it would overflow
    careless = mlp(40_000.0)
    assert compute_half(careless, {}) == []
    assert not np.isfinite(in_float16(careless, samples=x)[0]).all()


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_headroom(share: float) -> None:
    """A quarter of the largest float16 is what calibration speech may reach."""
    model = mlp(1.0)
    limit = np.array([share * HALF_MAX / HEADROOM], np.float32)
    kept = compute_half(model, {"q": Extremes(-limit, np.zeros(1, np.float32))})
    assert kept == ([] if share < 1 else ["node_q", "node_h"])


def test_nan_counts_as_too_loud() -> None:
    model = mlp(1.0)
    bad = np.array([np.nan], np.float32)
    assert compute_half(model, {"d": Extremes(bad, bad)}) == ["node_d", "node_vad"]


def test_weights_that_float16_does_not_hold_stay_float32() -> None:
    model = mlp(1e7)
    kept = compute_half(model, {})
    assert kept == ["node_q"]


def test_an_exponential_has_no_headroom() -> None:
    """What is twice as loud as calibration speech would be squared by it and overflow."""
    model = graph(
        "(float[n, 4] samples) => (float[n, 4] vad) { e = Exp(samples) f = Add(e, one) "
        "g = Mul(e, f) h = Add(g, one) s = Div(g, h) vad = Mul(samples, s) }",
        one=np.array(1, np.float32),
    )
    x = np.array([[0.5, 3, 6, 15]], np.float32)
    (expected,) = run(model, samples=x)
    assert compute_half(model, {}) == []
    np.testing.assert_allclose(in_float16(model, samples=x)[0], expected, rtol=2e-3)
    assert operators(model).count("Cast") == 3  # around the last product


def test_a_variance_survives() -> None:
    """It is a small difference of large sums: in float16 nothing would be left of it."""
    model = graph(
        "(float[b, n, 8] samples, float[b, n, 1] w) => (float[b, 8] vad) "
        "{ x = Gelu(samples) r = Transpose<perm = [0, 2, 1]>(w) m = MatMul(r, x) s = Mul(x, x) "
        "t = MatMul(r, s) mean = Squeeze(m, axis) square = Squeeze(t, axis) p = Mul(mean, mean) "
        "v = Sub(square, p) c = Clip(v, least) vad = Sqrt(c) }",
        axis=np.array([1]), least=np.array(1e-5, np.float32),
    )  # fmt: skip
    x = 20 + 0.1 * noise(2, 50, 8)
    weights = np.full((2, 50, 1), 0.02, np.float32)
    assert compute_half(model, {}) == []
    (given,) = in_float16(model, samples=x, w=weights)
    # what is left is the rounding of x itself, to a 128th here
    rounded = x.astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(given, rounded.std(1), atol=5e-3)


def test_louder_speech_than_was_measured(tmp_path: Path) -> None:
    """Within the headroom every answer is finite."""
    kind = "spectral"
    model = ir.load(traced(kind).optimized)
    compute_half(model, measured(traced(kind).optimized, tmp_path))
    opened, exact = session(model), session(traced(kind).path)
    for level in (0.01, 1.9, 20.0):
        inputs = feed([level * BATCHES[2][0]])
        given, expected = opened.run(None, inputs), exact.run(None, inputs)
        assert np.abs(given[0] - expected[0]).max() < 1e-2
