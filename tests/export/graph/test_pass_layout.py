"""Swaps of channels and time: they meet and vanish, answers stay, and the pass comes to an end."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import Array, graph, noise, operators, run, written

from edge_ser_export.graph.layout import remove_transposes


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails if its body takes longer, as a pass that moves a swap back and forth would."""

    def stop(_: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


SWAP = "Transpose<perm = [0, 2, 1]>"


def swaps(model: ir.Model) -> int:
    return operators(model).count("Transpose")


def assert_pushed(text: str, left: int, **weights: Array) -> None:
    """The pass gives a graph of `x [batch, 6, n]` and `t [batch, 1, n]` so many swaps."""
    model = graph(f"(float[batch, 6, n] x, float[batch, 1, n] t) => {text}", **weights)
    x, t = noise(2, 6, 11), noise(2, 1, 11, seed=1)
    expected = run(model, x=x, t=t)
    with within(10):
        remove_transposes(model)
    for found, right in zip(run(model, x=x, t=t), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-6, rtol=0)
    assert swaps(model) == left
    before = written(model)
    assert remove_transposes(model) is False
    assert written(model) == before


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f"a = {SWAP}(x) z = {SWAP}(a)", 0),
        (f"a = {SWAP}(x) b = Gelu(a) c = Sigmoid(b) z = {SWAP}(c)", 0),
        # a constant, per channel or not, on either side
        (f"a = {SWAP}(x) b = Add(a, channel) c = Mul(two, b) z = {SWAP}(c)", 0),
        (f"a = {SWAP}(x) b = Sub(matrix, a) z = {SWAP}(b)", 0),
        # something thin is swapped instead, and what was swapped already is not swapped again
        (f"s = {SWAP}(t) a = {SWAP}(x) b = Mul(a, s) z = {SWAP}(b)", 0),
        (f"a = {SWAP}(x) b = Mul(a, a) z = {SWAP}(b)", 0),
        (f"a = {SWAP}(x) b = Gelu(a) c = Concat<axis = -1>(a, b) p, q = Split<axis = 2, "
         f"num_outputs = 2>(c) d = Add(p, q) z = {SWAP}(d)", 0),
        (f"a = {SWAP}(x) b = Slice(a, one, end, one, two_steps) z = {SWAP}(b)", 0),
        (f"a = {SWAP}(x) b = ReduceSum<keepdims = 1>(a, one) z = {SWAP}(b)", 0),
        # what cannot be computed on the other side keeps its swap
        (f"a = {SWAP}(x) b = LayerNormalization(a, channel, channel) z = {SWAP}(b)", 2),
        (f"a = {SWAP}(x) b = Softmax(a) z = {SWAP}(b)", 2),
    ],
)  # fmt: skip
def test_swaps_meet(body: str, left: int) -> None:
    assert_pushed(
        f"(float[batch, m, k] y) {{ {body} y = Softmax<axis = 1>(z) }}", left,
        channel=noise(6), two=np.array(2, np.float32), matrix=noise(1, 6),
        one=np.array([1], np.int64), end=np.array([9], np.int64),
        two_steps=np.array([2], np.int64),
    )  # fmt: skip


def test_a_swap_that_is_an_output_stays() -> None:
    assert_pushed(f"(float[batch, n, 6] y) {{ a = Gelu(x) y = {SWAP}(a) }}", 1)
    assert_pushed(f"(float[batch, n, 6] y) {{ a = {SWAP}(x) y = Gelu(a) }}", 1)


def test_a_swap_with_two_readers_serves_both() -> None:
    assert_pushed(
        f"(float[batch, 6, n] y, float[batch, n, 6] z) "
        f"{{ a = {SWAP}(x) b = Gelu(a) c = {SWAP}(b) y = Softmax(c) z = Softmax(a) }}",
        1,
    )


