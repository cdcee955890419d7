"""From a joint model to an ONNX file."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch._dynamo.config
import torch.fx.experimental._config
from onnxscript import opset20 as op

from edge_ser.errors import UsageError
from edge_ser_export.memory import forget_weights
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.trace.repeat_layers import TRACED, named_tensors, repeat_layers

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
    outputs those of the model's configuration, see `JointModel`.

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
    batch = torch.export.Dim("batch")
    time = torch.export.Dim("n", min=min_samples, max=max_samples)
    with _quiet():
        program = _program(form, {0: batch, 1: time})
    weights = sum(t.numel() * t.element_size() for t in form.state_dict().values())
    program.save(path, external_data=weights > EXTERNAL_DATA_BYTES)
    _forget_weights(program)


def _forget_weights(program: torch.onnx.ONNXProgram) -> None:
    """Caches of the exporter keep a program alive; it must not keep the weights alive too."""
    forget_weights(program.model)
    if program.exported_program is not None:
        program.exported_program.state_dict.clear()
        program.exported_program.constants.clear()


def _program(form: DeploymentModel, sizes: dict[int, Any]) -> torch.onnx.ONNXProgram:
    """The graph of a model in ONNX."""
    outputs = list(form.outputs)
    if form.shorten(TRACED):
        captured = _capture(form, sizes)
        program = _translate(captured, [*outputs, "layer.0", "layer.1"], optimize=False)
        depth = form.shorten(None)
        if repeat_layers(program, named_tensors(form), _used(captured), depth):
            return program
        _forget_weights(program)
    return _translate(_capture(form, sizes), outputs)


def _used(captured: torch.export.ExportedProgram) -> set[str]:
    """Names of parameters and buffers that something is computed from."""
    read = {node.name for node in captured.graph.nodes if node.op == "placeholder" and node.users}
    return {
        spec.target
        for spec in captured.graph_signature.input_specs
        if spec.target is not None and spec.arg.name in read
    }


def _capture(form: DeploymentModel, sizes: dict[int, Any]) -> torch.export.ExportedProgram:
    """What a model computes, as a graph of torch's operators, with `samples` of given sizes."""
    example = torch.zeros(_EXAMPLE_ROWS, _EXAMPLE_SAMPLES)
    lengths = torch.tensor([_EXAMPLE_SAMPLES, _EXAMPLE_SAMPLES // 2])
    with (
        # torch's cache of traced operators costs more than it saves where every size is symbolic
        torch._dynamo.config.patch(fake_tensor_cache_enabled=False),
        # a size that is 0 or 1 is nothing special: as `torch.onnx.export` itself captures
        torch.fx.experimental._config.patch(backed_size_oblivious=True),  # type: ignore[attr-defined]
    ):
        return torch.export.export(
            form,
            (example, lengths),
            dynamic_shapes={"samples": sizes, "lengths": {0: sizes[0]}},
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def _cast(value: Any, dtype: int, non_blocking: bool = False, copy: bool = False) -> Any:
    """`aten.to.dtype` in ONNX."""
    return op.Cast(value, to=dtype)


def _subtract_from(value: Any, other: float) -> Any:
    """`aten.rsub.Scalar` in ONNX."""
    return op.Sub(other, value)


# Those of the deployment form's operators that torch's exporter knows by their decomposition only.
_OPERATORS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.to.dtype: _cast,
    torch.ops.aten.rsub.Scalar: _subtract_from,
}


def _translate(
    captured: torch.export.ExportedProgram, outputs: list[str], optimize: bool = True
) -> torch.onnx.ONNXProgram:
    """A captured graph in ONNX.

    torch's exporter first captures the graph again, to take operators apart that ONNX has not.
    That takes longer than everything else together, and the deployment form has next to no such
    operators: it is left out, unless the translation meets one.
    """

    def translate(program: torch.export.ExportedProgram) -> torch.onnx.ONNXProgram:
        done = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["samples", "lengths"],
            output_names=outputs,
            custom_translation_table=_OPERATORS,
            optimize=optimize,
            verbose=False,
        )
        if done is None:  # only without dynamo
            raise RuntimeError("torch.onnx.export returned nothing")
        return done

    whole: Any = copy.copy(captured)
    whole.run_decompositions = lambda *_: whole
    try:
        return translate(whole)
    except torch.onnx.errors.OnnxExporterError:
        return translate(captured)


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
