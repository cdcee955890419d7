"""An ONNX graph, as it is scanned before any runtime sees it."""

from collections.abc import Iterable

import onnx

from edge_ser.bundle.onnx_graph import read_graph
from edge_ser.bundle.operators import check_graph
from fuzz import small_bundle


def seeds() -> Iterable[bytes]:
    yield small_bundle.graph()
    yield b""
    model = onnx.load_from_string(small_bundle.graph())
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "model.onnx.data", 0, 12)
    tensor.ClearField("raw_data")
    yield model.SerializeToString()
    loop = onnx.helper.make_node("Loop", ["", "go"], ["out"], body=model.graph)
    model.graph.node.append(loop)
    yield model.SerializeToString()


def attempt(data: bytes) -> bool:
    facts = read_graph(data, "model.onnx")
    check_graph(facts, small_bundle.manifest(), "model.onnx")
    return True
