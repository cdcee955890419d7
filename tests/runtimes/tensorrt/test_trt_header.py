"""Headers of real engines, built here by TensorRT for RTX, which needs no GPU for that."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError, DeviceError
from edge_ser_runtimes.registry import open_session
from edge_ser_runtimes.tensorrt.engine import HEADER_BYTES, read_header

trt = pytest.importorskip("tensorrt_rtx")


def build(graph: bytes, sms: list[str]) -> bytes:
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(graph), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(sms)
    for i, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, sm.upper()), i)
    profile = builder.create_optimization_profile()
    profile.set_shape("samples", (1, 400), (1, 16_000), (4, 192_000))
    profile.set_shape("lengths", (1,), (1,), (4,))
    assert config.add_optimization_profile(profile) == 0
    return bytes(builder.build_serialized_network(network, config))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    constants = {
        "axes": np.array([1], np.int64),
        "w": np.array([[0.1, 0.2, 0.3]], np.float32),
        "ramp": np.arange(8, dtype=np.float32)[None],
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceSum", ["samples", "axes"], ["sum"], keepdims=1),
        helper.make_node("Cast", ["lengths"], ["n"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["n", "one"], ["column"]),
        helper.make_node("Div", ["sum", "column"], ["mean"]),
        helper.make_node("Mul", ["mean", "w"], ["vad"]),
        helper.make_node("Mul", ["mean", "ramp"], ["region_logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [tensor("samples", TensorProto.FLOAT, ["batch", "n"]),
         tensor("lengths", TensorProto.INT64, ["batch"])],
        [tensor("vad", TensorProto.FLOAT, ["batch", 3]),
         tensor("region_logits", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    made: dict[tuple[str, ...], bytes] = {}

    def get(*sms: str) -> bytes:
        if sms not in made:
            made[sms] = build(model.SerializeToString(), list(sms))
        return made[sms]

    return get


@pytest.mark.parametrize("sms", [("sm86",), ("sm89",), ("sm120",), ("sm86", "sm89")])
def test_the_version_of_a_real_engine(sms: tuple[str, ...], engine: Callable[..., bytes]) -> None:
    data = engine(*sms)
    assert read_header(data, Path("model.engine")) == trt.__version__
    assert struct.unpack_from("<Q", data, 16) == (len(data),)


def test_a_real_engine_that_was_cut_or_extended(engine: Callable[..., bytes]) -> None:
    data = engine("sm86")
    for spoilt in (data[:-1], data + b"\0", data[:HEADER_BYTES]):
        with pytest.raises(BundleError, match=f"expected the {len(data)} bytes of its header"):
            read_header(spoilt, Path("model.engine"))
    for spoilt in (b"", data[: HEADER_BYTES - 1], b"\0" + data[1:]):
        with pytest.raises(BundleError, match="expected an engine of TensorRT for RTX"):
            read_header(spoilt, Path("model.engine"))


def test_a_real_engine_where_no_driver_is(
    engine: Callable[..., bytes], trt_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser.host.nvidia_libraries.CUDA_NAMES", ("libno-such-driver.so.1",))
    folder = trt_bundle(data=engine("sm86"), version=trt.__version__)
    with pytest.raises(DeviceError, match="CUDA driver: expected libno-such-driver"):
        open_session(Bundle.open(folder), "trt")
