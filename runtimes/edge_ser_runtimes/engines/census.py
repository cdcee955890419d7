"""What a parsed network computes in which precision: proof that needs no GPU.

Recent builders have no precision flags: precision is that of the graph's tensors, and asking the
wrong way gives float32 without a word. So the layers of the parsed network are asked.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_ser.bundle.engine import Census
from edge_ser.errors import GateError
from edge_ser.measure.parts import of_encoder
from edge_ser_runtimes.engines.devices import target_of

# Less of the encoder's multiplications in the asked precision is another one under its name.
MIN_SHARE = 0.95
# Length of the utterance that multiplications are counted for.
SECONDS = 5.0
_KINDS = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8"}
# What only moves values about between a DequantizeLinear and the product that reads it. A cast is
# no such thing: the product would be one of floats.
_MOVES = {"SHUFFLE", "SQUEEZE", "UNSQUEEZE", "IDENTITY"}
_FUSED_ATTENTION = re.compile(rb"_mha_v2|fmha|_gemm_mha")


@dataclass(frozen=True)
class _Product:
    name: str
    kind: str
    macs: int
    attention: bool  # a product of two activations

    @property
    def of_encoder(self) -> bool:
        return of_encoder(self.name)


def take_census(trt: Any, network: Any, precision: str, seconds: float = SECONDS) -> Census:
    """Count a parsed network's layers and multiplications.

    A multiplication counts as asked if its tensors have the type of `precision`; under int8 and
    fp8, where all its operands come from integers (or eight-bit floats) by DequantizeLinear, or,
    for attention's own products of two activations, where it is in float16 as these recipes mean
    it to be.

    Args:
        trt: TensorRT module.
        network: parsed; its inputs' sizes are set while counting and put back.
        precision: "fp32", "fp16", "bf16", "int8" or "fp8".
        seconds: length of the utterance, 16 kHz.
    """
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    counts: Counter[str] = Counter()
    producers: dict[str, Any] = {}
    for layer in layers:
        kinds = {layer.get_output(j).dtype.name for j in range(layer.num_outputs)}
        counts["/".join(sorted(_KINDS.get(k, k.lower()) for k in kinds))] += 1
        for j in range(layer.num_outputs):
            producers[layer.get_output(j).name] = layer
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    dynamic = [tuple(t.shape) for t in inputs]
    for tensor in inputs:
        tensor.shape = (1, int(seconds * 16_000)) if len(tensor.shape) == 2 else (1,)
    try:
        products = [p for p in (_product(trt, x, producers) for x in layers) if p is not None]
    finally:
        for tensor, shape in zip(inputs, dynamic, strict=True):
            tensor.shape = shape
    encoder = [p for p in products if p.of_encoder]
    as_asked = [p for p in encoder if _as_asked(p, precision)]
    others = sorted((p for p in encoder if p not in as_asked), key=lambda p: -p.macs)
    return Census(
        layers=dict(sorted(counts.items())),
        encoder=_shares(encoder),
        everything=_shares(products),
        share=_total(as_asked) / max(1, _total(encoder)),
        elsewhere=tuple(f"{p.name} ({p.kind})" for p in others[:8]),
        macs=_total(products),
        seconds=seconds,
    )


def check_share(census: Census, precision: str) -> None:
    """The gate on precision.

    Raises:
        GateError: less than `MIN_SHARE` of the encoder is in the precision asked for.
    """
    if census.share >= MIN_SHARE:
        return
    raise GateError(
        f"precision of {target_of(precision)}",
        expected=f"{MIN_SHARE:.0%} of the encoder's multiplications as asked",
        found=f"{census.share:.1%}; otherwise: {', '.join(census.elsewhere[:3]) or 'none found'}",
        advice="use a target of higher precision",
    )


def fused_attention(plan: bytes | memoryview) -> int:
    """How many kernels of fused attention a plan's text seems to name."""
    return sum(
        1 for line in re.findall(rb"function=\{ name=(\S+)", plan) if _FUSED_ATTENTION.search(line)
    )


def _as_asked(product: _Product, precision: str) -> bool:
    if product.attention and precision in ("int8", "fp8"):
        return product.kind == "fp16"
    return product.kind == precision


def _product(trt: Any, layer: Any, producers: Mapping[str, Any]) -> _Product | None:
    kind = layer.type.name
    if kind not in ("MATRIX_MULTIPLY", "CONVOLUTION", "DECONVOLUTION"):
        return None
    result = layer.get_output(0)
    left = layer.get_input(0)
    attention = False
    if kind == "MATRIX_MULTIPLY":
        layer.__class__ = trt.IMatrixMultiplyLayer  # get_layer gives the base class
        inner = left.shape[-2 if layer.op0 == trt.MatrixOperation.TRANSPOSE else -1]
        operands = [left, layer.get_input(1)]
        attention = not any(_constant(t, producers) for t in operands)
    else:
        layer.__class__ = trt.IConvolutionLayer
        inner = math.prod(layer.kernel_size_nd) * left.shape[1] // layer.num_groups
        operands = [t for t in (left, layer.get_input(1)) if t is not None]
    macs = math.prod(result.shape) * inner
    eight = {_eight_bits(t, producers) for t in operands}
    quantised = eight.pop() if len(eight) == 1 else None
    precision = quantised or _KINDS.get(result.dtype.name, result.dtype.name.lower())
    return _Product(layer.name, precision, macs, attention)


def _trace_back(tensor: Any, producers: Mapping[str, Any]) -> Any:
    """The layer that computes a tensor, before it is moved about; None for inputs."""
    layer = producers.get(tensor.name)
    while layer is not None and layer.type.name in _MOVES:
        layer = producers.get(layer.get_input(0).name)
    return layer


def _constant(tensor: Any, producers: Mapping[str, Any]) -> bool:
    layer = _trace_back(tensor, producers)
    while layer is not None and layer.type.name in ("DEQUANTIZE", "QUANTIZE", "CAST"):
        layer = _trace_back(layer.get_input(0), producers)
    return layer is not None and layer.type.name == "CONSTANT"


def _eight_bits(tensor: Any, producers: Mapping[str, Any]) -> str | None:
    """The eight-bit type that a tensor is dequantised from, if it is."""
    layer = _trace_back(tensor, producers)
    if layer is None or layer.type.name != "DEQUANTIZE":
        return None
    return _KINDS.get(layer.get_input(0).dtype.name)


def _total(products: list[_Product]) -> int:
    return sum(p.macs for p in products)


def _shares(products: list[_Product]) -> dict[str, float]:
    total = max(1, _total(products))
    kinds = sorted({p.kind for p in products})
    return {k: round(_total([p for p in products if p.kind == k]) / total, 6) for k in kinds}
