"""Measuring speed and memory so that an engineer can decide from the figures.

`timing.measure` runs any number of systems in turn, A B A B, and gives medians, percentiles and
ratios with their intervals; `process.measure_cold` starts fresh processes for the time to a first
result and for peak memory. Neither knows what a system is: a callable, or a few lines of Python.
"""

from edge_ser.measure.process import Cold, ColdSystem, measure_cold
from edge_ser.measure.stats import Claim, Estimate, claim, median, quantile, ratio
from edge_ser.measure.timing import Plan, Result, Timing, measure

__all__ = [
    "Claim",
    "Cold",
    "ColdSystem",
    "Estimate",
    "Plan",
    "Result",
    "Timing",
    "claim",
    "measure",
    "measure_cold",
    "median",
    "quantile",
    "ratio",
]
