"""The default bundle with its weights rounded to few bits, as a lower precision would."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE

BITS = 7


def rounded_twin(folder: Path, change: Callable[[Manifest], Manifest] = lambda m: m) -> Path:
    """Write the twin to a folder that is not there yet; `change` its manifest."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim >= 2 and values.dtype.kind == "f":
            step = np.abs(values).max() / 2**BITS
            rounded = (np.rint(values / step) * step).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    onnx.save(model, folder / "model.onnx")
    seal(folder, change(Bundle.open(DEFAULT_BUNDLE).manifest))
    return folder
