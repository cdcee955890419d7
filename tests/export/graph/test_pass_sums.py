"""Masked sums over time as products."""

import numpy as np
import pytest
from helpers.small_graphs import graph, noise, operators, run, written

from edge_ser_export.graph.sums import sums_over_time_to_products

TIME = {"axes": np.array([1], np.int64)}


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("pair", ["x, m", "m, x"])
def test_a_masked_sum_is_a_product(pair: str, keepdims: int) -> None:
    model = graph(
        "(float[batch, n, 5] x, float[batch, n, 1] m) => (float y) "
        f"{{ p = Mul({pair}) y = ReduceSum<keepdims = {keepdims}>(p, axes) }}".replace(
            "float y", "float[batch, 1, 5] y" if keepdims else "float[batch, 5] y"
        ),
        **TIME,
    )
    assert sums_over_time_to_products(model) is True
    assert "MatMul" in operators(model)
    assert sums_over_time_to_products(model) is False
    x, m = noise(3, 50, 5), (noise(3, 50, 1, seed=1) > 0).astype(np.float32)
    (found,) = run(model, x=x, m=m)
    expected = (x.astype(np.float64) * m).sum(1, keepdims=bool(keepdims))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "sizes"),
    [
        # something thin broadcasts over time: the product would not have its shape
        ("float[batch, n, 5] x, float[batch, 1, 1] m", ((3, 7, 5), (3, 1, 1))),
        ("float[batch, 1, 5] x, float[batch, n, 1] m", ((3, 1, 5), (3, 7, 1))),
        # as many channels on both sides, or one
        ("float[batch, n, 5] x, float[batch, n, 5] m", ((3, 7, 5), (3, 7, 5))),
        ("float[batch, n, 1] x, float[batch, n, 1] m", ((3, 7, 1), (3, 7, 1))),
        ("float[batch, n, 5] x, float[n, 1] m", ((3, 7, 5), (7, 1))),
    ],
)
def test_other_sums_are_left(inputs: str, sizes: tuple[tuple[int, ...], ...]) -> None:
    model = graph(
        f"({inputs}) => (float[batch, c] y) "
        "{ p = Mul(x, m) y = ReduceSum<keepdims = 0>(p, axes) }",
        **TIME,
    )
    before = written(model)
    assert sums_over_time_to_products(model) is False
    assert written(model) == before
    x, m = (noise(*s, seed=i) for i, s in enumerate(sizes))
    np.testing.assert_allclose(run(model, x=x, m=m)[0], (x * m).sum(1), atol=1e-5)


@pytest.mark.parametrize("axis", [0, 2])
def test_sums_over_other_axes_are_left(axis: int) -> None:
    model = graph(
        "(float[batch, n, 5] x, float[batch, n, 1] m) => (float[a, b] y) "
        "{ p = Mul(x, m) y = ReduceSum<keepdims = 0>(p, axes) }",
        axes=np.array([axis], np.int64),
    )
    assert sums_over_time_to_products(model) is False


def test_a_product_with_another_reader_stays_for_it() -> None:
    model = graph(
        "(float[batch, n, 5] x, float[batch, n, 1] m) => (float[batch, 5] y, float[batch, n, 5] p) "
        "{ p = Mul(x, m) y = ReduceSum<keepdims = 0>(p, axes) }",
        **TIME,
    )
    assert sums_over_time_to_products(model) is True
    x, m = noise(2, 9, 5), noise(2, 9, 1, seed=1)
    total, product = run(model, x=x, m=m)
    np.testing.assert_allclose(total, (x * m).sum(1), atol=1e-5)
    np.testing.assert_array_equal(product, x * m)
