"""Reading pickles from strangers: tensors through torch's restricted loader, and two floats.

A pickle is a program. Nothing here runs one: torch's `weights_only` unpickler admits tensors and
plain containers, and statistics are read without an unpickler (`pickled_numbers.py`).
"""

from __future__ import annotations

import argparse
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import STATISTICS_BYTES, check_bound, shown
from edge_ser_export.checkpoints.dense import check_dense
from edge_ser_export.checkpoints.file_kind import foreign, foreign_framework
from edge_ser_export.checkpoints.pickled_numbers import NotNumbersError, read_pair
from edge_ser_export.checkpoints.written_out import check_written_out

# Where training loops keep the weights: Lightning, and most others.
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_ADVICE = "do not open this file elsewhere unless you trust its source"


def load_torch(path: Path) -> Any:
    """Content of a `.pt` / `.bin` file: tensors, numbers, strings and containers of them.

    Raises:
        CheckpointError: damaged, too large once written out, or it asks for anything else to be
            run.
    """
    try:
        with warnings.catch_warnings():  # about how the file was written, which nobody here chose
            warnings.simplefilter("ignore")
            is_zip = _is_zip(path)
            check_written_out(path, is_zip)
            with torch.serialization.safe_globals([argparse.Namespace]):  # Lightning's options
                return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (MemoryError, CheckpointError):
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
    content = _state_in(load_torch(path), path)
    if not isinstance(content, dict) or not content:
        raise CheckpointError(path, expected="a state dict", found=type(content).__name__)
    strangers = [k for k, v in content.items() if not isinstance(k, str) or not torch.is_tensor(v)]
    if strangers:
        raise CheckpointError(
            path,
            expected="a state dict of named tensors",
            found=f"{shown(strangers[0])} among them",
        )
    check_dense(content, path)
    if all(k.startswith("module.") for k in content):
        return {k.removeprefix("module."): v for k, v in content.items()}
    return content


def _state_in(content: Any, path: Path) -> Any:
    """The state dict of a model: the file's content, or what lies in it under a usual name."""
    kind = foreign_framework(content)
    if kind:
        raise CheckpointError(path, expected="a model's tensors by name", found=kind)
    if not isinstance(content, dict) or all(torch.is_tensor(v) for v in content.values()):
        return content
    held = [k for k in _STATE_KEYS if isinstance(content.get(k), dict) and content[k]]
    if len(held) > 1:
        raise CheckpointError(
            path,
            expected=f"one state dict, under {' or '.join(_STATE_KEYS)}",
            found=f"several: {', '.join(held)}",
            advice="save the one that you want alone: torch.save(content[NAME], path)",
        )
    return content[held[0]] if held else content


def load_statistics(path: Path) -> tuple[float, float]:
    """Mean and standard deviation out of `train_norm_stat.pkl`: a pickled pair of floats.

    Raises:
        CheckpointError: anything else, which is not run.
    """
    check_bound("bytes", path.stat().st_size, STATISTICS_BYTES, path)
    try:
        mean, std = read_pair(path.read_bytes())
    except NotNumbersError as error:
        raise CheckpointError(
            path,
            expected="two pickled floats (mean, standard deviation)",
            found=str(error),
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
            source,
            expected="finite numbers mean and std, std > 0",
            found=f"mean {shown(mean)}, std {shown(std)}",
        )


def _is_finite(number: object) -> bool:
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # an integer that no float holds
        return False


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _first_reason(error: Exception) -> str:
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Unsupported" in line or "GLOBAL" in line]
    return (telling or lines or ["no reason given"])[0][:160]
