"""Scales of the scores, and agreement between two sets of numbers."""

import numpy as np
import pytest

from edge_ser.emotion.scale import (
    DIMENSIONS,
    OCTANTS,
    TEMPERAMENTS,
    scores_from_unit,
    unit_from_scores,
)
from edge_ser.fidelity.metrics import ccc, pearson


def test_order_of_dimensions_and_octants() -> None:
    assert DIMENSIONS == ("arousal", "dominance", "valence")
    assert OCTANTS == ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")
    assert TEMPERAMENTS[0] == "exuberant" and TEMPERAMENTS[-1] == "anxious"


def test_scores_are_six_times_unit_plus_one_clipped() -> None:
    unit = [-3.0, -1e-9, 0.0, 0.25, 0.5, 1.0, 1.0000001, 9.0]
    assert scores_from_unit(unit).tolist() == [1.0, 1.0, 1.0, 2.5, 4.0, 7.0, 7.0, 7.0]


def test_unit_undoes_scores() -> None:
    scores = np.linspace(1, 7, 61)
    np.testing.assert_allclose(scores_from_unit(unit_from_scores(scores)), scores, atol=1e-14)
    assert unit_from_scores([1.0, 4.0, 7.0]).tolist() == [0.0, 0.5, 1.0]


def test_ccc_is_lins_definition() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(500)
    y = 0.5 * x + 0.3 + 0.4 * rng.standard_normal(500)
    rho = np.corrcoef(x, y)[0, 1]
    expected = 2 * rho * x.std() * y.std()
    expected /= x.var() + y.var() + (x.mean() - y.mean()) ** 2
    assert ccc(x, y) == pytest.approx(expected, rel=1e-12)
    assert ccc(y, x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([-1, 0, 1], [1, 0, -1], -1.0),
        ([1, 2, 3], [2, 3, 4], 4 / 7),  # perfectly correlated, but shifted by one
        ([1, 2, 3], [2, 4, 6], 2 * (4 / 3) / (2 / 3 + 8 / 3 + 4)),
        ([4, 4, 4], [4, 4, 4], 1.0),
        ([4, 4, 4], [5, 5, 5], 0.0),
        ([4, 4, 4], [1, 2, 3], 0.0),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 1.0),
    ],
)
def test_ccc_of_known_values(x: list[float], y: list[float], expected: float) -> None:
    assert ccc(x, y) == pytest.approx(expected, abs=1e-12)


def test_ccc_takes_columns_one_by_one() -> None:
    x = np.array([[1, 1, 4], [2, 2, 4], [3, 3, 4]])
    y = np.array([[1, 3, 4], [2, 2, 4], [3, 1, 4]])
    np.testing.assert_allclose(ccc(x, y), [1, -1, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [5, 4, 3], -1.0),
        ([1, 2, 3, 4], [1, -1, -1, 1], 0.0),
        ([4, 4, 4], [1, 2, 3], 0.0),
        ([0.1, 0.1, 0.1], [0.1, 0.5, 0.3], 0.0),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 0.0),  # the mean of three 0.1 is not exactly 0.1
        ([0.1, 0.1, 0.1], [0.7, 0.7, 0.7], 0.0),
    ],
)
def test_pearson_of_known_values(x: list[float], y: list[float], expected: float) -> None:
    assert pearson(x, y) == pytest.approx(expected, abs=1e-12)


def test_pearson_is_numpys() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 200, 3))
    found = pearson(x, x + y)
    expected = [np.corrcoef(x[:, i], (x + y)[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
