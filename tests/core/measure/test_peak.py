"""The machine's limit: products as executed, and the same products alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_ser.errors import UsageError
from edge_ser.measure import gemm_peak as peak
from edge_ser.measure.gemm_peak import Gemms, gemm_peak
from edge_ser.measure.matmul_model import matmul_model
from edge_ser.measure.products import KINDS, Kind, Product, heaviest, products

rng = np.random.default_rng(0)


def computed(model: bytes, a: NDArray[Any]) -> NDArray[Any]:
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"a": a})[0])


def test_the_model_of_one_product_is_sound_and_computes_it() -> None:
    a = rng.standard_normal((3, 200), np.float32)
    b = rng.standard_normal((200, 5), np.float32)
    model = matmul_model(a, b)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    np.testing.assert_allclose(computed(model, a), a @ b, rtol=1e-4, atol=1e-4)


def test_the_model_of_integers_is_sound_and_exact() -> None:
    a = rng.integers(0, 256, (7, 300), np.uint8)
    b = rng.integers(-64, 65, (300, 129), np.int8)
    model = matmul_model(a, b)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    assert (computed(model, a) == a.astype(np.int32) @ b.astype(np.int32)).all()


Graph = Callable[..., Path]


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """A graph of one node over inputs `a` and, where it is no weight, `b`."""

    def write(
        operator: str,
        a: tuple[int, ...],
        b: NDArray[Any] | tuple[int, ...],
        y: tuple[int, ...],
        **attributes: Any,
    ) -> Path:
        constant = isinstance(b, np.ndarray)
        integer = operator == "MatMulInteger"
        kinds = (TensorProto.UINT8, TensorProto.INT32) if integer else (TensorProto.FLOAT,) * 2
        inputs = [helper.make_tensor_value_info("a", kinds[0], a)]
        if not isinstance(b, np.ndarray):
            inputs.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, b))
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node(operator, ["a", "b"], ["y"], name="it", **attributes)],
                "one",
                inputs,
                [helper.make_tensor_value_info("y", kinds[1], y)],
                [numpy_helper.from_array(b, "b")] if constant else [],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        path = tmp_path / "one.onnx"
        onnx.save(model, path)
        return path

    return write


F32 = np.float32


def one(path: Path, **inputs: NDArray[Any]) -> Product:
    (found,) = products(path, inputs)
    assert found.node == "it"
    return found


def test_weights_are_shared_by_all_rows_of_a_batch(graph: Graph) -> None:
    path = graph("MatMul", (2, 5, 16), np.ones((16, 8), F32), (2, 5, 8))
    found = one(path, a=np.ones((2, 5, 16), F32))
    assert (found.count, found.m, found.k, found.n) == (1, 10, 16, 8)
    assert found.kind == "float"
    assert found.macs == 2 * 5 * 16 * 8


def test_products_of_two_batches_are_many_small_ones(graph: Graph) -> None:
    path = graph("MatMul", (2, 3, 5, 16), (2, 3, 16, 7), (2, 3, 5, 7))
    found = one(path, a=np.ones((2, 3, 5, 16), F32), b=np.ones((2, 3, 16, 7), F32))
    assert (found.count, found.m, found.k, found.n) == (6, 5, 16, 7)


def test_one_first_factor_meets_every_second_one(graph: Graph) -> None:
    path = graph("MatMul", (1, 5, 16), np.ones((4, 16, 7), F32), (4, 5, 7))
    found = one(path, a=np.ones((1, 5, 16), F32))
    assert found.macs == 4 * 5 * 16 * 7 and found.k == 16


def test_a_transposed_factor_has_the_same_sums(graph: Graph) -> None:
    path = graph("Gemm", (16, 5), np.ones((8, 16), F32), (5, 8), transA=1, transB=1)
    found = one(path, a=np.ones((16, 5), F32))
    assert (found.count, found.m, found.k, found.n) == (1, 5, 16, 8)


def test_integers_are_called_so(graph: Graph) -> None:
    path = graph("MatMulInteger", (5, 16), np.ones((16, 8), np.int8), (5, 8))
    found = one(path, a=np.ones((5, 16), np.uint8))
    assert (found.kind, found.m, found.k, found.n) == ("int8", 5, 16, 8)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_the_product_of_its_windows(graph: Graph, groups: int) -> None:
    weights = np.ones((6, 4 // groups, 3), F32)
    path = graph("Conv", (1, 4, 12), weights, (1, 6, 10), group=groups)
    found = one(path, a=np.ones((1, 4, 12), F32))
    assert (found.count, found.m, found.k, found.n) == (groups, 10, 12 // groups, 6 // groups)


def test_the_heaviest_shapes_make_up_the_share() -> None:
    some = [
        Product("x", "MatMul", "float", 2, 10, 10, 10),
        Product("y", "MatMul", "float", 1, 10, 10, 10),
        Product("z", "MatMul", "float", 1, 10, 10, 5),
        Product("q", "MatMulInteger", "int8", 1, 99, 99, 99),
    ]
    assert heaviest(some, "fp32") == {(10, 10, 10): 3, (10, 10, 5): 1}
    assert heaviest(some, "fp32", share=0.8) == {(10, 10, 10): 3}
    assert heaviest(some, "int8") == {(99, 99, 99): 1}
    assert heaviest(some[:3], "int8") == {}


def test_operations_count_two_for_one_and_every_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    gemms = Gemms("int8", 1, {(4, 8, 16): 3, (2, 2, 2): 1})
    assert gemms.operations == 2 * (3 * 4 * 8 * 16 + 8)
    # a clock that goes one second a look: the first shape counts three times
    clock = iter(range(100))
    monkeypatch.setattr(peak.time, "perf_counter", lambda: float(next(clock)))
    assert gemms.run() == 4.0
    assert gemm_peak("fp32", 1, {(1, 1, 5): 2}, 3) == pytest.approx(20 / 2 / 1e9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_peak_is_plausible(kind: Kind) -> None:
    found = gemm_peak(kind, 1, {(128, 256, 256): 1}, 5)
    assert 0.1 < found < 100_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fp8", 1, {(1, 1, 1): 1}), "kind: expected one of fp32, int8, found fp8"),
        (("fp32", 0, {(1, 1, 1): 1}), "threads: expected at least 1, found 0"),
        (("fp32", 1, {}), "shapes: expected sizes and counts of at least 1, found {}"),
        (("fp32", 1, {(1, 0, 1): 1}), "shapes: expected"),
        (("fp32", 1, {(1, 1, 1): 0}), "shapes: expected"),
        (("fp32", 1, {(1, 1, 1): 1}, 0), "repetitions: expected at least 1, found 0"),
    ],
)
def test_wrong_use(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        gemm_peak(*arguments)
