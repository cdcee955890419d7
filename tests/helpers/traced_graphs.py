"""Models and their traced graphs, for tests that look at graphs: each is traced once in a run.

Two are the trained checkpoints of the package, the others are tiny, with random weights; together
they have every kind of encoder, pooling and head.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from edge_ser_export.calibration.classes import classes_of
from edge_ser_export.calibration.draw import CalibrationSet, draw
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.rewrite import optimize_for_cpu, save
from edge_ser_export.graph.run import feed
from edge_ser_export.models.joint import JointModel
from edge_ser_export.proof.reference import Reference
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from helpers.tiny_models import encoder_config, joint_config, random_joint
from helpers.trace_once import folder, trace_once

Floats = NDArray[np.float32]
MAX_SAMPLES, MIN_SAMPLES = 192_000, 400

TINY: dict[str, Callable[[], JointModel]] = {
    "wavlm-group": lambda: random_joint(
        joint_config(
            encoder_config("wavlm-group", num_hidden_layers=1),
            pooling="attentive-statistics", region_count=0,
        )
    ),
    "wav2vec2-layer": lambda: random_joint(
        joint_config(
            encoder_config(
                "wav2vec2-layer", num_hidden_layers=1, conv_bias=True, num_conv_pos_embeddings=15
            ),
            pooling="mean", head="tanh", region_count=0,
        )
    ),
    "wav2vec2-group": lambda: random_joint(
        joint_config(encoder_config("wav2vec2-group", num_hidden_layers=1))
    ),
}  # fmt: skip
TRAINED = ("spectral", "wavlm-tiny")
KINDS = (*TRAINED, *TINY)


@dataclass
class Traced:
    """A model and its graph, as the exporter left it."""

    kind: str
    model: JointModel
    path: Path

    def load(self) -> ir.Model:
        return ir.load(self.path)

    @cached_property
    def optimized(self) -> Path:
        """The graph after every pass, in float32."""
        model = self.load()
        optimize_for_cpu(model)
        path = self.path.with_name("optimized.onnx")
        save(model, path, EXTERNAL_DATA_BYTES)
        return path

    @cached_property
    def expected(self) -> list[list[Floats]]:
        """What the traced graph says to `BATCHES`."""
        return run_batches(self.path)


@cache
def traced(kind: str, doubles: bool = True) -> Traced:
    """One of `KINDS`, for CPUs, or without float64 for TensorRT."""
    model = TINY[kind]() if kind in TINY else load_checkpoint(kind).model
    path = folder() / "traced.onnx"
    trace_once(model, path, MAX_SAMPLES, MIN_SAMPLES, doubles)
    return Traced(kind, model, path)


@cache
def drawn(kind: str, count: int = 64) -> CalibrationSet:
    """Built-in speech to measure ranges on and to judge on, drawn with the reference's answers."""
    config = traced(kind).model.config
    reference = Reference(traced(kind).model)
    classes = classes_of(config.heads, config.partition)
    return draw(
        None,
        config.preprocessing(),
        classes,
        lambda x: reference.one(x).arrays[classes.output][0],
        count,
    )


def _noise(*lengths: int) -> list[Floats]:
    return [np.random.default_rng(n).standard_normal(n).astype(np.float32) for n in lengths]


# the shortest, odd ones, a second, and batches with much padding
BATCHES = [_noise(*lengths) for lengths in ((400,), (777,), (16_000,), (9001, 400), (5000, 12_345))]


def session(graph: Path | ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    source = str(graph) if isinstance(graph, Path) else ir.to_proto(graph).SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run_batches(graph: Path | ir.Model) -> list[list[Floats]]:
    """Outputs for each of `BATCHES`."""
    opened = session(graph)
    return [opened.run(None, feed(rows)) for rows in BATCHES]


def types_of(graph: ir.Model) -> dict[str | None, ir.DataType]:
    """Types of inner values, which passes do not keep."""
    inferred = onnx.shape_inference.infer_shapes(ir.to_proto(graph))
    return {v.name: ir.DataType(v.type.tensor_type.elem_type) for v in inferred.graph.value_info}


def revealed(
    graph: ir.Model, names: Iterable[str | None], dtype: ir.DataType | None = None
) -> ir.Model:
    """A copy whose outputs also are some of its inner values; the runtime checks their type.

    Args:
        graph: of them.
        names: of the values.
        dtype: of the values; None: as inferred, for which the graph must be of ONNX's operators.
    """
    copy = graph.clone()
    inferred = {} if dtype is not None else types_of(graph)
    values = {v.name: v for node in copy.graph for v in node.outputs}
    values |= {v.name: v for v in copy.graph.inputs}
    for name in names:
        if values[name] not in copy.graph.outputs:
            values[name].dtype = dtype or inferred.get(name, ir.DataType.FLOAT)
            copy.graph.outputs.append(values[name])
    return copy


def with_weights(graph: ir.Model, before: JointModel, after: JointModel) -> None:
    """Give a traced graph the weights that a model has now in place of those it was traced with.

    Raises:
        ValueError: a changed weight is not in the graph as it is, or transposed.
    """
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    found = set()
    for value in graph.graph.initializers.values():
        assert value.const_value is not None
        array = value.const_value.numpy()
        for name in changed:
            was, now = old[name].detach().numpy(), new[name].detach().numpy()
            for a, b in ((was, now), (was.T, now.T)):
                if a.shape == array.shape and np.array_equal(a, array):
                    value.const_value = ir.tensor(np.ascontiguousarray(b), name=value.name)
                    found.add(name)
    if found != changed:
        raise ValueError(f"not in the graph: {sorted(changed - found)}")
