"""What a runtime multiplied, and what it answered."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import Array, graph, noise
from helpers.traced_graphs import traced

from edge_ser.session import pad_batch
from edge_ser_export.graph.integers import quantize_products
from edge_ser_export.graph.products import find_products
from edge_ser_export.graph.rewrite import save, tidy
from edge_ser_export.graph.run import (
    answers,
    answers_in_pairs,
    feed,
    multiplications,
    open_graph,
    share_of,
)
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

SECONDS = 0.1
N = 1600  # samples of it


def small(body: str, work: Path, **weights: Array) -> Path:
    """A graph of `x [1, 400, 4]`, a tenth of a second in frames of four samples."""
    model = graph(
        "(float[batch, n] samples, int64[batch] lengths) => "
        + body.replace("{", "{ x = Reshape(samples, frames)", 1),
        frames=np.array([1, -1, 4]), **weights,
    )  # fmt: skip
    path = work / "small.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    return path


FRAMES = N // 4


@pytest.mark.parametrize(
    ("body", "weights", "macs"),
    [
        ("(float[b, t, 7] y) { y = MatMul(x, w) }", {"w": (4, 7)}, FRAMES * 4 * 7),
        ("(float[b, t, 7] y) { p = MatMul(x, w) y = Add(p, c) }", {"w": (4, 7), "c": (7,)},
         FRAMES * 4 * 7),
        # a transposition that the runtime folds into the product
        ("(float[b, 4, 7] y) { r = Transpose<perm = [0, 2, 1]>(x) y = MatMul(r, w) }",
         {"w": (FRAMES, 7)}, 4 * FRAMES * 7),
        ("(float[b, 1, 4] y) { m = ReduceMax<keepdims = 1>(x, last) "
         "r = Transpose<perm = [0, 2, 1]>(m) y = MatMul(r, x) }", {}, FRAMES * 4),
        # attention's scores: both sides are computed
        ("(float[b, t, u] y) { r = Transpose<perm = [0, 2, 1]>(x) s = MatMul(x, r) "
         "y = Softmax(s) }", {}, FRAMES * FRAMES * 4),
        # weights that a batch shares, and one that has its own
        ("(float[b, t, 7] y) { y = MatMul(x, w) }", {"w": (1, 4, 7)}, FRAMES * 4 * 7),
        ("(float[b, h, t, 7] y) { z = Unsqueeze(x, first) y = MatMul(z, w) }",
         {"w": (3, 4, 7)}, 3 * FRAMES * 4 * 7),
        ("(float[t, 7] y) { z = Squeeze(x, none) y = Gemm<transB = 1>(z, w, c) }",
         {"w": (7, 4), "c": (7,)}, FRAMES * 4 * 7),
        ("(float[u, 7] y) { z = Squeeze(x, none) y = Gemm<transA = 1>(z, w) }",
         {"w": (FRAMES, 7)}, FRAMES * 4 * 7),
        ("(float[b, 6, u] y) { r = Transpose<perm = [0, 2, 1]>(x) "
         "y = Conv<strides = [2], pads = [1, 1]>(r, w) }", {"w": (6, 4, 3)},
         FRAMES // 2 * 6 * 4 * 3),
        ("(float[b, 6, u] y) { r = Transpose<perm = [0, 2, 1]>(x) "
         "y = Conv<group = 2, pads = [1, 1]>(r, w) }", {"w": (6, 2, 3)}, FRAMES * 6 * 2 * 3),
    ],
)  # fmt: skip
def test_multiplications_are_counted_exactly(
    body: str, weights: dict[str, tuple[int, ...]], macs: int, tmp_path: Path
) -> None:
    arrays: dict[str, Array] = {name: noise(*shape) for name, shape in weights.items()}
    for name, value in (("last", [2]), ("first", [1]), ("none", [0])):
        if f", {name})" in body:
            arrays[name] = np.array(value)
    path = small(body, tmp_path, **arrays)
    (found,) = multiplications(path, SECONDS)
    assert (found.macs, found.kind) == (macs, "float32")


def test_integers_and_names_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(
        "(float[b, t, 7] y) { h = MatMul(x, v) g = Relu(h) y = MatMul(g, w) }",
        tmp_path, v=noise(4, 512), w=noise(512, 7),
    )  # fmt: skip
    monkeypatch.setattr("edge_ser_export.graph.products._MIN_TERMS", 1)
    model = ir.load(path)
    for node in model.graph:
        if node.op_type == "MatMul":
            node.name = f"encoder.{node.outputs[0].name}/MatMul"
    quantize_products(model, lambda _: True)
    tidy(model)
    save(model, path, EXTERNAL_DATA_BYTES)
    found = multiplications(path, SECONDS)
    assert [(m.kind, m.macs) for m in found] == [
        ("int8", FRAMES * 4 * 512),
        ("int8", FRAMES * 512 * 7),
    ]
    assert [m.node.split("/")[0] for m in found] == ["encoder.h", "encoder.y"]
    share = share_of("int8", path, SECONDS)
    assert (share.encoder, share.everything, share.rest) == (1.0, 1.0, {})
    assert share.macs == FRAMES * 512 * 11
    assert share_of("float16", path, SECONDS).encoder == 0


def encoder_macs(kind: str, seconds: float) -> int:
    """Of a WavLM's encoder, from its configuration."""
    e = traced(kind).model.config.encoder
    n, channels, macs = int(seconds * 16_000), 1, 0
    for out, taps, stride in zip(e.conv_dim, e.conv_kernel, e.conv_stride, strict=True):
        n = (n - taps) // stride + 1
        macs += n * out * taps * channels
        channels = out
    width = e.hidden_size
    macs += n * channels * width
    # blocks of sixteen taps: whole blocks are computed at every frame, and where they start before
    blocks = -(-e.num_conv_pos_embeddings // 16)
    frames = n + 2 * (e.num_conv_pos_embeddings // 2) - 15
    macs += frames * width * (width // e.num_conv_pos_embedding_groups) * blocks * 16
    layer = n * (4 * width * width + 2 * width * e.intermediate_size) + 2 * n * n * width
    gate = 2 * n * width
    return macs + e.num_hidden_layers * (layer + gate)


def test_a_whole_encoder_is_counted_exactly() -> None:
    kind = "wavlm-tiny"
    found = multiplications(traced(kind).optimized, 1.0)
    encoder = sum(m.macs for m in found if m.node.startswith("encoder"))
    assert encoder == encoder_macs(kind, 1.0)


@pytest.mark.parametrize("kind", ["spectral", "wavlm-tiny"])
def test_share_of_integers(kind: str, tmp_path: Path) -> None:
    model = ir.load(traced(kind).optimized)
    groups = {p.group for p in find_products(model)}
    quantize_products(model, lambda group: group != "log-mel")
    tidy(model)
    path = tmp_path / "int8.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    share = share_of("int8", path, 2.0)
    assert 0.95 <= share.encoder <= 1
    assert share.everything <= 1
    assert (share.everything < 0.95) is ("log-mel" in groups)
    assert sum(share.rest.values()) == pytest.approx(1 - share.everything, abs=1e-6)
    first = next(iter(share.rest))
    assert first == ("encoder.log_mel" if "log-mel" in groups else "encoder.convolutions.0.conv")
    before = share_of("int8", traced(kind).optimized, 2.0)
    assert (before.encoder, before.everything) == (0, 0)
    assert before.macs == pytest.approx(share.macs, rel=0.01)


def test_no_encoder_has_no_share(tmp_path: Path) -> None:
    path = small("(float[b, t, 4] y) { y = Neg(x) }", tmp_path)
    assert multiplications(path, SECONDS) == []
    assert share_of("int8", path, SECONDS).encoder == 0


# --- times


# --- answers


def test_answers_alone_and_in_pairs() -> None:
    opened = open_graph(traced("spectral").path)
    rows = [noise(n, seed=n) for n in (4000, 400, 9001)]
    alone = answers(opened, iter(rows))
    pairs = answers_in_pairs(opened, iter(rows))
    assert alone.vad.shape == pairs.vad.shape == (3, 3)
    assert alone.region_logits is not None and alone.region_logits.shape == (3, 8)
    np.testing.assert_allclose(alone.vad, pairs.vad, atol=1e-5)
    for index, x in enumerate(rows):
        (vad, _) = opened.run(None, feed([x]))
        np.testing.assert_array_equal(alone.vad[index], vad[0])
    together = opened.run(
        ["vad"], dict(zip(("samples", "lengths"), pad_batch(rows[:2]), strict=True))
    )
    np.testing.assert_array_equal(pairs.vad[:2], together[0])


def test_answers_without_a_region_head() -> None:
    opened = open_graph(traced("wavlm-group").path)
    assert answers(opened, [noise(4000)]).region_logits is None
