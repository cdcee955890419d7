"""TensorRT for RTX, and precision-typed graphs of a small model: each is made once in a run.

It builds engines on machines without a GPU. Where there is a wheel of it, the tests need it: a
suite that skips them would say that engines build without having built one.
"""

import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edge_ser.audio import Preprocessing
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.tensorrt.typed import Typed, Typing, write_typed
from edge_ser_runtimes.engines.backend import Backend, load_backend
from edge_ser_runtimes.engines.build import Built, build_engine
from edge_ser_runtimes.engines.devices import find_device
from edge_ser_runtimes.engines.profiles import Profile, default_profile
from helpers.trace_once import folder
from helpers.traced_graphs import drawn, traced

HAS_WHEEL = platform.machine().lower() in ("x86_64", "amd64") and platform.system() != "Darwin"
needs_rtx = pytest.mark.skipif(
    not HAS_WHEEL, reason="TensorRT for RTX has no wheel for this platform"
)


@cache
def backend() -> Backend:
    """TensorRT for RTX; a test fails where it could be had and is not installed."""
    return load_backend("rtx")


def calibration(kind: str) -> CalibrationSet:
    return drawn(kind, 4)


def preprocessing(kind: str = "spectral") -> Preprocessing:
    return traced(kind).model.config.preprocessing(12.0, "refuse")


@cache
def typed(kind: str, precision: str, narrow: bool = False) -> tuple[Path, Typed]:
    """The typed graph, and what was said of it; its explicit form lies beside it."""
    work = folder()
    path = work / "typed.onnx"
    speech = None if precision == "fp32" else calibration(kind)
    typing = Typing(precision, speech, traced(kind).model.config.partition, narrow)
    return path, write_typed(typing, traced(kind, doubles="group" not in kind).path, path, work)


def build(
    kind: str, precision: str, devices: Sequence[str], profiles: Sequence[Profile] = ()
) -> Built:
    targets = [find_device(d) for d in devices]
    graph, _ = typed(kind, precision)
    return build_engine(
        backend(), graph, precision, targets, profiles or [default_profile(preprocessing(kind))]
    )


def kinds_of(path: Path, operator: str) -> set[Any]:
    """Types of the first output of all nodes of a type, as ONNX infers them."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    parts = [*model.graph.value_info, *model.graph.output]
    types = {v.name: v.type.tensor_type.elem_type for v in parts}
    return {ir.DataType(types[n.output[0]]) for n in model.graph.node if n.op_type == operator}


def largest(a: Sequence[Any], b: Sequence[Any]) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))
