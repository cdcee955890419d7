"""Which tensors a checkpoint may have: plain numbers, all of them in its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import SHARED_TENSORS

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_dense(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that nothing here computes with, and those that only claim their numbers.

    Args:
        tensors: by name.
        path: of the file they were read from.

    Raises:
        CheckpointError: sparse, quantised, nested or empty ones, floats of less than sixteen bits,
            or more numbers than the file has room for.
    """
    for name, tensor in tensors.items():
        form = _form(tensor)
        if form:
            raise CheckpointError(
                path,
                expected="dense tensors of float16, bfloat16, float32 or float64",
                found=f"{form} under {name:.80}",
                advice="save it as float32: tensor.to_dense().float()",
            )
    size, room = sum(t.numel() * t.element_size() for t in tensors.values()), path.stat().st_size
    if size > SHARED_TENSORS.largest * room:
        raise CheckpointError(
            path,
            expected=f"a file with the numbers of its tensors, {size} bytes",
            found=f"{room} bytes",
            advice="save contiguous tensors: tensor.clone()",
        )


def _form(tensor: Tensor) -> str:
    """What a tensor is other than dense numbers; "" for what is right."""
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {str(tensor.layout).removeprefix('torch.')}"
    if tensor.is_meta:
        return "a tensor without numbers (meta)"
    if tensor.is_quantized or (tensor.is_floating_point() and tensor.dtype not in _FLOATS):
        return f"a tensor of {str(tensor.dtype).removeprefix('torch.')}"
    return ""
