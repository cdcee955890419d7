"""TensorRT and TensorRT for RTX on NVIDIA GPUs."""

from __future__ import annotations

import contextlib
import threading
import traceback
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, DeviceError
from edge_ser.fidelity.compare import concatenate
from edge_ser_runtimes.base import BaseSession
from edge_ser_runtimes.engines.trusted import check_trusted
from edge_ser_runtimes.tensorrt.cuda import Driver, Gpu
from edge_ser_runtimes.tensorrt.engine import (
    EngineFile,
    check_device,
    deserialize,
    engine_file_of,
    load_module,
    new_log,
    read_header,
)
from edge_ser_runtimes.tensorrt.execution import Execution, Profile, Shape, choose_shape, must
from edge_ser_runtimes.tensorrt.kernel_cache import KernelCache, cache_paths

_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32"}
# Each recorded graph of TensorRT keeps an execution context, with its activations, for itself.
_GRAPH_SHAPES = 4
# Of so many shapes it is remembered that their kernels may be new; later ones hardly bring any.
_COUNTED_SHAPES = 1024


class TrtSession(BaseSession):
    """A bundle's engine on the first GPU.

    Rows and samples that no optimisation profile of the engine takes at once are run in parts; what
    is shorter than a profile's minimum is padded to it, and `lengths` says what is speech.

    Args:
        bundle: verified model with an engine.
        threads: of no effect on a GPU.
        cuda_graphs: record the work of each shape and replay it: less waiting for the processor
            where the same lengths come again, as windows of a stream do.

    Raises:
        DeviceError: no driver or GPU, or one that the engine was not built for; TensorRT of another
            version than built it; the engine is still to be built.
        MissingExtraError: TensorRT is not installed.
        BundleError: no sound engine in the bundle.
        SignatureError: nobody who is trusted has built it; see `engines.trusted`.
    """

    computation = "trt"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, *, cuda_graphs: bool = False
    ) -> None:
        super().__init__(bundle)
        driver = Driver()  # first: without one, TensorRT's objects crash on use
        file = engine_file_of(bundle)
        data = bundle.read(file.name)
        if file.backend == "rtx":
            _check_header(file, read_header(data, file.path))
        gpu = Gpu(driver)
        check_device(file, gpu)
        trt = load_module(file, driver)
        check_trusted(bundle, file.name)
        self.gpu, self._trt, self._cuda_graphs = gpu, trt, cuda_graphs
        self._rtx = file.backend == "rtx"
        self._lock = threading.RLock()
        self._executions: OrderedDict[Shape | None, Execution] = OrderedDict()
        # TensorRT's objects, each needed by those after it; nothing else of ours may refer to them,
        # because they must be gone before the GPU's context is
        self._held: dict[str, Any] = {}
        self._caches: list[KernelCache] = []
        self._shapes: set[Shape] = set()
        self._close = weakref.finalize(
            self, _release, gpu, self._executions, self._caches, self._held
        )
        try:
            gpu.open()
            with gpu.current():
                self._load(file, data)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # their variables name TensorRT's objects
            self.close()
            raise

    def _release(self) -> None:
        """Give the GPU's memory back; done by itself when the session is no longer used."""
        with self._lock:  # not while another thread runs
            self._close()

    def _inherited(self) -> None:
        if hasattr(self, "_close"):  # not yet, where it was just being opened
            self._close.detach()  # the GPU's context is the parent's

    def _load(self, file: EngineFile, data: bytes) -> None:
        trt, held = self._trt, self._held
        log = held["log"] = new_log(trt)
        runtime = held["runtime"] = trt.Runtime(log)
        engine = held["engine"] = deserialize(file, trt, data, runtime, log)
        self._inputs, self._outputs = self._check_tensors(file, engine)
        samples = next(iter(self._input_types))
        self._profiles = [
            Profile(i, *(tuple(shape) for shape in engine.get_tensor_profile_shape(samples, i)))
            for i in range(engine.num_optimization_profiles)
        ]
        if self._rtx:
            config = engine.create_runtime_config()
            if self._cuda_graphs:  # TensorRT for RTX records and replays by itself, for any shape
                config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            kernels = held["kernels"] = config.create_runtime_cache()
            held["config"] = config
            self._caches.append(KernelCache(kernels, cache_paths(self.bundle)))
            self._caches[0].load()
            must(config.set_runtime_cache(kernels), "set_runtime_cache", log)
        self._executions[None] = self._new_execution()

    def _check_tensors(self, file: EngineFile, engine: Any) -> tuple[list[str], list[str]]:
        inputs: dict[str, str] = {}
        outputs: dict[str, str] = {}
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            is_input = engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            kind = engine.get_tensor_dtype(name).name
            (inputs if is_input else outputs)[name] = _TYPES.get(kind, kind)
        if inputs != self._input_types:
            raise BundleError(file.path, expected=self._expected_inputs(), found=f"{inputs}")
        names = self._output_names
        if set(names) - set(outputs) or set(outputs.values()) != {"float32"}:
            raise BundleError(
                file.path, expected=f"outputs {', '.join(names)} float32", found=f"{outputs}"
            )
        return list(inputs), list(outputs)

    def _new_execution(self) -> Execution:
        engine, log = self._held["engine"], self._held["log"]
        if self._rtx:
            context = engine.create_execution_context(self._held["config"])
        else:
            context = engine.create_execution_context()
        must(context is not None, "create_execution_context", log)
        return Execution(self.gpu, context, self._inputs, self._outputs, log)

    def _execution(self, shape: Shape) -> Execution:
        if not self._cuda_graphs or self._rtx:
            return self._executions[None]
        # A recorded graph holds its context's state, so that the context may serve no other shape.
        if shape not in self._executions:
            spare = self._executions.pop(None, None)  # made while loading
            if spare is None and len(self._executions) >= _GRAPH_SHAPES:
                self._executions.popitem(last=False)[1].free()
            self._executions[shape] = spare or self._new_execution()
        self._executions.move_to_end(shape)
        return self._executions[shape]

    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        parts: list[Outputs] = []
        first = 0
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._lock)
            self._check_open()  # another thread may have closed it since
            stack.enter_context(self.gpu.current())
            while first < lengths.size:
                rest = slice(first, None)
                shape, rows = choose_shape(self._profiles, lengths[rest].size, samples.shape[1])
                part = slice(first, first + rows)
                parts.append(self._run_part(samples[part], lengths[part], shape))
                first += rows
        return parts[0] if len(parts) == 1 else concatenate(parts)

    def _run_part(
        self, samples: NDArray[np.float32], lengths: NDArray[np.int64], shape: Shape
    ) -> Outputs:
        rows = lengths.size
        x = np.zeros((shape.rows, shape.samples), np.float32)
        x[:rows, : samples.shape[1]] = samples
        # rows that only fill a profile have a length, too: means over none divide by zero
        n = np.full(shape.rows, lengths[0], np.int64)
        n[:rows] = lengths
        execution = self._execution(shape)
        graph = self._cuda_graphs and not self._rtx
        values = execution.run(shape, self._feed(x, n), graph, self._around())
        is_new = shape not in self._shapes and len(self._shapes) < _COUNTED_SHAPES
        if self._caches and is_new:
            self._shapes.add(shape)
            self._caches[0].ran()
        return Outputs({o.name: values[o.name][:rows] for o in self.bundle.manifest.outputs})

    def _around(self) -> contextlib.AbstractContextManager[Any] | None:
        """What surrounds the GPU's work in each run; for subclasses that measure it."""
        return None


def _check_header(file: EngineFile, version: str) -> None:
    if version != file.version:
        raise BundleError(
            file.path,
            expected=f"an engine of {file.module} {file.version}, as its manifest says",
            found=f"one of {version}",
            advice=file.advice,
        )


def _release(
    gpu: Gpu,
    executions: OrderedDict[Shape | None, Execution],
    caches: list[KernelCache],
    held: dict[str, Any],
) -> None:
    """Everything in the reverse order of its making.

    A GPU that has failed takes nothing back: that is no error here, whose cause was one before.
    """
    failed = contextlib.suppress(DeviceError)
    if gpu.stream:
        with failed, gpu.current():
            # popped, because a variable that still names one would keep it from being released
            while executions:
                with failed:
                    executions.popitem()[1].free()
            while caches:
                caches.pop().save()  # kernels that were specialised in the background, too
            while held:
                held.popitem()  # the last one first
    with failed:
        gpu.close()
