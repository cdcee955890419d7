"""What is damaged, or no ONNX file, is refused, or read as a parser of ONNX reads it."""

import numpy as np
import onnx
import pytest
from helpers.onnx_files import Scan, add_graph, external, field, locations, model_of, several

from edge_ser.bundle.onnx_graph import read_graph
from edge_ser.errors import BundleError


@pytest.fixture
def scan() -> Scan:
    return lambda data: set(read_graph(data, "model.onnx").external)


def test_an_empty_file_is_refused(scan: Scan) -> None:
    with pytest.raises(BundleError, match="expected an ONNX model, found an empty file"):
        scan(b"")


@pytest.mark.parametrize(
    "data",
    [b"hello world, this is text", b"\xff" * 50, b"PK\x03\x04" * 9, b"\x3a\xff\xff\xff\xff\x7f"],
)
def test_other_content_is_refused(data: bytes, scan: Scan) -> None:
    with pytest.raises(BundleError, match="expected an ONNX model, found a damaged or other file"):
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
    data = several().SerializeToString()
    known = locations(several())
    refused = 0
    sizes = range(1, len(data), 3)
    for size in sizes:
        try:
            assert scan(data[:size]) <= known
        except BundleError:
            refused += 1
    assert refused > 0.9 * len(sizes)


def test_random_damage_is_refused_or_read_like_onnx_reads_it(scan: Scan) -> None:
    data = several().SerializeToString()
    rng = np.random.default_rng(17)
    refused = compared = 0
    for _ in range(6000):
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
