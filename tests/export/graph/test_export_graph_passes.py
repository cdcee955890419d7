"""Passes over exported graphs: weights stored in float16, notes taken out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers.tiny_models import noise
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_ser_export.graph.rewrite import store_half, strip_metadata


def session_of(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options)


def test_store_half_changes_no_bit_and_halves_the_file(kept: Path) -> None:
    wide = onnx.load(kept / "model.onnx")
    half = onnx.load(kept / "model.onnx")
    assert TensorProto.FLOAT16 not in {t.data_type for t in wide.graph.initializer}
    assert store_half(half) is True
    assert TensorProto.FLOAT16 in {t.data_type for t in half.graph.initializer}
    saved = wide.ByteSize() - half.ByteSize()
    # the table of the Fourier transform is no weight, and not rounded to half precision
    weights = [t for t in wide.graph.initializer if not t.name.endswith("log_mel.basis")]
    assert len(weights) == len(wide.graph.initializer) - 1
    large = sum(int(np.prod(t.dims)) for t in weights if np.prod(t.dims) >= 512)
    assert saved > 1.9 * large
    onnx.checker.check_model(half)
    before, after = session_of(wide), session_of(half)
    for n in (400, 9000, 50_000):
        x = {"samples": noise(n)[None].numpy(), "lengths": np.array([n])}
        assert np.array_equal(before.run(None, x)[0], after.run(None, x)[0])
    assert store_half(half) is False  # nothing is left to do


def one_tensor(array: NDArray[np.float32]) -> onnx.ModelProto:
    """A graph that adds a stored tensor to its input."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, array.shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, array.shape)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [result],
        [numpy_helper.from_array(array, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0.5, True), (65504.0, True), (2.0**-24, True), (0.1, False), (1e6, False), (1e-9, False),
     (float("inf"), True), (float("nan"), False)],
)  # fmt: skip
def test_store_half_takes_only_what_float16_holds(value: float, fits: bool) -> None:
    array = np.ones((32, 32), np.float32)
    array[7, 9] = value
    model = one_tensor(array)
    assert store_half(model) is fits
    x = np.zeros_like(array)
    assert np.array_equal(session_of(model).run(None, {"x": x})[0], array, equal_nan=True)


def test_store_half_leaves_small_tensors() -> None:
    model = one_tensor(np.ones(100, np.float32))
    assert store_half(model) is False
    assert model.graph.initializer[0].data_type == TensorProto.FLOAT


SECRET = "/home/somebody/model.py"


def annotate(graph: onnx.GraphProto) -> Iterator[str]:
    """Put notes wherever a graph can hold them, and say where."""
    graph.doc_string = SECRET
    yield "graph"
    for kind in ("node", "input", "output", "initializer", "value_info"):
        for item in getattr(graph, kind):
            item.doc_string = SECRET
            entry = item.metadata_props.add()
            entry.key, entry.value = "pkg.torch.onnx.stack_trace", SECRET
            yield kind
    entry = graph.metadata_props.add()
    entry.key, entry.value = "source", SECRET


def test_strip_metadata_removes_every_note() -> None:
    model = one_tensor(np.ones((2, 2), np.float32))
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2, 2])
    model.graph.value_info.append(value)
    places = set(annotate(model.graph))
    assert places == {"graph", "node", "input", "output", "initializer", "value_info"}
    model.doc_string = SECRET
    entry = model.metadata_props.add()
    entry.key, entry.value = "author", SECRET
    assert strip_metadata(model) is True
    assert SECRET.encode() not in model.SerializeToString()
    assert strip_metadata(model) is False
    x = np.full((2, 2), 3, np.float32)
    assert np.array_equal(session_of(model).run(None, {"x": x})[0], x + 1)


def test_strip_metadata_reaches_inner_graphs_and_functions() -> None:
    inner = one_tensor(np.ones((2, 2), np.float32)).graph
    del inner.input[:]
    inner.output[0].name = inner.node[0].output[0] = "inner_y"
    list(annotate(inner))
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "outer",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
    )  # fmt: skip
    function = helper.make_function(
        "local", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"], doc_string=SECRET)],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    function.doc_string = SECRET
    model = helper.make_model(
        outer, opset_imports=[helper.make_opsetid("", 20)], functions=[function], ir_version=10
    )
    strip_metadata(model)
    assert SECRET.encode() not in model.SerializeToString()