def test_nothing_to_do() -> None:
    model = graph("(float[batch, 6, n] x) => (float[batch, 6, n] y) { a = Gelu(x) y = Add(a, x) }")
    before = written(model)
    assert remove_transposes(model) is False
    assert written(model) == before


@pytest.mark.parametrize(
    "body",
    [
        f"{{ a = {SWAP}(t) s = {SWAP}(u) y = Add(a, s) }}",
        f"{{ a = {SWAP}(t) b = Sigmoid(a) y = Mul(b, v) }}",
        f"{{ a = {SWAP}(t) b = Add(a, v) c = {SWAP}(b) d = Add(c, u) "
        f"e = {SWAP}(d) y = Sub(v, e) }}",
        f"{{ a = {SWAP}(t) b = Mul(v, a) c = Mul(b, v) y = Add(c, a) }}",
        f"{{ a = {SWAP}(t) b = Add(a, w) y = Mul(b, v) }}",
    ],
)
def test_thin_operands_on_both_sides_end(body: str) -> None:
    """Of two thin operands either could be swapped: the pass must not go on choosing."""
    model = graph(
        "(float[batch, 1, n] t, float[batch, 1, n] u, float[batch, n, 1] v) => "
        f"(float[batch, k, m] y) {body}",
        w=noise(1, 1, 1),
    )
    inputs = {"t": noise(2, 1, 9), "u": noise(2, 1, 9, seed=1), "v": noise(2, 9, 1, seed=2)}
    expected = run(model, **inputs)
    with within(10):
        remove_transposes(model)
    np.testing.assert_allclose(run(model, **inputs)[0], expected[0], atol=1e-6)


def random_chain(seed: int) -> str:
    """Nodes at random over a feature map and thin things, in both layouts."""
    rng = np.random.default_rng(seed)
    # name -> whether channels are last; wide ones have six channels, thin ones one
    wide, thin = {"x": False}, {"t": False}
    lines = []
    for step in range(14):
        name = f"v{step}"
        group = wide if rng.random() < 0.65 else thin
        first = str(rng.choice(list(group)))
        kind = rng.choice(["swap", "unary", "same", "thin"], p=[0.35, 0.15, 0.2, 0.3])
        if kind == "swap":
            lines.append(f"{name} = {SWAP}({first})")
            group[name] = not group[first]
            continue
        if kind == "unary":
            lines.append(f"{name} = {rng.choice(['Gelu', 'Sigmoid', 'Tanh', 'Mish'])}({first})")
        else:
            partners = group if kind == "same" else thin
            alike = [p for p, last in partners.items() if last == group[first]]
            pair = [first, str(rng.choice(alike)) if alike else "two"]
            rng.shuffle(pair)
            lines.append(f"{name} = {rng.choice(['Add', 'Sub', 'Mul'])}({pair[0]}, {pair[1]})")
        group[name] = group[first]
    everything = [*list(wide)[-2:], *list(thin)[-2:]]
    ends = [f"y{i} = Softmax<axis = 1>({v})" for i, v in enumerate(everything)]
    outputs = ", ".join(f"float[batch, p{i}, q{i}] y{i}" for i in range(len(ends)))
    return f"({outputs}) {{ {' '.join(lines + ends)} }}"


@pytest.mark.parametrize("seed", range(40))
def test_any_chain_ends_with_the_same_answers(seed: int) -> None:
    model = graph(
        f"(float[batch, 6, n] x, float[batch, 1, n] t) => {random_chain(seed)}",
        two=np.array(2, np.float32),
    )
    x, t = noise(2, 6, 11), noise(2, 1, 11, seed=1)
    expected = run(model, x=x, t=t)
    with within(10):
        changed = remove_transposes(model)
    for found, right in zip(run(model, x=x, t=t), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5, rtol=1e-5)
    if changed:
        assert remove_transposes(model) is False
    for node in model.graph:
        inner = node.inputs[0].producer() if node.inputs[0] is not None else None
        assert inner is None or {node.op_type, inner.op_type} != {"Transpose"}, "two in a row"
