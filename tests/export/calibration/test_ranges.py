"""Ranges of activations, measured in the graph, and what migration makes of them."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import Array, graph, noise, run
from helpers.traced_graphs import BATCHES, revealed, session, traced

from edge_ser.errors import DataError
from edge_ser_export.calibration.ranges import Meter, _per_channel, measure, migration_factors
from edge_ser_export.graph.integers import Extremes, per_row
from edge_ser_export.graph.products import find_products
from edge_ser_export.graph.rewrite import save
from edge_ser_export.graph.run import feed
from edge_ser_export.graph.windows import convolutions_to_products
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

KIND = "wav2vec2-layer"
UTTERANCES = [x for rows in BATCHES for x in rows]


def small(body: str, work: Path, **weights: Array) -> Path:
    """A graph of `samples [batch, n]`, whose values have whatever sizes."""
    model = graph(f"(float[batch, n] samples, int64[batch] lengths) => {body}", **weights)
    path = work / "small.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    return path


# --- measuring


def test_extremes_of_whole_values_are_those_of_their_channels(tmp_path: Path) -> None:
    path = traced(KIND).optimized
    products = find_products(ir.load(path))
    names = ["samples", *dict.fromkeys(o.source.name or "" for p in products for o in p.operands)]
    with Meter(path, names, tmp_path, channels=False) as meter:
        together = meter.over(UTTERANCES)
        alone = meter.over(UTTERANCES[:1])  # nothing is left of the set before
    assert list(tmp_path.iterdir()) == []
    for rows, found in ((UTTERANCES, together), (UTTERANCES[:1], alone)):
        channels = measure(path, names, rows, tmp_path)
        assert list(found) == names
        for name in names:
            assert found[name].low.shape == found[name].high.shape == (1,)
            assert found[name].low == channels[name].whole.low
            assert found[name].high == channels[name].whole.high
    assert any(together[n].high > alone[n].high for n in names)


def test_graph_in_the_same_folder_keeps_its_weights_there(tmp_path: Path) -> None:
    model = ir.load(traced("spectral").optimized)
    save(model, tmp_path / "m.onnx", 0)
    before = {f.name: f.stat().st_size for f in tmp_path.iterdir()}
    assert before["m.onnx.data"] > 1_000_000
    with Meter(tmp_path / "m.onnx", ["vad"], tmp_path) as meter:
        there = {f.name: f.stat().st_size for f in tmp_path.iterdir()}
        assert set(there) - set(before) == {"ranges.onnx"}
        assert there["ranges.onnx"] < before["m.onnx"] + 10_000
        found = meter.over(UTTERANCES)["vad"]
    assert {f.name: f.stat().st_size for f in tmp_path.iterdir()} == before
    expected = measure(traced("spectral").optimized, ["vad"], UTTERANCES, tmp_path)["vad"]
    np.testing.assert_array_equal(found.low, expected.low)


def test_extremes_are_those_of_all_utterances(tmp_path: Path) -> None:
    path = traced(KIND).optimized
    products = find_products(ir.load(path))
    names = list(dict.fromkeys(o.source.name or "" for p in products for o in p.operands))
    assert len(names) > 8
    found = measure(path, names, UTTERANCES, tmp_path)
    assert list(found) == names
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    opened = session(revealed(ir.load(path), names))
    seen: dict[str, list[Array]] = {name: [] for name in names}
    for x in UTTERANCES:
        for name, value in zip(names, opened.run(names, feed([x])), strict=True):
            seen[name].append(value)
    widths = set()
    for name, values in seen.items():
        low, high = found[name].low, found[name].high
        assert low.shape == high.shape
        if len({v.shape[-1] for v in values}) == 1:  # channels: each has its own
            flat = np.concatenate([v.reshape(-1, v.shape[-1]) for v in values])
            np.testing.assert_array_equal(low, flat.min(0))
            np.testing.assert_array_equal(high, flat.max(0))
        else:  # the last axis is time
            assert low.size == 1
            assert low.item() == min(v.min() for v in values)
            assert high.item() == max(v.max() for v in values)
        widths.add(low.size)
    assert {1, 32, 48} <= widths


def test_inputs_have_no_channels(tmp_path: Path) -> None:
    path = small("(float[batch, n] vad) { vad = Neg(samples) }", tmp_path)
    lengths = (500, 500, 500)
    rows = [noise(n, seed=i) for i, n in enumerate(lengths)]
    found = measure(path, ["samples"], rows, tmp_path)["samples"]
    everything = np.concatenate(rows)
    assert found.low.tolist() == [everything.min()]
    assert found.high.tolist() == [everything.max()]


@pytest.mark.parametrize("lengths", [(4, 400, 4), (400, 4, 300), (1, 7, 1), (7, 1, 7)])
def test_time_on_the_last_axis_collapses(lengths: tuple[int, ...], tmp_path: Path) -> None:
    """Whichever utterance comes first, and also where it has as many frames as another."""
    path = small("(float[batch, n] vad) { vad = Neg(samples) }", tmp_path)
    rows = [noise(n, seed=i) + i for i, n in enumerate(lengths)]
    found = measure(path, ["vad"], rows, tmp_path)["vad"]
    everything = -np.concatenate(rows)
    assert (found.low.tolist(), found.high.tolist()) == ([everything.min()], [everything.max()])


def test_a_name_asked_for_twice_and_any_order(tmp_path: Path) -> None:
    path = small("(float[batch, n] vad) { a = Neg(samples) vad = Exp(a) }", tmp_path)
    found = measure(path, ["vad", "a", "vad"], [noise(9)], tmp_path)
    assert list(found) == ["vad", "a"]
    assert found["a"].low.min() == (-noise(9)).min()
    np.testing.assert_allclose(found["vad"].low.min(), np.exp(-noise(9)).min(), rtol=1e-6)


def test_utterances_are_taken_one_by_one(tmp_path: Path) -> None:
    path = small("(float[batch, n] vad) { vad = Neg(samples) }", tmp_path)
    with pytest.raises(DataError, match="calibration: expected at least one utterance, found none"):
        measure(path, ["vad"], iter([]), tmp_path)
    found = measure(path, ["vad"], (noise(n) for n in (5, 6)), tmp_path)
    assert found["vad"].high.size == 1


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = small("(float[batch, n] vad) { vad = Log(samples) }", tmp_path)
    rows = [np.ones(5, np.float32), np.array([1, 0], np.float32)]
    with pytest.raises(DataError, match=r"expected finite activations, found infinity in vad"):
        measure(path, ["vad"], rows, tmp_path)


# --- channels and rows


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("taps", [1, 3, 16])
def test_per_channel_inverts_per_row(groups: int, taps: int) -> None:
    channels = np.random.default_rng(0).uniform(0.1, 10, 24).astype(np.float32)
    shape = (taps * 24, 7) if groups == 1 else (groups, taps * 24 // groups, 7)
    ones = np.ones(shape, np.float32)
    matrix = ones * per_row(channels, ones)
    np.testing.assert_array_equal(_per_channel(matrix, 24), channels)


def test_per_channel_is_the_largest_of_taps_and_columns() -> None:
    weight = np.abs(noise(16, 6, 5))  # [out, channels, taps]
    model = graph(
        "(float[b, 6, n] x) => (float[b, 16, m] y) { y = Conv(x, w) }", w=weight
    )  # fmt: skip
    convolutions_to_products(model)
    (product,) = (n for n in model.graph if n.op_type == "MatMul")
    assert product.inputs[1] is not None and product.inputs[1].const_value is not None
    matrix = product.inputs[1].const_value.numpy()
    np.testing.assert_array_equal(_per_channel(matrix, 6), weight.max((0, 2)))


# --- migration


def two_readers() -> ir.Model:
    return graph(
        "(float[b, n, 64] x) => (float[b, n, 32] y, float[b, n, 48] z) "
        "{ h = Gelu(x) y = MatMul(h, v) z = MatMul(h, w) }",
        v=noise(64, 32), w=3 * noise(64, 48, seed=1),
    )  # fmt: skip


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_factors_are_those_of_the_paper(strength: float) -> None:
    model = two_readers()
    x = noise(100, 64, seed=2) * np.logspace(-1, 2, 64, dtype=np.float32)
    extremes = {"h": Extremes(x.min(0), x.max(0))}
    factors = migration_factors(find_products(model), extremes, strength)
    # one activation has one set of factors, for all the weights that it meets
    both = np.concatenate([noise(64, 32), 3 * noise(64, 48, seed=1)], 1)
    largest = np.abs(x).max(0)
    expected = largest**strength / np.abs(both).max(1) ** (1 - strength)
    assert list(factors) == ["h"]
    np.testing.assert_allclose(factors["h"], expected, rtol=1e-5)


def test_channels_that_are_always_zero_give_finite_factors() -> None:
    zeros = np.zeros(64, np.float32)
    (factors,) = migration_factors(
        find_products(two_readers()), {"h": Extremes(zeros, zeros)}
    ).values()
    assert np.isfinite(factors).all() and (factors > 0).all()


def test_nothing_is_migrated_into_activations_or_from_samples() -> None:
    model = graph(
        "(float[b, n, 64] x, float[b, 64, n] k) => (float[b, n, n] p, float[b, n, 32] y) "
        "{ s = MatMul(x, k) p = Softmax(s) y = MatMul(x, w) }",
        w=noise(64, 32),
    )
    wide = Extremes(-np.ones(64, np.float32), np.ones(64, np.float32))
    one = Extremes(-np.ones(1, np.float32), np.ones(1, np.float32))
    products = find_products(model)
    assert len(products) == 2
    # attention reads x too, and has no weights to take what x gives away
    assert migration_factors(products, {"x": wide, "k": one}) == {}
    assert migration_factors(products[1:], {"x": one}) == {}
    assert list(migration_factors(products[1:], {"x": wide})) == ["x"]


def test_the_migrated_float_graph_says_the_same() -> None:
    """Dividing activations and multiplying weights cancels: only rounding differs."""
    model = two_readers()
    x = noise(2, 5, 64)
    expected = run(model, x=x)
    extremes = {"h": Extremes(-np.ones(64, np.float32), np.logspace(-1, 2, 64, dtype=np.float32))}
    factors = migration_factors(find_products(model), extremes)["h"]
    for product in find_products(model):
        weight = product.node.inputs[1]
        assert weight is not None and weight.const_value is not None
        matrix = weight.const_value.numpy()
        value = (matrix * per_row(factors, matrix)).astype(np.float32)
        weight.const_value = ir.tensor(value, name=weight.name)
    hidden = run(revealed(two_readers(), ["h"]), x=x)[-1] / factors
    inner = graph(
        "(float[b, n, 64] h) => (float[b, n, 32] y, float[b, n, 48] z) "
        "{ y = MatMul(h, v) z = MatMul(h, w) }",
        **{v.name or "": v.const_value.numpy() for v in model.graph.initializers.values()
           if v.const_value},
    )  # fmt: skip
    for given, right in zip(run(inner, h=hidden.astype(np.float32)), expected, strict=True):
        np.testing.assert_allclose(given, right, atol=1e-4)
