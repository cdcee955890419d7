"""Where a processor computes otherwise than the one that a bundle was proved on."""

from __future__ import annotations

import warnings

from edge_ser.bundle.bundle import Bundle
from edge_ser.host.cpu import multiplies_halves, sums_saturate


def warn_of_other_arithmetic(bundle: Bundle) -> None:
    """Warn where answers may differ from those of the proof, and nothing else would say so.

    Args:
        bundle: about to be run on this machine's CPU.

    Warns:
        UserWarning: sums of 8-bit products saturate here, or float16 is rounded otherwise; or
            nothing tells whether they do.
    """
    words = ""
    # the record of lowering is read where it is needed
    if bundle.manifest.precision == "int8":
        words = _saturation(bundle)
    elif bundle.manifest.precision == "fp16":
        words = _halves(bundle)
    if words:
        warnings.warn(f"{bundle.manifest.name} {words}", stacklevel=3)


def _saturation(bundle: Bundle) -> str:
    saturate = sums_saturate()
    lowered = bundle.manifest.lowered
    if saturate is False or lowered is None or lowered.cpu is None:
        return ""
    if lowered.cpu.weight_bits != 8:
        return ""
    on_this_one = (
        "as they do on this one" if saturate else "and nothing tells whether they do on this one"
    )
    return (
        f"was made for processors ({lowered.cpu.instructions}) whose 8-bit sums do not saturate, "
        f"{on_this_one}: run edge-ser verify, or export with --cpu x86"
    )


def _halves(bundle: Bundle) -> str:
    lowered = bundle.manifest.lowered
    if lowered is None or lowered.recipe != "compute" or not multiplies_halves():
        return ""
    return (
        "was proved where float16 is computed in float32; this processor's own float16 rounds "
        "otherwise: run edge-ser verify, or export with --fp16-form weights"
    )
