"""TensorRT for machines that have no GPU: the module, recorded; see `fake_gpu`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from helpers.fake_gpu import FakeLibrary

WEIGHTS = np.array([[0.1, 0.2, 0.3]], np.float32)


class FakeTensorRT(SimpleNamespace):
    """The module `tensorrt_rtx` or `tensorrt`, with one engine.

    Args:
        library: whose memory it computes on, and whose journal it writes.
        rtx: which of the two.
        profiles: (least, best, most) shapes `[batch, samples]`.
    """

    def __init__(
        self,
        library: FakeLibrary,
        rtx: bool = True,
        profiles: tuple[tuple[tuple[int, int], ...], ...] = (((1, 800), (1, 16_000), (4, 48_000)),),
        version: str = "1.7.1.116",
    ) -> None:
        super().__init__()
        self.__version__ = version
        self.library, self.rtx, self.profiles = library, rtx, profiles
        self.tensors = {
            "samples": ("INPUT", "FLOAT"),
            "lengths": ("INPUT", "INT64"),
            "vad": ("OUTPUT", "FLOAT"),
            "region_logits": ("OUTPUT", "FLOAT"),
        }
        self.validity, self.diagnostics = 0, 0
        self.loads = True
        self.refuse: set[str] = set()  # calls that report failure
        self.kernels = b"kernels"
        self.cache_fits = True
        self.objects = 0  # of TensorRT that are alive
        self.ran: list[tuple[int, tuple[int, ...]]] = []  # (profile, shape) of each execution
        self.graph_strategy: Any = None
        self.ILogger = _Logger
        self.TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
        self.EngineValidity = SimpleNamespace(VALID=0, SUBOPTIMAL=1, INVALID=2)
        flags = {"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2, "OLD_CUDA_DRIVER": 4}
        self.EngineInvalidityDiagnostics = SimpleNamespace(__members__=flags)
        self.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")

    def Runtime(self, log: Any) -> Any:
        return _Runtime(self, log)


class _Logger:
    class Severity:
        INTERNAL_ERROR, ERROR, WARNING = range(3)


class _Owned:
    """Something of TensorRT's, which must be gone before the context is."""

    def __init__(self, trt: FakeTensorRT, name: str) -> None:
        trt.library.needs_context()
        trt.library.journal.append(name)
        trt.objects += 1
        self._trt = trt

    def __del__(self) -> None:
        if hasattr(self, "_trt"):  # an exception here would only be printed
            self._trt.objects -= 1
            if not self._trt.library.contexts:
                self._trt.library.crashes.append(f"{type(self).__name__} released too late")

    def said(self, name: str) -> bool:
        self._trt.library.needs_context()
        self._trt.library.journal.append(name)
        return name not in self._trt.refuse


class _Runtime(_Owned):
    def __init__(self, trt: FakeTensorRT, log: Any) -> None:
        super().__init__(trt, "Runtime")
        self._log = log

    def get_engine_validity(self, data: bytes) -> tuple[int, int]:
        assert self._trt.rtx, "TensorRT has no such call"
        self.said("get_engine_validity")
        return self._trt.validity, self._trt.diagnostics

    def deserialize_cuda_engine(self, data: bytes) -> Any:
        self.said("deserialize_cuda_engine")
        if not self._trt.loads:
            self._log.log(_Logger.Severity.ERROR, "magic tag does not match\nsecond line")
            return None
        return _Engine(self._trt)


class _Engine(_Owned):
    def __init__(self, trt: FakeTensorRT) -> None:
        super().__init__(trt, "engine")
        self.num_io_tensors = len(trt.tensors)
        self.num_optimization_profiles = len(trt.profiles)
        if trt.rtx:
            self.create_runtime_config = lambda: _Config(trt)

    def get_tensor_name(self, index: int) -> str:
        return list(self._trt.tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return self._trt.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self._trt.tensors[name][1])

    def get_tensor_profile_shape(self, name: str, index: int) -> list[Any]:
        assert name == "samples"
        return [list(shape) for shape in self._trt.profiles[index]]

    def create_execution_context(self, config: Any = None) -> Any:
        assert (config is not None) == self._trt.rtx
        return _Context(self._trt) if self.said("create_execution_context") else None


class _Config(_Owned):
    def __init__(self, trt: FakeTensorRT) -> None:
        super().__init__(trt, "create_runtime_config")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "cuda_graph_strategy":
            self._trt.graph_strategy = value
        else:
            super().__setattr__(name, value)

    def create_runtime_cache(self) -> Any:
        return _Cache(self._trt)

    def set_runtime_cache(self, cache: Any) -> bool:
        assert isinstance(cache, _Cache)
        return self.said("set_runtime_cache")


class _Cache(_Owned):
    def __init__(self, trt: FakeTensorRT) -> None:
        super().__init__(trt, "create_runtime_cache")

    def deserialize(self, data: bytes) -> bool:
        self.said("cache.deserialize")
        return self._trt.cache_fits

    def serialize(self) -> bytes:
        self.said("cache.serialize")
        return self._trt.kernels


class _Context(_Owned):
    def __init__(self, trt: FakeTensorRT) -> None:
        super().__init__(trt, "context")
        # the first context has the first profile; whether others do depends on the release
        self._profile = -1 if "context" in trt.library.journal[:-1] else 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._profile, self._shapes = index, {}
        return self.said("set_optimization_profile_async")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self._profile >= 0, "no profile was chosen"
        low, _, high = self._trt.profiles[self._profile]
        inside = all(a <= b <= c for a, b, c in zip(low, shape, high, strict=False))
        self._shapes[name] = tuple(shape)
        return self.said("set_input_shape") and inside

    def get_tensor_shape(self, name: str) -> list[int]:
        self.said("get_tensor_shape")
        widths = {"vad": 3, "region_logits": 8}
        known = len(self._shapes) == 2 and "get_tensor_shape" not in self._trt.refuse
        return [self._shapes["samples"][0] if known else -1, widths[name]]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return self.said("set_tensor_address") and address in self._trt.library.memory

    def execute_async_v3(self, stream: int) -> bool:
        if not self.said("execute_async_v3"):
            return False
        assert stream in self._trt.library.alive
        assert set(self._addresses) == set(self._trt.tensors), "every tensor needs an address"
        trt, profile = self._trt, self._profile
        shapes, addresses = dict(self._shapes), dict(self._addresses)

        def compute() -> None:
            trt.ran.append((profile, shapes["samples"]))
            rows, width = shapes["samples"]
            memory = trt.library.memory
            assert shapes["lengths"] == (rows,)
            x = np.frombuffer(memory[addresses["samples"]], np.float32, rows * width)
            n = np.frombuffer(memory[addresses["lengths"]], np.int64, rows)
            assert (n > 0).all(), "a row without samples divides by zero"
            valid = np.arange(width) < n[:, None]
            mean = (x.reshape(rows, width) * valid).sum(1, keepdims=True) / n[:, None]
            answers = {"vad": mean * WEIGHTS, "region_logits": mean * np.arange(8)}
            for name, values in answers.items():
                if name in addresses:
                    data = values.astype(np.float32).tobytes()
                    memory[addresses[name]][: len(data)] = data

        if self._trt.library.recording is None:
            compute()
        else:
            self._trt.library.recording.append(compute)
        return True
