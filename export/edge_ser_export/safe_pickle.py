"""Reading pickles from strangers: tensors through torch's restricted loader, and two floats.

A pickle is a program. Nothing here runs one: torch's `weights_only` unpickler admits tensors and
plain containers, and the statistics reader admits numbers.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ser.errors import CheckpointError

# Two pickled floats take about a hundred bytes.
_MAX_STATISTICS_BYTES = 4096
_ADVICE = "do not open this file elsewhere unless you trust its source"


def load_torch(path: Path) -> Any:
    """Content of a `.pt` / `.bin` file: tensors, numbers, strings and containers of them.

    Raises:
        CheckpointError: damaged, or it asks for anything else to be run.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            path,
            expected="tensors and plain data only",
            found=f"a pickle that is damaged or calls code ({_first_reason(error)})",
            advice=_ADVICE,
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            path,
            expected="a PyTorch checkpoint",
            found=f"a damaged file ({str(error).splitlines()[0]:.120})"
            if str(error)
            else "nothing",
            advice="copy the file again",
        ) from error


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict, without the prefix that data-parallel training leaves.

    Raises:
        CheckpointError: as `load_torch`, or something other than named tensors.
    """
    content = load_torch(path)
    if not isinstance(content, dict) or not content:
        raise CheckpointError(path, expected="a state dict", found=type(content).__name__)
    strangers = [k for k, v in content.items() if not isinstance(k, str) or not torch.is_tensor(v)]
    if strangers:
        raise CheckpointError(
            path, expected="a state dict of named tensors", found=f"{strangers[0]!r:.60} among them"
        )
    if all(k.startswith("module.") for k in content):
        return {k.removeprefix("module."): v for k, v in content.items()}
    return content


def load_statistics(path: Path) -> tuple[float, float]:
    """Mean and standard deviation out of `train_norm_stat.pkl`: a pickled pair of floats.

    Raises:
        CheckpointError: anything else, which is not run.
    """
    size = path.stat().st_size
    if size > _MAX_STATISTICS_BYTES:
        raise CheckpointError(path, expected="two pickled floats", found=f"{size} bytes")
    try:
        pair = _NumbersOnly(io.BytesIO(path.read_bytes())).load()
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise pickle.UnpicklingError(f"{type(pair).__name__} instead of two numbers")
        if not all(isinstance(v, int | float | np.number) for v in pair):
            raise pickle.UnpicklingError("something other than numbers")
        mean, std = (float(v) for v in pair)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError,
            AttributeError, OverflowError, UnicodeDecodeError) as error:  # fmt: skip
        raise CheckpointError(
            path,
            expected="two pickled floats (mean, standard deviation)",
            found=str(error) or "a damaged pickle",
            advice=_ADVICE,
        ) from error
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise CheckpointError(
            path, expected="a finite mean and a positive deviation", found=f"{mean}, {std}"
        )
    return mean, std


class _NumbersOnly(pickle.Unpickler):
    """Admits what numpy scalars are made of, in its old and new module names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return _number_dtype
        if name == "scalar" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _scalar
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 spells bytes
            return _latin1
        raise pickle.UnpicklingError(f"a pickle that calls {module}.{name}")


def _number_dtype(code: object, *_: object) -> np.dtype[Any]:
    dtype = np.dtype(code) if isinstance(code, str) else None
    if dtype is None or dtype.kind not in "fiu":
        raise pickle.UnpicklingError(f"numbers of type {code!r:.40}")
    return dtype


def _scalar(dtype: object, data: object = b"") -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a damaged number")
    return np.frombuffer(data, dtype=dtype, count=1)[0]


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a damaged number")
    return text.encode("latin1")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _first_reason(error: Exception) -> str:
    for line in str(error).splitlines():
        if "Unsupported" in line or "GLOBAL" in line:
            return line.strip()[:160]
    return (str(error).splitlines() or ["no reason given"])[0][:160]
