"""Mish by one exponential."""

import numpy as np
import pytest
from helpers.small_graphs import graph, operators, run, written

from edge_ser_export.graph.activations import mish_by_exponential

MISH = "(float[n] x) => (float[n] y) { y = Mish(x) }"


def test_equals_its_definition_everywhere() -> None:
    model = graph(MISH)
    assert mish_by_exponential(model) is True
    assert "Mish" not in operators(model)
    extremes = [-3e38, -1e4, -104, -88, -1e-30, 0, 1e-30, 88, 104, 1e4, 3e38]
    x = np.concatenate([np.linspace(-30, 30, 4001), extremes]).astype(np.float32)
    wide = x.astype(np.float64)
    expected = wide * np.tanh(np.logaddexp(0, wide))
    np.testing.assert_allclose(run(model, x=x)[0], expected, rtol=2e-6, atol=1e-7)


def test_what_is_no_number_stays_none() -> None:
    model = graph(MISH)
    mish_by_exponential(model)
    assert np.isnan(run(model, x=np.array([np.nan], np.float32))[0]).all()


@pytest.mark.parametrize("operator", ["Gelu", "Softplus", "Tanh"])
def test_nothing_to_do(operator: str) -> None:
    model = graph(MISH.replace("Mish", operator))
    before = written(model)
    assert mish_by_exponential(model) is False
    assert written(model) == before
