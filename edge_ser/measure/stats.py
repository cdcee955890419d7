"""Medians, ratios and how sure they are, without assuming any distribution of times.

Times of a program are skewed and have outliers, so means and standard deviations mislead. Intervals
here are between order statistics: with `n` independent values, the k-th smallest and the k-th
largest enclose the median with probability `1 - 2 P(Binomial(n, 1/2) < k)`, whatever the
distribution (Conover, Practical Nonparametric Statistics, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

# Of medians: for people to read, and to know when enough was measured.
CONFIDENCE = 0.95
# Of a claim that two systems differ. A table makes many such claims, and none should be chance.
CLAIM_CONFIDENCE = 0.99
# Of fewer values the extremes enclose the median with less than that.
FEWEST_ROUNDS = 8
# Smaller differences are not worth a claim, and where code lies in memory alone can make them.
LEAST_DIFFERENCE = 0.01

# Share of runs that other programs interrupted above which even the fastest are no longer the
# system's own: times are not judged.
DISTURBED_SHARE = 0.3

TOO_FEW: Final = "too few rounds to judge"
DISTURBED: Final = "could not be judged"
Claim = Literal[
    "faster", "slower", "no difference", "too few rounds to judge", "could not be judged"
]


@dataclass(frozen=True)
class Estimate:
    """A median with its interval.

    Attributes:
        value: the median.
        low: lower end of the interval.
        high: upper end.
        confidence: with which the interval holds the true median. Below what was asked for where
            there were too few values; the interval then spans all of them.
        count: values.
    """

    value: float
    low: float
    high: float
    confidence: float
    count: int

    @property
    def precision(self) -> float:
        """Half the interval's width, relative to the median; infinite for a single value."""
        if self.count < 2 or self.value == 0:
            return math.inf
        return (self.high - self.low) / 2 / abs(self.value)


def median(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Median of independent values, with its interval.

    Args:
        values: at least one.
        confidence: wanted, 0..1.
    """
    ordered = sorted(values)
    n = len(ordered)
    # the largest k whose interval is sure enough; its tail is P(Binomial(n, 1/2) <= k - 1)
    outside, rank, tail = 0, 1, 0.0
    for k in range(1, n // 2 + 1):
        outside += math.comb(n, k - 1)
        wider = outside / 2**n
        if k > 1 and 1 - 2 * wider < confidence:
            break
        rank, tail = k, wider
    reached = 1 - 2 * tail if n > 1 else 0.0
    return Estimate(
        value=float(np.median(ordered)),
        low=ordered[rank - 1],
        high=ordered[n - rank],
        confidence=reached,
        count=n,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all lies, interpolated linearly."""
    return float(np.quantile(np.asarray(values, np.float64), share))


def ratio(a: Sequence[float], b: Sequence[float], confidence: float = CLAIM_CONFIDENCE) -> Estimate:
    """Median of `a / b`, pair by pair: a pair shares whatever else the machine did.

    Args:
        a: one value per round.
        b: of the same rounds.
        confidence: wanted, 0..1.
    """
    return median([x / y for x, y in zip(a, b, strict=True)], confidence)


def claim(
    estimate: Estimate,
    least: float = LEAST_DIFFERENCE,
    confidence: float = CLAIM_CONFIDENCE,
    interrupted: float = 0.0,
) -> Claim:
    """What a ratio of times allows to say about its first system.

    Args:
        estimate: of `ratio(first, second)`.
        least: difference that is worth a claim, relative.
        confidence: that the interval must have.
        interrupted: share of the runs in which another program took the processor away.

    Returns:
        "faster" or "slower" only where the whole interval lies beyond 1 and its median beyond
        `least`; otherwise "no difference", which says that none was found, not that there is none.
        Of fewer rounds than the confidence needs, and of runs of which more than `DISTURBED_SHARE`
        were interrupted, nothing is said but that.
    """
    if estimate.confidence < confidence:
        return TOO_FEW
    if interrupted > DISTURBED_SHARE:
        return DISTURBED
    if estimate.high < 1 and estimate.value < 1 - least:
        return "faster"
    if estimate.low > 1 and estimate.value > 1 + least:
        return "slower"
    return "no difference"
