"""ONNX models with weights in other files, made by hand, and what a parser sees of them."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper


def external(location: str) -> TensorProto:
    """Three floats in another file."""
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=12)
    tensor.ClearField("raw_data")
    return tensor


def sparse(values: str, indices: str) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=external(values), indices=external(indices), dims=[9])


def add_graph(*initializers: TensorProto) -> onnx.GraphProto:
    """y = x + w."""
    info = helper.make_tensor_value_info
    return helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "add",
        [info("x", TensorProto.FLOAT, [3])],
        [info("y", TensorProto.FLOAT, [3])],
        list(initializers),
    )


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def several() -> onnx.ModelProto:
    """External data in every place that a graph of an export may have it."""
    graph = add_graph(external("initializer.bin"), external("folder/ä.bin"))
    graph.node.append(helper.make_node("Constant", [], ["k"], value=external("constant")))
    return model_of(graph)


def messages(message: object) -> Iterator[object]:
    """A protocol buffer message and all in it, by its own reflection."""
    yield message
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        if field.message_type is None:
            continue
        for child in [value] if hasattr(value, "ListFields") else value:
            yield from messages(child)


def locations(model: onnx.ModelProto) -> set[str]:
    return {
        entry.value
        for message in messages(model)
        if isinstance(message, TensorProto)
        for entry in message.external_data
        if entry.key == "location"
    }


Scan = Callable[[bytes], set[str]]


def varint(value: int, length: int = 0) -> bytes:
    out = []
    while value or not out or len(out) < length:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out[-1] &= 0x7F
    return bytes(out)


def field(
    number: int, content: bytes, high: int = 0, tag_length: int = 0, size_length: int = 0
) -> bytes:
    tag = varint(number << 3 | 2 | high, tag_length)
    return tag + varint(len(content), size_length) + content
