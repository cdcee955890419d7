"""Lookups of columns as lookups of rows."""

import numpy as np
import pytest
from helpers.small_graphs import Array, graph, noise, operators, run, written

from edge_ser_export.graph.lookup import lookups_to_rows

INDEX = np.array([3, 0, 3, 6, 1], np.int64)


@pytest.mark.parametrize("axis", [1, -1])
def test_columns_are_found_as_rows(axis: int) -> None:
    model = graph(
        f"(int64[n] i) => (float[4, n] y) {{ y = Gather<axis = {axis}>(table, i) }}",
        table=noise(4, 7),
    )
    assert lookups_to_rows(model) is True
    assert operators(model) == ["Gather", "Transpose"]
    np.testing.assert_array_equal(run(model, i=INDEX)[0], noise(4, 7)[:, INDEX])
    before = written(model)
    assert lookups_to_rows(model) is False
    assert written(model) == before


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("(int64[n] i) => (float[n, 7] y) { y = Gather<axis = 0>(t, i) }", {"t": noise(4, 7)}),
        ("(int64[n, 2] i) => (float[4, n, 2] y) { y = Gather<axis = 1>(t, i) }",
         {"t": noise(4, 7)}),
        ("(int64[n] i) => (float[4, n, 2] y) { y = Gather<axis = 1>(t, i) }",
         {"t": noise(4, 7, 2)}),
        ("(int64[n] i, float[4, 7] t) => (float[4, n] y) { y = Gather<axis = 1>(t, i) }", {}),
    ],
)  # fmt: skip
def test_other_lookups_are_left(text: str, weights: dict[str, Array]) -> None:
    model = graph(text, **weights)
    before = written(model)
    assert lookups_to_rows(model) is False
    assert written(model) == before
