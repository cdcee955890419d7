"""QuantizeLinear and DequantizeLinear around the products that TensorRT shall do in eight bits.

Symmetric throughout, as TensorRT's parser demands: int8 (never uint8) without zero points, one
scale per activation and one per output channel of a weight; biases stay floats. Attention's own
products of two activations are left alone: quantised, they would no longer be fused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edge_ser.errors import BundleError
from edge_ser.measure.parts import of_encoder
from edge_ser_export.graph.edit import Array, Writer, constant, shape
from edge_ser_export.graph.integers import Extremes
from edge_ser_export.graph.names import group_of

# Smaller weights would not pay for quantising what they are multiplied with.
_MIN_WEIGHTS = 1024
# Largest magnitudes: of int8 kept symmetric, and of float8 E4M3 (arXiv:2209.05433, table 1).
_LARGEST = {ir.DataType.INT8: 127.0, ir.DataType.FLOAT8E4M3FN: 448.0}
_HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


@dataclass(frozen=True)
class Target:
    """A product to quantise.

    Attributes:
        node: Conv or MatMul.
        group: part of the model that it belongs to.
        axis: of its weight: the output channels.
    """

    node: ir.Node
    group: str
    axis: int


def find_targets(model: ir.Model) -> list[Target]:
    """Products of an activation and constant weights that are worth it.

    The encoder's and the pooling's; neither heads, which are small and whose rounding nothing
    would average out, nor the log-mel front end, nor what reads the waveform itself: eight bits
    of amplitude are the noise of a telephone.
    """
    targets = []
    for node in model.graph:
        if node.op_type not in ("Conv", "MatMul") or node.inputs[0] in model.graph.inputs:
            continue
        name = node.name or ""
        if not (of_encoder(name) or name.startswith("pooling")):
            continue
        weight = constant(node.inputs[1])
        if weight is None or weight.dtype != np.float32 or weight.size < _MIN_WEIGHTS:
            continue
        if node.op_type == "Conv" and (weight.shape[1] == 1 or _reads_samples(node)):
            continue
        axis = 0 if node.op_type == "Conv" else weight.ndim - 1
        targets.append(Target(node, group_of(name.split("/")[0]), axis))
    return targets


def _reads_samples(node: ir.Node) -> bool:
    """Whether a convolution's input is the waveform, reshaped."""
    value = node.inputs[0]
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in ("Unsqueeze", "Reshape", "Transpose", "Pad", "Mul"):
            return False
        value = producer.inputs[0]
    return value is not None and value.name == "samples"


def insert_qdq(
    model: ir.Model,
    targets: list[Target],
    extremes: Mapping[str, Extremes],
    kind: ir.DataType = ir.DataType.INT8,
) -> int:
    """Quantise the operands of products.

    Requires: float32 throughout.
    Ensures: scales are exact in float16, so that typing the graph later does not move them.

    Args:
        model: changed in place.
        targets: products of it.
        extremes: of their activations, by name.
        kind: INT8, or FLOAT8E4M3FN.

    Returns:
        number of products that were quantised.
    """
    pairs: dict[ir.Value, ir.Value] = {}
    weights: dict[ir.Value, ir.Value] = {}
    quantized = 0
    for target in targets:
        node = target.node
        x, w = node.inputs[0], node.inputs[1]
        if x is None or w is None or (x.name or "") not in extremes:
            continue
        if x not in pairs:
            pairs[x] = _activation(model.graph, x, extremes[x.name or ""], kind)
        if w not in weights:
            weights[w] = _weight(model.graph, node, w, target.axis, kind)
        node.replace_input_with(0, pairs[x])
        node.replace_input_with(1, weights[w])
        quantized += 1
    return quantized


def _activation(graph: ir.Graph, x: ir.Value, extremes: Extremes, kind: ir.DataType) -> ir.Value:
    scale = scale_for(extremes.largest.max(), kind)
    first = next(n for n in graph if x in n.inputs)
    write = Writer(graph, first)
    write.prefix = x.name or "value"
    step = write.constant(np.asarray(scale, np.float32), "scale")
    zero = write.constant(np.zeros((), kind.numpy()), "zero")
    q = write.node("QuantizeLinear", [x, step, zero], sizes=shape(x) or None)
    q.dtype = kind
    y = write.node("DequantizeLinear", [q, step, zero], sizes=shape(x) or None)
    y.dtype = ir.DataType.FLOAT
    return y


def _weight(graph: ir.Graph, node: ir.Node, w: ir.Value, axis: int, kind: ir.DataType) -> ir.Value:
    array = constant(w)
    assert array is not None  # find_targets took it for that
    values, scale = quantize(array, axis, kind)
    write = Writer(graph, node)
    write.prefix = w.name or "weight"
    data = write.constant(values, "values")
    step = write.constant(scale, "scale")
    zero = write.constant(np.zeros(scale.shape, kind.numpy()), "zero")
    y = write.node("DequantizeLinear", [data, step, zero], {"axis": axis}, sizes=array.shape)
    y.dtype = ir.DataType.FLOAT
    return y


def quantize(
    weight: Array, axis: int, kind: ir.DataType = ir.DataType.INT8
) -> tuple[Array, NDArray[np.float32]]:
    """Symmetric eight-bit values and their scales `[channels]`; weight is about their product.

    Args:
        weight: float32.
        axis: of the output channels.
        kind: INT8, or FLOAT8E4M3FN.
    """
    other_axes = tuple(i for i in range(weight.ndim) if i != axis)
    scale = scale_for(np.abs(weight).max(axis=other_axes), kind)
    along = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    scaled = weight / along
    if kind == ir.DataType.INT8:
        scaled = np.clip(np.round(scaled), -127, 127)
    return scaled.astype(kind.numpy()), scale


def scale_for(largest: object, kind: ir.DataType) -> NDArray[np.float32]:
    """Scales for magnitudes, rounded up to what float16 holds: rounded down they would clip."""
    exact = np.asarray(largest, np.float32) / np.float32(_LARGEST[kind])
    half = exact.astype(np.float16)
    half = np.where(half.astype(np.float32) < exact, np.nextafter(half, np.float16(np.inf)), half)
    half = np.where(half <= 0, np.float16(1), half)
    return np.maximum(half.astype(np.float32), np.float32(_HALF_TINY))


def check_symmetric(model: ir.Model, name: str) -> None:
    """Refuse quantised graphs that TensorRT's parser does not take, before it is asked.

    Raises:
        BundleError: naming the node: unsigned integers, a zero point, int32 biases, or operators
            that compute in integers by themselves.
    """
    for node in model.graph:
        fault = None
        if node.op_type.startswith("QLinear") or "Integer" in node.op_type:
            fault = "an operator that computes in integers"
        elif node.op_type == "DynamicQuantizeLinear":
            fault = "a scale that is measured in the run"
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            fault = _asymmetry(node)
        if fault is not None:
            raise BundleError(
                name,
                expected="symmetric int8 by QuantizeLinear and DequantizeLinear",
                found=f"{fault}: {node.op_type} {node.name}",
                advice="TensorRT has no such arithmetic; export with --target trt-int8",
            )


def _asymmetry(node: ir.Node) -> str | None:
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if zero is None:
        quantizes = node.op_type == "QuantizeLinear"
        return "uint8, the type without a zero point" if quantizes else None
    if zero.dtype == np.uint8:
        return "uint8"
    if zero.dtype == np.int32:
        return "an int32 bias"
    return "a zero point other than 0" if zero.astype(np.float32).any() else None
