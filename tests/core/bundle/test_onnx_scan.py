"""What an ONNX file holds, read without the onnx package and without trusting it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.onnx_files import (
    Scan,
    add_graph,
    external,
    field,
    locations,
    model_of,
    several,
    sparse,
)
from onnx import TensorProto, helper

from edge_ser.bundle.onnx_graph import GraphFacts, Tensor, read_graph
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError


def inner_graph() -> onnx.GraphProto:
    return add_graph(external("subgraph"))


def with_node(node: onnx.NodeProto) -> onnx.ModelProto:
    graph = add_graph()
    graph.node.append(node)
    return model_of(graph)


def with_attribute(**fields: Any) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["k"])
    node.attribute.append(onnx.AttributeProto(name="a", **fields))
    return with_node(node)


def with_function() -> onnx.ModelProto:
    model = model_of(add_graph())
    node = helper.make_node("Constant", [], ["y"], value=external("function-node"))
    model.functions.append(
        helper.make_function("own", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 18)])
    )
    return model


def with_training() -> onnx.ModelProto:
    model = model_of(add_graph())
    model.training_info.add().algorithm.CopyFrom(add_graph(external("algorithm")))
    return model


def with_sparse() -> onnx.ModelProto:
    model = model_of(add_graph())
    model.graph.sparse_initializer.append(sparse("values", "indices"))
    return model


FOREIGN: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "branch": (
        lambda: with_node(helper.make_node("If", ["c"], ["z"], then_branch=inner_graph())),
        "a graph within a node",
    ),
    "graphs": (lambda: with_attribute(graphs=[inner_graph()]), "graphs within a node"),
    "function": (with_function, "functions"),
    "training": (with_training, "training"),
    "sparse weights": (with_sparse, "sparse weights"),
    "sparse attribute": (
        lambda: with_attribute(sparse_tensor=sparse("values", "indices")), "sparse weights"
    ),
    "sparse attributes": (
        lambda: with_attribute(sparse_tensors=[sparse("values", "indices")]), "sparse weights"
    ),
    "tensors": (lambda: with_attribute(tensors=[external("w")]), "several tensors in an attribute"),
    "text": (
        lambda: model_of(add_graph(TensorProto(name="w", data_type=8, dims=[1],
                                               string_data=[b"x"]))),
        "text as weights",
    ),
    "complex": (
        lambda: model_of(add_graph(TensorProto(name="w", data_type=14, dims=[0]))),
        "weights of type 14",
    ),
    "dimensions": (
        lambda: model_of(add_graph(TensorProto(name="w", data_type=1, dims=[1] * 17))),
        "weights of 17 dimensions",
    ),
}  # fmt: skip


def facts(model: onnx.ModelProto) -> GraphFacts:
    return read_graph(model.SerializeToString(), "model.onnx")


@pytest.fixture
def scan() -> Scan:
    return lambda data: set(read_graph(data, "model.onnx").external)


def test_the_default_model_keeps_its_weights_inside(scan: Scan) -> None:
    path = DEFAULT_BUNDLE / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    assert scan(path.read_bytes()) == locations(model) == set()


def test_of_a_graph_everything_but_its_weights_is_known() -> None:
    path = DEFAULT_BUNDLE / "model.onnx"
    model = onnx.load(path)
    found = read_graph(path.read_bytes(), path)
    assert found.operators == {(node.domain, node.op_type) for node in model.graph.node}
    assert found.domains == {""}
    assert found.inputs == {
        "samples": Tensor("float32", (None, None)), "lengths": Tensor("int64", (None,))
    }  # fmt: skip
    assert found.outputs == {
        "vad": Tensor("float32", (None, 3)), "region_logits": Tensor("float32", (None, 8))
    }  # fmt: skip


def test_every_place_for_a_tensor_is_searched(scan: Scan) -> None:
    model = several()
    expected = locations(model)
    assert expected == {"initializer.bin", "folder/ä.bin", "constant"}
    assert scan(model.SerializeToString()) == expected
    assert facts(model).external == dict.fromkeys(expected, 12)


@pytest.mark.parametrize("kind", FOREIGN)
def test_parts_that_no_export_writes_are_refused(kind: str, scan: Scan) -> None:
    make, words = FOREIGN[kind]
    with pytest.raises(BundleError) as caught:
        scan(make().SerializeToString())
    assert f"expected a graph as exports write it, found {words}" in str(caught.value)


def test_values_other_than_tensors_are_refused(scan: Scan) -> None:
    for value in (
        helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [3]),
        helper.make_value_info("x", helper.make_optional_type_proto(
            helper.make_tensor_type_proto(TensorProto.FLOAT, [3]))),
        helper.make_sparse_tensor_value_info("x", TensorProto.FLOAT, [3]),
    ):  # fmt: skip
        graph = add_graph()
        graph.input.append(value)
        with pytest.raises(BundleError, match=r"found (sequences|optional values|sparse tensors)"):
            scan(model_of(graph).SerializeToString())


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="w", data_type=1, dims=[5_000_000_000], raw_data=bytes(12)),
        TensorProto(name="w", data_type=1, dims=[5_000_000_000]),
        TensorProto(name="w", data_type=1, dims=[2**40], float_data=[1.0, 2.0]),
        TensorProto(name="w", data_type=7, dims=[-1], raw_data=bytes(8)),
        TensorProto(name="w", data_type=10, dims=[3], raw_data=bytes(12)),
    ],
    ids=["5e9", "nothing", "typed", "negative", "half"],
)
def test_weights_have_the_bytes_that_their_shape_says(tensor: TensorProto, scan: Scan) -> None:
    with pytest.raises(BundleError, match=r"a damaged or other file \(weights of \d+ bytes with"):
        scan(model_of(add_graph(tensor)).SerializeToString())


def test_weights_of_every_type_and_form_are_counted_right(scan: Scan) -> None:
    for kind in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22):
        array = np.zeros((3, 5), helper.tensor_dtype_to_np_dtype(kind))
        raw = onnx.numpy_helper.from_array(array, "w")
        typed = helper.make_tensor("w", kind, [3, 5], array.ravel().tolist())
        assert scan(model_of(add_graph(raw, typed)).SerializeToString()) == set()


def test_ten_megabytes_of_tiny_fields_are_refused_in_no_time(scan: Scan) -> None:
    nodes = field(1, b"\x0a\x00") * 2_000_000
    began = time.process_time()
    with pytest.raises(BundleError, match="found more than 400000 fields"):
        scan(b"\x08\x09" + field(7, nodes))
    inside = b"\x08\x09" + field(7, field(1, b"\x0a\x00" * 5_000_000))
    with pytest.raises(BundleError, match="found more than 400000 fields"):
        scan(inside)
    assert time.process_time() - began < 3  # 0.4 s; parsing all took 7.5 s


def test_what_onnx_itself_saves_externally_is_found(tmp_path: Path, scan: Scan) -> None:
    weights = onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    path = tmp_path / "saved.onnx"
    onnx.save(
        model_of(add_graph(weights)), path, save_as_external_data=True,
        location="weights.bin", size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    assert scan(path.read_bytes()) == {"weights.bin"}


def test_inside_weights_that_look_like_an_entry_are_not_taken_for_one(scan: Scan) -> None:
    entry = onnx.StringStringEntryProto(key="location", value="nowhere").SerializeToString()
    blob = b"\x6a" + bytes([len(entry)]) + entry
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[len(blob)], raw_data=blob)
    assert scan(model_of(add_graph(tensor)).SerializeToString()) == set()


def test_an_entry_without_value_is_an_empty_location(scan: Scan) -> None:
    tensor = external("x")
    tensor.external_data[0].ClearField("value")
    assert scan(model_of(add_graph(tensor)).SerializeToString()) == {""}


def test_of_a_repeated_value_the_last_counts_as_for_every_parser(scan: Scan) -> None:
    data = model_of(add_graph(external("harmless"))).SerializeToString()
    entry = onnx.StringStringEntryProto(key="location", value="harmless").SerializeToString()
    # two values in one entry, of the same length as before
    twice = entry[:10] + b"\x12\x01a" + b"\x12\x05other"
    assert len(twice) == len(entry)
    data = data.replace(entry, twice)
    parsed = onnx.ModelProto.FromString(data)
    assert scan(data) == locations(parsed) == {"other"}


# Encodings on which parsers differ: what a runtime could follow must not pass unseen


def handmade(**encoding: int) -> bytes:
    """`add_graph` whose weights are in weights.bin, the entries' fields encoded as wished."""
    tensor = external("weights.bin")
    entries = [e.SerializeToString() for e in tensor.external_data]
    tensor.ClearField("external_data")
    data = tensor.SerializeToString() + b"".join(field(13, e, **encoding) for e in entries)
    graph = add_graph().SerializeToString() + field(5, data)
    model = model_of(onnx.GraphProto())
    model.ClearField("graph")
    return model.SerializeToString() + field(7, graph)


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        {"tag_length": 5},
        {"size_length": 5},
        {"high": 1 << 32},
        {"high": 1 << 34},
        {"high": 7 << 32, "size_length": 3},
    ],
    ids=["plain", "long tag", "long size", "tag of 33 bits", "tag of 35 bits", "tag and size"],
)
def test_no_encoding_hides_a_file_from_the_scan_that_the_runtime_reads(
    encoding: dict[str, int], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(handmade(**encoding))
    (tmp_path / "weights.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    try:
        found = set(read_graph(path.read_bytes(), path).external)
    except BundleError:
        return
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        read = session.run(None, {"x": np.zeros(3, np.float32)})[0].tolist() == [1, 2, 3]
    except Exception:  # the runtime's parser refuses it, its exceptions are not exported
        read = False
    assert found == {"weights.bin"} or not read


# Damage
