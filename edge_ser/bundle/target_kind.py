"""What kind of bundle a target gives; which runtimes run it follows from that."""

from __future__ import annotations


def kind_of(target: str) -> str:
    """The kind of a target: the first word of its name.

    Args:
        target: such as `onnx-int8` or `trt-fp16`.

    Returns:
        "onnx": a graph that any ONNX runtime computes; "trt": an engine of TensorRT, and the graph
        that was proved beside it.
    """
    return target.partition("-")[0]
