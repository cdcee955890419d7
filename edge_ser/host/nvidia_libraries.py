"""Where the libraries of NVIDIA's driver are: asked by everyone who loads one of them."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterable
from typing import Any

# The first that loads is used. Some containers have the library by its bare name alone.
CUDA_NAMES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
NVML_NAMES = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1",)


def load_first(names: Iterable[str]) -> Any:
    """The first library that loads, by ctypes; None where none does.

    Args:
        names: such as `CUDA_NAMES`.
    """
    for name in names:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None
