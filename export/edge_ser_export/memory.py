"""Memory that large models leave behind."""

from __future__ import annotations

import ctypes
import gc
import sys

import onnx_ir as ir


def release_memory() -> None:
    """Free what only cycles hold, and give free memory back to the system where that can be asked.

    glibc keeps what lies between smaller blocks in use: of a closed session of WavLM-large that is
    1.4 GB, beside which the next step of an export would need its own. Looking for cycles among
    torch's objects takes 0.3 s: between the steps of an export, not in a loop.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def forget_weights(model: ir.Model) -> None:
    """Let go of the weights of a graph that is done with: it is a cycle, and stays for a while."""
    for value in model.graph.initializers.values():
        value.const_value = None
