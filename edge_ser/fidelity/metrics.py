"""Agreement between two sets of predictions, or predictions and labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ccc(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Concordance correlation coefficient along the first axis (Lin 1989, Biometrics 45).

    2 cov(x, y) / (var x + var y + (mean x - mean y)^2), with population variances.
    1 where both are the same constant; NaN where a value is NaN.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    mean_a, mean_b = a.mean(0), b.mean(0)
    covariance = ((a - mean_a) * (b - mean_b)).mean(0)
    spread = a.var(0) + b.var(0) + (mean_a - mean_b) ** 2
    return np.where(spread == 0, 1.0, 2 * covariance / np.where(spread == 0, 1.0, spread))


def pearson(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation along the first axis; 0 where a side is constant."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    constant = (np.ptp(a, axis=0) == 0) | (np.ptp(b, axis=0) == 0)
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.where(constant, 0.0, np.sqrt((a * a).sum(0) * (b * b).sum(0)))
    return np.where(scale > 0, (a * b).sum(0) / np.where(scale > 0, scale, 1.0), 0.0)
