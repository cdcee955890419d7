"""Reading pickles from strangers: tensors through torch's restricted loader, and two floats.

A pickle is a program. Nothing here runs one: torch's `weights_only` unpickler admits tensors and
plain containers, and the statistics reader admits numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.file_kind import foreign

# Two pickled floats take about a hundred bytes.
_MAX_STATISTICS_BYTES = 4096
# What pickles of floats and numpy scalars are spelt with, in protocols 0 to 5. Left out are, among
# others, the words that reserve memory for lengths they only claim.
_SPELT = """
PROTO FRAME STOP MARK POP FLOAT BINFLOAT INT BININT BININT1 BININT2 LONG LONG1 NONE NEWTRUE NEWFALSE
TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE LIST EMPTY_LIST APPEND APPENDS UNICODE BINUNICODE
SHORT_BINUNICODE BINBYTES SHORT_BINBYTES STRING BINSTRING SHORT_BINSTRING MEMOIZE PUT BINPUT GET
BINGET GLOBAL STACK_GLOBAL REDUCE BUILD
"""
_WORDS = frozenset(_SPELT.split())
_MAX_MEMO = 256
_ADVICE = "do not open this file elsewhere unless you trust its source"


def load_torch(path: Path) -> Any:
    """Content of a `.pt` / `.bin` file: tensors, numbers, strings and containers of them.

    Raises:
        CheckpointError: damaged, or it asks for anything else to be run.
    """
    try:
        with warnings.catch_warnings():  # about how the file was written, which nobody here chose
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except MemoryError:
        raise
    except OSError as error:
        raise _damaged(path, error) from error
    except Exception as error:  # torch's reader raises whatever a stranger's bytes lead it to
        kind, advice = foreign(path)
        if kind:
            raise CheckpointError(
                path, expected="a PyTorch checkpoint", found=kind, advice=advice
            ) from error
        if not isinstance(error, pickle.UnpicklingError):
            raise _damaged(path, error) from error
        if "GLOBAL torch.nn." in str(error):
            raise CheckpointError(
                path,
                expected="tensors by name",
                found="a whole module, whose reading would run code",
                advice="save its weights: torch.save(model.state_dict(), path)",
            ) from error
        raise CheckpointError(
            path,
            expected="tensors and plain data only",
            found=f"a pickle that is damaged or calls code ({_first_reason(error)})",
            advice=_ADVICE,
        ) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = f" ({str(error).splitlines()[0]:.120})" if str(error) else ""
    return CheckpointError(
        path,
        expected="a PyTorch checkpoint",
        found=f"a damaged file{reason}",
        advice="copy the file again",
    )


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
        content = path.read_bytes()
        for word, argument, _ in pickletools.genops(content):
            far = word.name in ("PUT", "GET") and int(argument or 0) > _MAX_MEMO
            if word.name not in _WORDS or far:
                raise pickle.UnpicklingError(f"a pickle with {word.name}")
        pair = _NumbersOnly(io.BytesIO(content)).load()
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
            found=" ".join(str(error).split()) or "a damaged pickle",
            advice=_ADVICE,
        ) from error
    check_statistics(path, mean, std)
    return mean, std


def check_statistics(source: Path, mean: object, std: object) -> None:
    """Refuse statistics that samples cannot be normalised with.

    Raises:
        CheckpointError: not numbers, not finite, or a deviation that is not positive.
    """
    finite = all(_is_finite(n) for n in (mean, std))
    if not finite or not float(std) > 0:  # type: ignore[arg-type]
        raise CheckpointError(
            source, expected="finite numbers mean and std, std > 0", found=f"mean {mean}, std {std}"
        )


def _is_finite(number: object) -> bool:
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # an integer that no float holds
        return False


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
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Unsupported" in line or "GLOBAL" in line]
    return (telling or lines or ["no reason given"])[0][:160]
