"""Limits that a candidate holds so narrowly that other speech may break them."""

from __future__ import annotations

from edge_ser.fidelity.compare import MIN_JUDGED, Fidelity
from edge_ser.fidelity.limits import Limits

# Of a limit; what is used up beyond it is told.
_USED = 0.9


def near_limits(fidelity: Fidelity, limits: Limits) -> list[str]:
    """Limits of which more than nine tenths are used up, in words; of a concordance, its lack."""
    whole = fidelity.judged >= MIN_JUDGED
    shares: list[tuple[str, float | None, float | None]] = [
        ("VAD", fidelity.vad_max, limits.vad),
        ("region logits", fidelity.logits_max, limits.region_logits),
        ("99th percentile of VAD", fidelity.vad_p99 if whole else None, limits.vad_p99),
        ("mean angle in degrees", fidelity.angle_mean_degrees if whole else None,
         limits.angle_mean_degrees),
        ("share of changed regions", fidelity.flip_rate if whole else None, limits.flip_rate),
    ]  # fmt: skip
    words = [
        f"{name} {value:.3g} of {limit:g}"
        for name, value, limit in shares
        if value is not None and limit and value > _USED * limit
    ]
    for name, values, least in (
        ("CCC", fidelity.ccc, limits.ccc),
        ("Pearson", fidelity.pearson, limits.pearson),
    ):
        for dimension, value in (values or {}).items():
            if whole and least is not None and 1 - value > _USED * (1 - least):
                words.append(f"{name} of {dimension} {value:.5f}, limit {least:g}")
    return words
