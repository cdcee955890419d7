"""Convolutions as matrix products of windows, against PyTorch's convolution."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from helpers.small_graphs import Array, graph, noise, operators, run, written

from edge_ser_export.graph.windows import convolutions_to_products


def conv(attributes: str, weight: Array, bias: Array | None = None, frames: str = "m") -> ir.Model:
    """y = Conv(x), x `[batch, channels, n]`."""
    group = int(attributes.partition("group = ")[2][:1] or 1)
    channels = weight.shape[1] * group
    weights = {"w": weight} if bias is None else {"w": weight, "b": bias}
    return graph(
        f"(float[batch, {channels}, n] x) => (float[batch, {weight.shape[0]}, {frames}] y) "
        f"{{ y = Conv<{attributes}>(x, {', '.join(weights)}) }}",
        **weights,
    )


def assert_converted(model: ir.Model) -> None:
    assert convolutions_to_products(model) is True
    assert "Conv" not in operators(model)
    assert operators(model).count("MatMul") == 1
    assert convolutions_to_products(model) is False


def assert_same_as_torch(model: ir.Model, x: Array, expected: torch.Tensor) -> None:
    (found,) = run(model, x=x)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [3, 20])  # in blocks of outputs, in blocks of taps
@pytest.mark.parametrize("frames", [64, 7, 2])
# one block, whole blocks of 16, and blocks that are padded; even and odd
@pytest.mark.parametrize("taps", [1, 2, 3, 5, 15, 16, 17, 31, 32, 40, 128])
def test_grouped(taps: int, frames: int, width: int, bias: bool) -> None:
    """Same-padded, as positional convolutions are, also where there are more taps than frames."""
    groups, out = 4, 20
    weight = noise(out, width, taps) / np.float32((taps * width / 3) ** 0.5)
    offsets = noise(out, seed=1) if bias else None
    half = taps // 2
    model = conv(f"group = {groups}, pads = [{half}, {half}]", weight, offsets)
    assert_converted(model)
    for batch in (1, 3):
        x = noise(batch, groups * width, frames, seed=batch)
        expected = F.conv1d(
            torch.from_numpy(x), torch.from_numpy(weight),
            None if offsets is None else torch.from_numpy(offsets), padding=half, groups=groups,
        )  # fmt: skip
        assert_same_as_torch(model, x, expected)


@pytest.mark.parametrize("pads", [(0, 0), (2, 0), (0, 3), (5, 1)])
@pytest.mark.parametrize("width", [2, 16])
def test_grouped_with_uneven_padding(width: int, pads: tuple[int, int]) -> None:
    weight = noise(6, width, 18) / np.float32((width / 2) ** 0.5)
    model = conv(f"group = 3, pads = [{pads[0]}, {pads[1]}]", weight)
    assert_converted(model)
    x = noise(2, 3 * width, 30)
    expected = F.conv1d(F.pad(torch.from_numpy(x), pads), torch.from_numpy(weight), groups=3)
    assert_same_as_torch(model, x, expected)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("taps", "stride", "pads"),
    [(10, 5, (0, 0)), (3, 2, (0, 0)), (2, 2, (0, 0)), (5, 2, (2, 2)), (5, 1, (2, 2)),
     (1, 1, (0, 0)), (1, 2, (0, 0)), (1, 1, (1, 2)), (4, 7, (3, 0))],
)  # fmt: skip
def test_dense(taps: int, stride: int, pads: tuple[int, int], bias: bool) -> None:
    weight = noise(9, 4, taps)
    offsets = noise(9, seed=1) if bias else None
    model = conv(f"strides = [{stride}], pads = [{pads[0]}, {pads[1]}]", weight, offsets)
    assert_converted(model)
    for frames in (10, 11, 12, 53):
        x = noise(2, 4, frames, seed=frames)
        expected = F.conv1d(
            F.pad(torch.from_numpy(x), pads), torch.from_numpy(weight),
            None if offsets is None else torch.from_numpy(offsets), stride=stride,
        )  # fmt: skip
        assert_same_as_torch(model, x, expected)


def test_the_interface_stays() -> None:
    model = conv("pads = [1, 1]", noise(8, 4, 3))
    convolutions_to_products(model)
    (output,) = model.graph.outputs
    assert output.name == "y"
    assert output.dtype == ir.DataType.FLOAT
    assert output.shape is not None
    assert [str(d) for d in output.shape] == ["batch", "8", "m"]


@pytest.mark.parametrize(
    ("attributes", "weight"),
    [
        ("dilations = [2]", noise(8, 4, 3)),
        ('auto_pad = "SAME_UPPER"', noise(8, 4, 3)),
        ("group = 2, strides = [2]", noise(8, 2, 3)),
    ],
)
def test_what_it_does_not_know_it_leaves(attributes: str, weight: Array) -> None:
    model = conv(attributes, weight)
    before = written(model)
    assert convolutions_to_products(model) is False
    assert written(model) == before


def test_two_axes_and_computed_weights_are_left() -> None:
    for model in (
        graph(
            "(float[batch, 3, n, n] x) => (float[batch, 8, m, k] y) { y = Conv(x, w) }",
            w=noise(8, 3, 2, 2),
        ),
        graph("(float[batch, 3, n] x, float[8, 3, 2] w) => (float[b, 8, m] y) { y = Conv(x, w) }"),
    ):
        before = written(model)
        assert convolutions_to_products(model) is False
        assert written(model) == before
