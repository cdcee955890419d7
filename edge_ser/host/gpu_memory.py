"""Memory of an NVIDIA GPU, asked of the driver's library; no Python package is needed."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from edge_ser.host import nvidia_libraries


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


@functools.cache
def _library() -> tuple[Any, ctypes.c_void_p] | None:
    """NVML and its first device."""
    library = nvidia_libraries.load_first(nvidia_libraries.NVML_NAMES)
    if library is None:
        return None
    handle = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)):
        return None
    return library, handle


def device_memory() -> int | None:
    """Bytes of the first GPU in use, by whoever; None without NVIDIA's driver."""
    opened = _library()
    if opened is None:
        return None
    library, handle = opened
    memory = _Memory()
    if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
        return None
    return int(memory.used)
