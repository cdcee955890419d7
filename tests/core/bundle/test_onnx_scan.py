"""Which files an ONNX model names, found without the onnx package and without trusting it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_ser.bundle.external_data import external_files
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError


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


def everywhere() -> onnx.ModelProto:
    """External data in every place that onnx.proto has for a tensor."""
    graph = add_graph(external("initializer.bin"), external("folder/ä.bin"))
    graph.sparse_initializer.append(sparse("sparse-values", "sparse-indices"))
    inner = add_graph(external("subgraph"))
    inner.node[0].attribute.append(helper.make_attribute("deep", external("subgraph-attribute")))
    branch = helper.make_node("If", ["c"], ["z"], then_branch=inner)
    several = onnx.AttributeProto(name="many", type=onnx.AttributeProto.TENSORS)
    several.tensors.extend([external("tensors-0"), external("tensors-1")])
    graphs = onnx.AttributeProto(name="graphs", type=onnx.AttributeProto.GRAPHS)
    graphs.graphs.append(add_graph(external("graphs-0")))
    one = onnx.AttributeProto(name="s", type=onnx.AttributeProto.SPARSE_TENSOR)
    one.sparse_tensor.CopyFrom(sparse("attribute-sparse-values", "attribute-sparse-indices"))
    more = onnx.AttributeProto(name="ss", type=onnx.AttributeProto.SPARSE_TENSORS)
    more.sparse_tensors.append(sparse("sparses-values", "sparses-indices"))
    constant = helper.make_node("Constant", [], ["k"], value=external("constant"))
    constant.attribute.extend([several, graphs, one, more])
    graph.node.extend([branch, constant])
    model = model_of(graph)
    training = model.training_info.add()
    training.initialization.CopyFrom(add_graph(external("initialization")))
    training.algorithm.CopyFrom(add_graph(external("algorithm")))
    function = helper.make_function(
        "own", "f", ["x"], ["y"],
        [helper.make_node("Constant", [], ["y"], value=external("function-node"))],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    function.attribute_proto.append(helper.make_attribute("d", external("function-default")))
    model.functions.append(function)
    return model


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


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    def run(data: bytes) -> set[str]:
        (tmp_path / "model.onnx").write_bytes(data)
        return external_files(tmp_path / "model.onnx")

    return run


def test_the_default_model_keeps_its_weights_inside() -> None:
    model = onnx.load(DEFAULT_BUNDLE / "model.onnx", load_external_data=False)
    assert external_files(DEFAULT_BUNDLE / "model.onnx") == locations(model) == set()


def test_every_place_for_a_tensor_is_searched(scan: Scan) -> None:
    model = everywhere()
    expected = locations(model)
    assert len(expected) == 18
    assert scan(model.SerializeToString()) == expected


def test_what_onnx_itself_saves_externally_is_found(tmp_path: Path, scan: Scan) -> None:
    weights = onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    path = tmp_path / "saved.onnx"
    onnx.save(
        model_of(add_graph(weights)), path, save_as_external_data=True,
        location="weights.bin", size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    assert external_files(path) == {"weights.bin"}


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
        found = external_files(path)
    except BundleError:
        return
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        read = session.run(None, {"x": np.zeros(3, np.float32)})[0].tolist() == [1, 2, 3]
    except Exception:  # the runtime's parser refuses it, its exceptions are not exported
        read = False
    assert found == {"weights.bin"} or not read


# Damage


def test_an_empty_file_is_refused(scan: Scan) -> None:
    with pytest.raises(BundleError, match="expected an ONNX model, found an empty file"):
        scan(b"")


@pytest.mark.parametrize(
    "data",
    [b"hello world, this is text", b"\xff" * 50, b"PK\x03\x04" * 9, b"\x3a\xff\xff\xff\xff\x7f"],
)
def test_other_content_is_refused(data: bytes, scan: Scan) -> None:
    with pytest.raises(BundleError, match="expected an ONNX model, found a damaged file"):
        scan(data)


def test_a_location_that_is_no_text_is_refused(scan: Scan) -> None:
    data = model_of(add_graph(external("abcdef"))).SerializeToString()
    with pytest.raises(BundleError):
        scan(data.replace(b"abcdef", b"\xff\xfe\xfd\xff\xfe\xfd"))


def test_endless_nesting_is_refused(scan: Scan) -> None:
    inner = b""
    for _ in range(3000):
        inner = field(1, field(5, field(6, inner)))  # node, attribute, graph
    with pytest.raises(BundleError):
        scan(field(7, inner))


def test_truncation_is_refused_or_read(scan: Scan) -> None:
    data = everywhere().SerializeToString()
    known = locations(everywhere())
    refused = 0
    sizes = range(1, len(data), 3)
    for size in sizes:
        try:
            assert scan(data[:size]) <= known
        except BundleError:
            refused += 1
    assert refused > 0.9 * len(sizes)


def test_random_damage_is_refused_or_read_like_onnx_reads_it(scan: Scan) -> None:
    data = everywhere().SerializeToString()
    rng = np.random.default_rng(17)
    refused = compared = 0
    for _ in range(1500):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 5)):
            damaged[position] = rng.integers(256)
        try:
            found = scan(bytes(damaged))
        except BundleError:
            refused += 1
            continue
        try:
            parsed = onnx.ModelProto.FromString(bytes(damaged))
        except Exception:  # onnx's parser refuses more: such as bytes in a name that are no text
            continue
        compared += 1
        assert found >= locations(parsed), "a file that a parser sees is seen"
    assert refused > 250 and compared > 250


def test_random_bytes_are_refused_or_read(scan: Scan) -> None:
    rng = np.random.default_rng(23)
    refused = 0
    for _ in range(300):
        try:
            scan(rng.bytes(int(rng.integers(9, 200))))
        except BundleError:
            refused += 1
    assert refused > 270
