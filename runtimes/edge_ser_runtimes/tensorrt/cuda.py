"""The CUDA driver, as far as running an engine needs it.

A thin layer of ctypes over libcuda, which is part of NVIDIA's driver and therefore on every machine
that can run an engine, a Jetson included. The library `cuda-bindings` would be the alternative. It
is well kept, but each of its releases is made for one major version of CUDA, so that a wheel of
edge-ser would have to choose between JetPack 6 (CUDA 12) and newer drivers. The calls below have
not changed since CUDA 11.4.

Everything starts with `Driver()`: without a driver TensorRT hands out objects that crash the
process on first use.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DeviceError
from edge_ser.host import nvidia_libraries

_CALLS: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxPushCurrent_v2": (c_void_p,),
    "cuCtxPopCurrent_v2": (POINTER(c_void_p),),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuEventCreate": (POINTER(c_void_p), c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cuEventDestroy_v2": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_uint64),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating
_OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
ADVICE = "install NVIDIA's driver (JetPack brings it), or use --runtime onnx"


def load_library() -> Any:
    """The driver's library.

    Raises:
        DeviceError: this machine has none.
    """
    library = nvidia_libraries.load_first(nvidia_libraries.CUDA_NAMES)
    if library is None:
        raise DeviceError(
            "CUDA driver",
            expected=nvidia_libraries.CUDA_NAMES[0],
            found="no such library",
            advice=ADVICE,
        )
    return library


class Driver:
    """The driver, initialised, with at least one GPU.

    Attributes:
        version: newest CUDA that it supports, such as (13, 0).

    Raises:
        DeviceError: no driver, one too old to be used, or no GPU.
    """

    def __init__(self) -> None:
        self._library = load_library()
        for name, arguments in _CALLS.items():
            try:
                function = getattr(self._library, name)
            except AttributeError:
                raise DeviceError(
                    "CUDA driver",
                    expected=f"one with {name}, of CUDA 11.4 or later",
                    found="an older driver",
                    advice="update NVIDIA's driver",
                ) from None
            function.argtypes, function.restype = arguments, c_int
        code = self._library.cuInit(0)
        if code:
            raise DeviceError(
                "CUDA driver",
                expected="a driver and a GPU that start",
                found=f"cuInit gave {self.error_name(code)}",
                advice=ADVICE,
            )
        number = c_int()
        self.call("cuDriverGetVersion", byref(number))
        self.version = (number.value // 1000, number.value % 1000 // 10)
        self.call("cuDeviceGetCount", byref(number))
        if number.value < 1:
            raise DeviceError("CUDA driver", expected="a GPU", found="none", advice=ADVICE)

    def error_name(self, code: int) -> str:
        """CUDA's name of an error, such as CUDA_ERROR_NO_DEVICE."""
        text = c_char_p()
        unknown = self._library.cuGetErrorName(code, byref(text))
        return f"error {code}" if unknown or not text.value else text.value.decode()

    def call(self, name: str, *arguments: Any) -> None:
        """Call the driver.

        Raises:
            DeviceError: it says that something went wrong.
        """
        code = getattr(self._library, name)(*arguments)
        if code:
            reason = self.error_name(code)
            raise DeviceError(
                "GPU",
                expected=f"{name} to succeed",
                found=reason,
                advice="use smaller batches or shorter audio" if reason == _OUT_OF_MEMORY else "",
            )

    def handle(self, name: str, *arguments: Any) -> int:
        """Call something that makes an object, and whose first argument is where it goes."""
        pointer = c_void_p()
        self.call(name, byref(pointer), *arguments)
        return pointer.value or 0


class Gpu:
    """The first GPU, with its primary context, which TensorRT uses as well, and a stream.

    Args:
        driver: initialised.

    Attributes:
        name: as the driver says it.
        sm: streaming-multiprocessor version, such as sm86.
        stream: handle of a stream of our own.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        device, number = c_int(), c_int()
        driver.call("cuDeviceGet", byref(device), 0)
        self._device = device.value
        text = ctypes.create_string_buffer(256)
        driver.call("cuDeviceGetName", text, len(text), self._device)
        self.name = text.value.decode(errors="replace")
        parts = []
        for attribute in (_MAJOR, _MINOR):
            driver.call("cuDeviceGetAttribute", byref(number), attribute, self._device)
            parts.append(number.value)
        self.sm = f"sm{parts[0]}{parts[1]}"
        self._context = 0
        self.stream = 0

    def open(self) -> None:
        """Make the context and the stream."""
        self._context = self.driver.handle("cuDevicePrimaryCtxRetain", self._device)
        with self.current():
            self.stream = self.driver.handle("cuStreamCreate", _NON_BLOCKING)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the context the calling thread's, as every use of it needs."""
        self.driver.call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self.driver.call("cuCtxPopCurrent_v2", byref(c_void_p()))

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the GPU; within `current`."""
        free, total = c_size_t(), c_size_t()
        self.driver.call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value, total.value

    def synchronize(self) -> None:
        """Wait for the stream."""
        self.driver.call("cuStreamSynchronize", self.stream)

    def close(self) -> None:
        """Give the stream and the context back."""
        if self._context:
            if self.stream:
                with self.current():
                    self.driver.call("cuStreamDestroy_v2", self.stream)
            self.driver.call("cuDevicePrimaryCtxRelease_v2", self._device)
        self._context = self.stream = 0


class Buffer:
    """Memory on the GPU that grows and is used again; all of it within `Gpu.current`.

    Attributes:
        address: on the GPU; another one after it has grown.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.address, self._bytes = 0, 0

    def hold(self, size: int) -> None:
        """Be at least `size` bytes long; what was inside is lost when that needs more memory."""
        if size <= self._bytes:
            return
        self.free()
        address = c_uint64()
        self._gpu.driver.call("cuMemAlloc_v2", byref(address), size)
        self.address, self._bytes = address.value, size

    def write(self, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the GPU, in the stream's order."""
        self._gpu.driver.call(
            "cuMemcpyHtoDAsync_v2", self.address, array.ctypes.data, array.nbytes, self._gpu.stream
        )

    def read(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Copy float32 from the GPU; the array is filled when the stream is done."""
        array = np.empty(shape, np.float32)
        self._gpu.driver.call(
            "cuMemcpyDtoHAsync_v2", array.ctypes.data, self.address, array.nbytes, self._gpu.stream
        )
        return array

    def free(self) -> None:
        """Give the memory back."""
        if self.address:
            self._gpu.driver.call("cuMemFree_v2", self.address)
        self.address, self._bytes = 0, 0


class Graph:
    """Work recorded from the stream once, to be launched again with one call."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._made = 0

    @contextlib.contextmanager
    def record(self) -> Iterator[None]:
        """Record what the block puts into the stream; nothing is computed by that."""
        driver, stream = self._gpu.driver, self._gpu.stream
        graph = c_void_p()
        driver.call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            try:
                yield
            finally:  # a stream left recording could not be used again
                driver.call("cuStreamEndCapture", stream, byref(graph))
            self._made = driver.handle("cuGraphInstantiateWithFlags", graph, 0)
        finally:
            if graph.value:
                driver.call("cuGraphDestroy", graph)

    def launch(self) -> None:
        """Put the recorded work into the stream."""
        self._gpu.driver.call("cuGraphLaunch", self._made, self._gpu.stream)

    def free(self) -> None:
        """Give it back."""
        if self._made:
            self._gpu.driver.call("cuGraphExecDestroy", self._made)
        self._made = 0
