"""Matrix products in 8-bit integers: what is quantised, how often, and how exactly."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from helpers.integer_products import BITS, QUANTIZERS, everything, scheme
from helpers.small_graphs import Array, graph, noise, operators, run, written
from helpers.traced_graphs import revealed

from edge_ser_export.graph.integers import (
    CONTRIB,
    Extremes,
    Scheme,
    per_row,
    quantize_products,
    quantize_weight,
)
from edge_ser_export.graph.products import find_products, heads_to_products
from edge_ser_export.graph.rewrite import tidy
from edge_ser_export.graph.windows import convolutions_to_products

# --- weights


@pytest.mark.parametrize("bits", [8, 7])
@pytest.mark.parametrize("shape", [(64, 48), (1, 5), (3, 40, 16)])
def test_weights_lose_half_a_step(shape: tuple[int, ...], bits: int) -> None:
    weight = noise(*shape) * np.logspace(-3, 2, shape[-1], dtype=np.float32)
    integers, scale = quantize_weight(weight, bits)
    assert integers.dtype == np.int8
    assert integers.shape == shape
    assert scale.shape == (*shape[:-2], 1, shape[-1])
    assert (np.abs(weight - integers * scale) <= 0.5001 * scale).all()
    most = 2 ** (bits - 1) - 1
    # every column uses its whole range, symmetrically
    assert (np.abs(integers.astype(int)).max(-2) == most).all()


def test_a_column_of_zeros_stays_zero() -> None:
    weight = noise(20, 3)
    weight[:, 1] = 0
    integers, scale = quantize_weight(weight)
    assert (integers[:, 1] == 0).all()
    assert np.isfinite(scale).all() and (scale > 0).all()
    assert np.abs(weight - integers * scale).max() <= 0.5001 * scale.max()


def test_seven_bits_reach_the_graph() -> None:
    model = linear(noise(64, 32))
    quantize_products(model, everything, Scheme(weight_bits=7))
    (packed,) = (x for x in constants(model) if x.dtype == np.int8)
    assert np.abs(packed.astype(int)).max() == 63


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [(-1.0, 3.0, 4 / 255, 64), (2.0, 5.0, 5 / 255, 0), (-5.0, -2.0, 5 / 255, 255), (0, 0, 1, 0)],
)
def test_scale_of_activations(low: float, high: float, scale: float, zero: int) -> None:
    """Zero is always one of the values, so that padding is exact."""
    extremes = Extremes(np.array([low, 0], np.float32), np.array([0, high], np.float32))
    if low > 0 or high < 0:
        extremes = Extremes(np.array([low], np.float32), np.array([high], np.float32))
    assert extremes.scale() == (pytest.approx(scale), zero)


# --- single products


def linear(weight: Array, bias: Array | None = None) -> ir.Model:
    weights = {"w": weight} if bias is None else {"w": weight, "b": bias}
    body = "y = MatMul(x, w)" if bias is None else "p = MatMul(x, w) y = Add(p, b)"
    sizes = weight.shape
    return graph(f"(float[n, {sizes[0]}] x) => (float[n, {sizes[1]}] y) {{ {body} }}", **weights)


def constants(model: ir.Model) -> list[Array]:
    return [v.const_value.numpy() for v in model.graph.initializers.values() if v.const_value]


def measured(x: Array) -> Extremes:
    flat = x.reshape(-1, x.shape[-1])
    return Extremes(flat.min(0), flat.max(0))


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(bias: bool, static: bool) -> None:
    weight, offsets = noise(64, 32), noise(32, seed=1) if bias else None
    x = noise(50, 64, seed=2) + 1
    model = linear(weight, offsets)
    (expected,) = run(model, x=x)
    found = scheme({"x": measured(x)} if static else None)
    assert quantize_products(model, everything, found) is True
    tidy(model)
    quantizer = "QuantizeLinear" if static else "DynamicQuantizeLinear"
    assert operators(model) == [quantizer, "MatMulIntegerToFloat"]
    assert model.opset_imports[CONTRIB] == 1
    assert [v.name for v in model.graph.outputs] == ["y"]
    (given,) = run(model, x=x)
    # per product, half a step of either side; of 64, which partly cancel
    step_x, step_w = np.ptp(x) / 255, np.abs(weight).max() / (2 ** (BITS - 1) - 1)
    bound = 64 * (0.5 * step_x * np.abs(weight).max() + 0.5 * step_w * np.abs(x).max())
    assert 0 < np.abs(given - expected).max() < 0.1 * bound
    assert np.abs(given - expected).std() / expected.std() < 0.03


@pytest.mark.parametrize("static", [True, False])
def test_what_integers_hold_exactly_is_exact(static: bool) -> None:
    rng = np.random.default_rng(0)
    most = 2 ** (BITS - 1) - 1
    weight = rng.integers(-most, most + 1, (64, 32)).astype(np.float32)
    weight[0] = most
    x = rng.integers(-60, 196, (20, 64)).astype(np.float32)
    x[0, :2] = -60, 195
    model = linear(weight, np.arange(32, dtype=np.float32))
    (expected,) = run(model, x=x)
    quantize_products(model, everything, scheme({"x": measured(x)} if static else None))
    np.testing.assert_allclose(run(model, x=x)[0], expected, rtol=1e-6, atol=1e-2)


def test_small_weights_and_sums_are_left() -> None:
    model = graph(
        "(float[b, n, 8] x, float[b, 1, n] m) => (float[b, 1, 8] s, float[b, n, 4] y) "
        "{ s = MatMul(m, x) y = MatMul(x, w) }",
        w=noise(8, 4),
    )
    before = written(model)
    assert find_products(model) == []
    assert quantize_products(model, everything, scheme()) is False
    assert written(model) == before


@pytest.mark.parametrize("static", [True, False])
def test_attention_is_two_products_of_activations(static: bool) -> None:
    model = graph(
        "(float[b, n, 16] q, float[b, 16, n] k, float[b, n, 16] v) => (float[b, n, 16] y) "
        "{ s = MatMul(q, k) a = Mul(s, quarter) p = Softmax(a) y = MatMul(p, v) }",
        modules={"s": "encoder.layers.3", "y": "encoder.layers.3"},
        quarter=np.array(0.25, np.float32),
    )
    assert [p.group for p in find_products(model)] == ["layer 3 attention scores"] * 2
    inputs = {"q": noise(2, 9, 16), "k": noise(2, 16, 9, seed=1), "v": noise(2, 9, 16, seed=2)}
    (expected,) = run(model, **inputs)
    wide = Extremes(np.array([-5], np.float32), np.array([5], np.float32))
    p = Extremes(np.array([0], np.float32), np.array([1], np.float32))
    ranges = {"q": wide, "k": wide, "v": wide, "p": p}
    quantize_products(model, everything, scheme(ranges if static else None))
    tidy(model)
    found = Counter(operators(model))
    assert found["MatMulIntegerToFloat"] == 2 and "MatMul" not in found
    assert sum(found[q] for q in QUANTIZERS) == 4
    assert 0 < np.abs(run(model, **inputs)[0] - expected).max() < 0.1


# --- heads


def gemm(attributes: str, weight: Array, bias: bool = True) -> ir.Model:
    inputs, out = weight.shape[::-1] if "transB = 1" in attributes else weight.shape
    x = f"{inputs}, n" if "transA" in attributes else f"n, {inputs}"
    weights = {"w": weight, "b": noise(out, seed=1)} if bias else {"w": weight}
    return graph(
        f"(float[{x}] x) => (float[n, {out}] y) "
        f"{{ y = Gemm<{attributes}>(x, {', '.join(weights)}) }}",
        **weights,
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("attributes", ["transB = 1", "alpha = 1.0", "transB = 1, beta = 1.0"])
def test_heads_are_products(attributes: str, bias: bool) -> None:
    model = gemm(attributes, noise(12, 7), bias)
    x = noise(5, 7 if "transB" in attributes else 12)
    (expected,) = run(model, x=x)
    assert heads_to_products(model) is True
    assert operators(model) == (["MatMul", "Add"] if bias else ["MatMul"])
    np.testing.assert_allclose(run(model, x=x)[0], expected, atol=1e-5)
    assert heads_to_products(model) is False


@pytest.mark.parametrize("attributes", ["alpha = 0.5", "beta = 2.0", "beta = 0.0", "transA = 1"])
def test_heads_that_are_no_linear_layer_are_left(attributes: str) -> None:
    model = gemm(attributes, noise(7, 12))
    before = written(model)
    x = noise(7, 5) if "transA" in attributes else noise(5, 7)
    run(model, x=x)
    assert heads_to_products(model) is False
    assert written(model) == before


def test_a_head_with_computed_weights_is_left() -> None:
    model = graph("(float[n, 4] x, float[4, 5] w) => (float[n, 5] y) { y = Gemm(x, w) }")
    assert heads_to_products(model) is False


# --- windows


def windowed(groups: int, taps: int = 5) -> tuple[ir.Model, Array]:
    """A same-padded convolution of 16 channels as a product of windows, and its weights."""
    weight = noise(64, 16 // groups, taps) / 8
    model = graph(
        f"(float[b, 16, n] x) => (float[b, 64, m] y) "
        f"{{ y = Conv<group = {groups}, pads = [{taps // 2}, {taps // 2}]>(x, w) }}",
        w=weight,
    )
    convolutions_to_products(model)
    return model, weight


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("level", [1.0, -1.0])
def test_padding_of_windows_is_zero(level: float, static: bool, groups: int) -> None:
    """In 8 bits zero is the zero point: 255 where all values are negative, 64 in -1..3."""
    model, weight = windowed(groups)
    x = np.full((2, 16, 12), level, np.float32)
    (exact,) = run(model, x=x)
    expected = F.conv1d(torch.from_numpy(x), torch.from_numpy(weight), padding=2, groups=groups)
    np.testing.assert_allclose(exact, expected, atol=1e-5)
    (name,) = {o.source.name or "" for p in find_products(model) for o in p.operands}
    extremes = Extremes(np.array([-1], np.float32), np.array([3], np.float32))
    quantize_products(model, everything, scheme({name: extremes} if static else None))
    tidy(model)
    (given,) = run(model, x=x)
    taps, width = weight.shape[2], weight.shape[1]
    step = 4 / 255 if static else 1 / 255
    column = np.abs(weight).sum((1, 2)).max()
    tolerance = 0.5 * step * column + taps * width * np.abs(weight).max() / 2**BITS + 1e-5
    assert np.abs(given - exact).max() < tolerance
    # padding by any other value would show at the ends
    assert np.abs(exact[:, :, 0] - exact[:, :, 6]).max() > 3 * tolerance


@pytest.mark.parametrize(("groups", "apart"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("static", [True, False])
def test_windows_are_moved_in_8_bits(
    static: bool, groups: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_export.graph.integers._MIN_MATRIX", 1 if apart else 1 << 30)
    model, _ = windowed(groups, taps=21)
    x = noise(2, 16, 40)
    (expected,) = run(model, x=x)
    (name,) = {o.source.name or "" for p in find_products(model) for o in p.operands}
    quantize_products(model, everything, scheme({name: measured(x)} if static else None))
    tidy(model)
    found = Counter(operators(model))
    assert sum(found[q] for q in QUANTIZERS) == 1
    assert found["Split"] == apart and found["MatMulIntegerToFloat"] == (
        groups if apart else groups == 1
    )
    moving = [n for n in model.graph if n.op_type in ("Pad", "Concat")]
    # the first of each: a later Concat joins the answers of the groups
    moved = {n.op_type: n.outputs[0].name for n in reversed(moving)}
    assert set(moved) == {"Pad", "Concat"}
    *_, pad, windows = run(revealed(model, moved.values(), ir.DataType.UINT8), x=x)
    assert pad.dtype == windows.dtype == np.uint8
    error = run(model, x=x)[0] - expected
    assert 0 < error.std() / expected.std() < 0.03


@pytest.mark.parametrize("level", [0.0, 2.0])
def test_only_zeros_are_padded_in_8_bits(level: float) -> None:
    model = graph(
        "(float[b, n, 32] x) => (float[b, m, 64] y) { t = Pad(x, pads, level) y = MatMul(t, w) }",
        w=noise(32, 64) / 8, pads=np.array([0, 2, 0, 0, 1, 0]), level=np.array(level, np.float32),
    )  # fmt: skip
    x = np.full((2, 5, 32), -1, np.float32)
    (expected,) = run(model, x=x)
    quantize_products(model, everything, scheme())
    tidy(model)
    quantizer = next(n for n in model.graph if n.op_type == "DynamicQuantizeLinear")
    assert (quantizer.inputs[0] is model.graph.inputs[0]) is (level == 0)
    np.testing.assert_allclose(run(model, x=x)[0], expected, atol=0.1)


def test_what_others_read_too_is_moved_as_it_was() -> None:
    """Windows that something else reads as floats are not turned into integers for it."""
    model = graph(
        "(float[b, n, 32] x) => (float[b, m, 64] y, float[b, n, 32] z) "
        "{ t = Transpose<perm = [0, 1, 2]>(x) y = MatMul(t, w) z = Gelu(t) }",
        w=noise(32, 64),
    )
    x = noise(2, 5, 32)
    y, z = run(model, x=x)
    assert quantize_products(model, everything, scheme()) is True
    given, same = run(model, x=x)
    np.testing.assert_array_equal(same, z)
    assert 0 < np.abs(given - y).max() < 0.5


# --- migration


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("taps", [1, 5, 16, 21])
def test_factors_per_row_undo_factors_per_channel(groups: int, taps: int) -> None:
    """Activations divided by factors, weights multiplied by them: the same convolution."""
    factors = np.random.default_rng(0).uniform(0.1, 10, 16).astype(np.float32)
    model, _ = windowed(groups, taps)
    x = noise(2, 16, 30)
    (expected,) = run(model, x=x)
    (product,) = (n for n in model.graph if n.op_type == "MatMul")
    weight = product.inputs[1]
    assert weight is not None and weight.const_value is not None
    matrix = weight.const_value.numpy()
    changed = (matrix * per_row(factors, matrix)).astype(np.float32)
    weight.const_value = ir.tensor(changed, name=weight.name)
    (given,) = run(model, x=x / factors[None, :, None])
    np.testing.assert_allclose(given, expected, atol=1e-4)


@pytest.mark.parametrize("static", [True, False])
def test_migration_saves_what_loud_channels_cost(static: bool) -> None:
    weight = noise(64, 32) / 8
    x = noise(100, 64, seed=1)
    x[:, 5] *= 100
    weight[5] /= 100
    extremes = {"x": measured(x)}
    factors = np.sqrt(extremes["x"].largest / np.abs(weight).max(1)).astype(np.float32)
    errors = []
    for migration in (None, {"x": factors}):
        model = linear(weight)
        (expected,) = run(model, x=x)
        quantize_products(model, everything, scheme(extremes if static else None, migration))
        tidy(model)
        assert operators(model).count("Mul") == (migration is not None)
        errors.append(float((run(model, x=x)[0] - expected).std() / expected.std()))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 5


# --- whole models
