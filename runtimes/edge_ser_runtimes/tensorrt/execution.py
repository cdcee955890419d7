"""Which shapes an engine runs, and one execution context that runs them."""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DeviceError, UsageError
from edge_ser_runtimes.tensorrt.cuda import Buffer, Gpu, Graph


class Profile(NamedTuple):
    """An optimisation profile: shapes `[batch, samples]` that the engine takes.

    Attributes:
        number: in the engine, from 0.
        least: smallest shape.
        best: shape it is tuned for.
        most: largest shape.
    """

    number: int
    least: tuple[int, ...]
    best: tuple[int, ...]
    most: tuple[int, ...]


class Shape(NamedTuple):
    """What is really run: a profile, and a shape inside it."""

    profile: int
    rows: int
    samples: int


def choose_shape(profiles: list[Profile], rows: int, samples: int) -> tuple[Shape, int]:
    """The shape to run next for `rows` rows of `samples` samples.

    Fewest runs first, then least padding, then nearest to what the profile is tuned for.

    Returns:
        the shape, at least as large as what it must hold, and how many rows it takes.

    Raises:
        UsageError: more samples than any profile takes.
    """
    fitting = [p for p in profiles if samples <= p.most[1]]
    if not fitting:
        longest = max(p.most[1] for p in profiles)
        raise UsageError(
            "lengths",
            expected=f"at most {longest} samples, as the engine's profiles say",
            found=str(samples),
            advice="export with a longer --profile, or use --runtime onnx",
        )

    def cost(p: Profile) -> tuple[float, ...]:
        high, wide = min(max(rows, p.least[0]), p.most[0]), max(samples, p.least[1])
        away = abs(math.log(high / p.best[0])) + abs(math.log(wide / p.best[1]))
        return -(-rows // p.most[0]), high * wide, away

    p = min(fitting, key=cost)
    taken = min(rows, p.most[0])
    return Shape(p.number, max(taken, p.least[0]), max(samples, p.least[1])), taken


def must(succeeded: bool, call: str, log: Any) -> None:
    """Refuse to go on after a call of TensorRT that reports failure by its return value."""
    if not succeeded:
        raise DeviceError(
            "TensorRT", expected=f"{call} to succeed", found=log.error or "that it did not"
        )


class Execution:
    """An execution context with its buffers, and its recorded graph where one is asked for.

    All of it within `Gpu.current`.

    Args:
        gpu: opened.
        context: TensorRT's execution context.
        inputs: names of input tensors.
        outputs: names of output tensors, float32.
        log: of TensorRT.
    """

    def __init__(
        self, gpu: Gpu, context: Any, inputs: list[str], outputs: list[str], log: Any
    ) -> None:
        self._gpu, self._context, self._log = gpu, context, log
        self._inputs, self._outputs = inputs, outputs
        self._buffers = {name: Buffer(gpu) for name in (*inputs, *outputs)}
        self._sizes: dict[str, tuple[int, ...]] = {}
        self._shape: Shape | None = None
        self._profile: int = context.active_optimization_profile  # negative: none yet
        self._graph: Graph | None = None
        self._runs = 0

    def run(
        self,
        shape: Shape,
        feeds: dict[str, NDArray[Any]],
        graph: bool = False,
        around: contextlib.AbstractContextManager[Any] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Run once and wait for the answer.

        Args:
            shape: of the feeds.
            feeds: contiguous arrays by input name.
            graph: record the second run and replay it from then on; the shape must stay the same.
            around: what the GPU computes, such as something that times it; None: nothing.
        """
        if shape != self._shape:
            self._prepare(shape, feeds)
        for name in self._inputs:
            self._buffers[name].write(feeds[name])
        if graph and self._runs >= 1 and self._graph is None:
            self._record()
        with around or contextlib.nullcontext():
            if self._graph is not None:
                self._graph.launch()
            else:
                self._execute()
        self._runs += 1
        values = {name: self._buffers[name].read(self._sizes[name]) for name in self._outputs}
        self._gpu.synchronize()
        return values

    def _prepare(self, shape: Shape, feeds: dict[str, NDArray[Any]]) -> None:
        context, log = self._context, self._log
        self._shape, self._runs = None, 0  # unknown, should anything here fail
        if shape.profile != self._profile:
            succeeded = context.set_optimization_profile_async(shape.profile, self._gpu.stream)
            must(succeeded, "set_optimization_profile_async", log)
            self._profile = shape.profile
        for name in self._inputs:
            must(context.set_input_shape(name, feeds[name].shape), f"set_input_shape {name}", log)
            self._hold(name, feeds[name].nbytes)
        for name in self._outputs:
            size = tuple(int(d) for d in context.get_tensor_shape(name))
            must(all(d >= 0 for d in size), f"get_tensor_shape {name}", log)
            self._sizes[name] = size
            self._hold(name, 4 * int(np.prod(size)))
        self._shape = shape

    def _hold(self, name: str, size: int) -> None:
        buffer = self._buffers[name]
        buffer.hold(size)
        succeeded = self._context.set_tensor_address(name, buffer.address)
        must(succeeded, f"set_tensor_address {name}", self._log)

    def _execute(self) -> None:
        succeeded = self._context.execute_async_v3(self._gpu.stream)
        must(succeeded, "execute_async_v3", self._log)

    def _record(self) -> None:
        # not the first run: that one still allocates, which cannot be recorded
        graph = Graph(self._gpu)
        with graph.record():
            self._execute()
        self._graph = graph

    def free(self) -> None:
        """Give everything back."""
        if self._graph is not None:
            self._graph.free()
        self._graph = None
        for buffer in self._buffers.values():
            buffer.free()
        self._shape = None
        self._context = None
