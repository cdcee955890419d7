"""From a joint model to an ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch._dynamo.config

from edge_ser.errors import UsageError
from edge_ser_export.deploy import DeploymentModel
from edge_ser_export.model import JointModel

# LayerNormalization, Gelu and Mish are operators here, and both ONNX Runtime and TensorRT 10
# take it (TensorRT's parser reads 9 to 20). From 23 on attention becomes one operator, whose
# float32 form TensorRT does not build.
OPSET = 20
# Larger weights go to a file of their own, which runtimes map instead of copying and which
# stays clear of the 2 GB that one protocol buffer can hold.
EXTERNAL_DATA_BYTES = 64 * 1024 * 1024
# Any length serves; two rows, because a batch of one would be taken for a constant.
_EXAMPLE_ROWS, _EXAMPLE_SAMPLES = 2, 20_000


def trace(
    model: JointModel, path: Path, max_samples: int, min_samples: int, doubles: bool = True
) -> None:
    """Write the deployment form of a model as ONNX.

    Inputs `samples [batch, n]` float32 (normalised) and `lengths [batch]` int64, both dynamic;
    outputs `vad [batch, 3]` and, with a region head, `region_logits [batch, regions]`.

    Args:
        model: in evaluation mode.
        path: of the ONNX file; large weights go beside it.
        max_samples: longest row.
        min_samples: shortest row.
        doubles: whether a few sums may be taken in float64, which CPUs have and TensorRT has not.

    Raises:
        UsageError: the range of lengths excludes the example that tracing needs.
    """
    if max_samples < _EXAMPLE_SAMPLES:
        raise UsageError(
            "--max-seconds", expected=f"at least {_EXAMPLE_SAMPLES / 16000}", found="less"
        )
    form = DeploymentModel(model, fast=True, doubles=doubles)
    form.fold()
    form.eval()
    example = torch.zeros(_EXAMPLE_ROWS, _EXAMPLE_SAMPLES)
    lengths = torch.tensor([_EXAMPLE_SAMPLES, _EXAMPLE_SAMPLES // 2])
    batch = torch.export.Dim("batch")
    time = torch.export.Dim("n", min=min_samples, max=max_samples)
    outputs = ["vad"] + (["region_logits"] if model.region_head is not None else [])
    # torch's cache of traced operators costs more than it saves where every size is symbolic
    with _quiet(), torch._dynamo.config.patch(fake_tensor_cache_enabled=False):
        program = torch.onnx.export(
            form,
            (example, lengths),
            dynamo=True,
            opset_version=OPSET,
            input_names=["samples", "lengths"],
            output_names=outputs,
            dynamic_shapes={"samples": {0: batch, 1: time}, "lengths": {0: batch}},
            verbose=False,
        )
    if program is None:  # only without dynamo
        raise RuntimeError("torch.onnx.export returned nothing")
    weights = sum(t.numel() * t.element_size() for t in form.state_dict().values())
    program.save(path, external_data=weights > EXTERNAL_DATA_BYTES)
    # caches of the exporter keep the program alive; it must not keep the weights alive too
    for value in program.model.graph.initializers.values():
        value.const_value = None
    if program.exported_program is not None:
        program.exported_program.state_dict.clear()
        program.exported_program.constants.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress and its hints about packages nobody needs here."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger("torch.export")]
    levels = [x.level for x in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
