"""Memory that large models leave behind."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_memory() -> None:
    """Free what only cycles hold, and give free memory back to the system where that can be asked.

    A graph in memory is such a cycle, with all its weights. And glibc keeps what lies between
    smaller blocks in use: of a closed session of WavLM-large that is 1.4 GB, beside which the next
    step of an export would need its own.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
