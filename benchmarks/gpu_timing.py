"""A TensorRT session that tells how long the GPU itself computed, without copies and waiting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ctypes import byref, c_float

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser_runtimes.tensorrt.session import TrtSession


class TimedSession(TrtSession):
    """As `TrtSession`, with `timed_run` beside `run`."""

    def __init__(self, bundle: Bundle, *, cuda_graphs: bool = False) -> None:
        super().__init__(bundle, cuda_graphs=cuda_graphs)
        self._is_timed = False
        # events of the driver around every part of a batch: start and end
        self._spans: list[tuple[int, int]] = []

    def timed_run(
        self, samples: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> tuple[Outputs, float]:
        """As `run`, and the seconds that the GPU computed."""
        with self._lock:
            self._is_timed = True
            try:
                outputs = self.run(samples, lengths)
                with self.gpu.current():
                    return outputs, sum(self._seconds(*span) for span in self._spans)
            finally:
                self._is_timed = False
                with self.gpu.current():
                    for event in (event for span in self._spans for event in span):
                        self.gpu.driver.call("cuEventDestroy_v2", event)
                self._spans.clear()

    def _around(self) -> contextlib.AbstractContextManager[None] | None:
        return self._timing() if self._is_timed else None

    @contextlib.contextmanager
    def _timing(self) -> Iterator[None]:
        driver, stream = self.gpu.driver, self.gpu.stream
        start, end = (driver.handle("cuEventCreate", 0) for _ in range(2))
        self._spans.append((start, end))
        driver.call("cuEventRecord", start, stream)
        yield
        driver.call("cuEventRecord", end, stream)

    def _seconds(self, start: int, end: int) -> float:
        milliseconds = c_float()
        self.gpu.driver.call("cuEventElapsedTime", byref(milliseconds), start, end)
        return milliseconds.value / 1000
