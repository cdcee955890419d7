"""A GPU for machines that have none: the driver's library, recorded; TensorRT: `fake_tensorrt`.

The one place in these tests where something real is replaced: neither a driver nor a GPU is there.
Both fakes keep the same journal, so that a test sees the order of calls across them. Both are as
strict as the real ones where mistakes crash a process: memory must be allocated, a context must be
current, shapes must lie inside the profile, objects must be released before their context. What an
engine computes is computed: vad = mean of the valid samples times (0.1, 0.2, 0.3).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

NO_DEVICE, OUT_OF_MEMORY = 100, 2
_ERRORS = {NO_DEVICE: b"CUDA_ERROR_NO_DEVICE", OUT_OF_MEMORY: b"CUDA_ERROR_OUT_OF_MEMORY"}


class Function:
    """A function of the library; takes argtypes and restype as ctypes' own do."""

    def __init__(self, call: Callable[..., int]) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> int:
        return self.call(*arguments)


def put(reference: Any, value: Any) -> int:
    """Write through what `byref` made."""
    reference._obj.value = value
    return 0


class FakeLibrary:
    """libcuda with one GPU.

    Attributes:
        journal: names of calls, in order.
        fail: what a function returns instead of working.
        memory: bytes by address.
        contexts: those current in the calling thread.
    """

    def __init__(self, sm: tuple[int, int] = (8, 6), version: int = 13000) -> None:
        self.sm, self.version = sm, version
        self.journal: list[str] = []
        self.fail: dict[str, int] = {}
        self.missing: set[str] = set()
        self.memory: dict[int, bytearray] = {}
        self.contexts: list[int] = []
        self.retained = 0
        self.alive: set[int] = set()  # streams, events, graphs
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.crashes: list[str] = []  # what would have ended the real process
        self._next = 0x1000

    def __getattr__(self, name: str) -> Function:
        if not name.startswith("cu") or name in self.missing:
            raise AttributeError(name)
        call = type(self).destroy if "Destroy" in name else getattr(type(self), f"_{name}")

        def run(*arguments: Any) -> int:
            self.journal.append(name)
            return self.fail[name] if name in self.fail else int(call(self, *arguments))

        function = Function(run)
        self.__dict__[name] = function
        return function

    def new(self) -> int:
        self._next += 0x100000
        return self._next

    def needs_context(self) -> None:
        assert self.contexts, "no context is current: the real call would fail"

    def make(self, where: Any) -> int:
        self.needs_context()
        handle = self.new()
        self.alive.add(handle)
        return put(where, handle)

    def destroy(self, handle: Any) -> int:
        self.needs_context()
        handle = getattr(handle, "value", handle)
        self.alive.remove(handle)
        self.graphs.pop(handle, None)
        return 0

    def _cuInit(self, flags: int) -> int:
        return 0

    def _cuGetErrorName(self, code: int, where: Any) -> int:
        return put(where, _ERRORS[code]) if code in _ERRORS else 1

    def _cuDriverGetVersion(self, where: Any) -> int:
        return put(where, self.version)

    def _cuDeviceGetCount(self, where: Any) -> int:
        return put(where, 1)

    def _cuDeviceGet(self, where: Any, index: int) -> int:
        return put(where, index)

    def _cuDeviceGetName(self, text: Any, size: int, device: int) -> int:
        text.value = b"NVIDIA Fake 3060"
        return 0

    def _cuDeviceGetAttribute(self, where: Any, attribute: int, device: int) -> int:
        return put(where, self.sm[attribute - 75])

    def _cuDevicePrimaryCtxRetain(self, where: Any, device: int) -> int:
        self.retained += 1
        return put(where, 7)

    def _cuDevicePrimaryCtxRelease_v2(self, device: int) -> int:
        self.retained -= 1
        if not self.retained and (self.memory or self.alive):
            self.crashes.append(f"left behind: {self.memory.keys()}, {self.alive}")
        return 0

    def _cuCtxPushCurrent_v2(self, context: int) -> int:
        assert self.retained and context == 7
        self.contexts.append(context)
        return 0

    def _cuCtxPopCurrent_v2(self, where: Any) -> int:
        return put(where, self.contexts.pop())

    def _cuMemGetInfo_v2(self, free: Any, total: Any) -> int:
        self.needs_context()
        return put(free, 3 << 30) or put(total, 4 << 30)

    def _cuMemAlloc_v2(self, where: Any, size: int) -> int:
        self.needs_context()
        assert size > 0
        address = self.new()
        self.memory[address] = bytearray(size)
        return put(where, address)

    def _cuMemFree_v2(self, address: int) -> int:
        self.needs_context()
        del self.memory[address]
        return 0

    def _cuMemcpyHtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:
        self.needs_context()
        assert stream in self.alive and size <= len(self.memory[to])
        self.memory[to][:size] = ctypes.string_at(source, size)
        return 0

    def _cuMemcpyDtoHAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:
        self.needs_context()
        assert stream in self.alive
        ctypes.memmove(to, bytes(self.memory[source][:size]), size)
        return 0

    def _cuStreamCreate(self, where: Any, flags: int) -> int:
        assert flags == 1, "a stream that waits for the default one costs time"
        return self.make(where)

    def _cuStreamSynchronize(self, stream: int) -> int:
        assert self.recording is None
        return 0

    def _cuEventCreate(self, where: Any, flags: int) -> int:
        return self.make(where)

    def _cuEventRecord(self, event: int, stream: int) -> int:
        assert {event, stream} <= self.alive
        return 0

    def _cuEventElapsedTime(self, where: Any, start: int, end: int) -> int:
        return put(where, 1.5)  # ms

    def _cuStreamBeginCapture_v2(self, stream: int, mode: int) -> int:
        self.recording = []
        return 0

    def _cuStreamEndCapture(self, stream: int, where: Any) -> int:
        assert self.recording is not None
        self.make(where)
        self.graphs[where._obj.value] = self.recording
        self.recording = None
        return 0

    def _cuGraphInstantiateWithFlags(self, where: Any, graph: Any, flags: int) -> int:
        self.make(where)
        self.graphs[where._obj.value] = self.graphs[graph.value]
        return 0

    def _cuGraphLaunch(self, made: int, stream: int) -> int:
        assert made in self.alive
        for step in self.graphs[made]:
            step()
        return 0
