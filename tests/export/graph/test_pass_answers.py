"""Every pass on traced models of every kind: the same answers, and what the pass promises."""

import itertools
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import operators, written
from helpers.traced_graphs import BATCHES, KINDS, revealed, run_batches, session, traced

from edge_ser_export.graph.rewrite import CPU_PASSES, optimize_for_cpu
from edge_ser_export.graph.run import feed

Pass = Callable[[ir.Model], bool]


def assert_same_answers(graph: ir.Model, kind: str) -> None:
    found = run_batches(graph)
    for rows, outputs, expected in zip(BATCHES, found, traced(kind).expected, strict=True):
        assert len(outputs) == len(expected)
        for a, b in zip(outputs, expected, strict=True):
            # logits span tens, and 1e-5 is of arousal, dominance and valence
            scale = max(1.0, float(np.abs(b).max()))
            np.testing.assert_allclose(a, b, atol=1e-5 * scale, rtol=0, err_msg=str(len(rows)))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_tell_utterances_apart(kind: str) -> None:
    """Or the tests below would compare constants."""
    rows = np.concatenate([outputs[0] for outputs in traced(kind).expected])
    assert np.isfinite(rows).all()
    assert np.ptp(rows, axis=0).min() > 1e-3


@pytest.mark.parametrize("rewrite", CPU_PASSES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_alone_keeps_the_answers(kind: str, rewrite: Pass) -> None:
    graph = traced(kind).load()
    before = written(graph)
    changed = rewrite(graph)
    assert changed is (written(graph) != before)
    if changed:
        assert_same_answers(graph, kind)
        done = written(graph)
        assert rewrite(graph) is False  # nothing is left to do
        assert written(graph) == done


@pytest.mark.parametrize("kind", KINDS)
def test_all_passes_keep_answers_and_interface(kind: str) -> None:
    graph = traced(kind).load()
    inputs, outputs = ([(v.name, v.dtype, v.shape) for v in part] for part in _interface(graph))
    done = optimize_for_cpu(graph)
    assert {"name_nodes", "convolutions_to_products", "remove_transposes"} <= set(done)
    assert_same_answers(graph, kind)
    after = ([(v.name, v.dtype, v.shape) for v in part] for part in _interface(graph))
    assert [inputs, outputs] == list(after)


def _interface(graph: ir.Model) -> tuple[list[ir.Value], list[ir.Value]]:
    return list(graph.graph.inputs), list(graph.graph.outputs)


@pytest.fixture(scope="module", params=KINDS)
def optimized(request: pytest.FixtureRequest) -> ir.Model:
    return ir.load(traced(request.param).optimized)


def test_every_convolution_and_head_is_a_product(optimized: ir.Model) -> None:
    assert not {"Conv", "Gemm", "Mish"} & set(operators(optimized))
    products = [n for n in optimized.graph if n.op_type == "MatMul"]
    assert len(products) >= 20


def test_no_two_transposes_undo_each_other(optimized: ir.Model) -> None:
    transposes = [n for n in optimized.graph if n.op_type == "Transpose"]
    assert transposes  # of attention's heads
    for node in transposes:
        assert node.inputs[0] is not None
        inner = node.inputs[0].producer()
        if inner is not None and inner.op_type == "Transpose":
            outer, first = (list(n.attributes["perm"].value) for n in (node, inner))
            assert [first[i] for i in outer] != sorted(outer), node.name


def test_no_feature_map_is_swapped(optimized: ir.Model) -> None:
    """Channels stay last from the samples to the pooling.

    What swaps are left turn something thin, or an operand of a product, into which runtimes fold
    them.
    """
    swaps = [
        n for n in optimized.graph
        if n.op_type == "Transpose" and list(n.attributes["perm"].value) == [0, 2, 1]
    ]  # fmt: skip
    sources = [n.inputs[0] for n in swaps if n.inputs[0] is not None]
    for node, sizes in zip(swaps, sizes_in_a_run(optimized, sources), strict=True):
        readers = {use.node.op_type for use in node.outputs[0].uses()}
        assert 1 in sizes[1:] or readers == {"MatMul"}, node.name


def sizes_in_a_run(graph: ir.Model, values: list[ir.Value]) -> list[tuple[int, ...]]:
    names = [v.name for v in values]
    rows = [np.zeros(9001, np.float32), np.zeros(4000, np.float32)]
    return [x.shape for x in session(revealed(graph, names)).run(names, feed(rows))]


def test_no_masked_sum_over_time_is_left(optimized: ir.Model) -> None:
    """Sums that are left add up masks, one number per frame, or the few taps of a filter."""
    left = []
    for node in optimized.graph:
        if node.op_type != "ReduceSum" or node.inputs[1] is None:
            continue
        axes = node.inputs[1].const_value
        if axes is not None and axes.numpy().tolist() == [1] and node.inputs[0] is not None:
            left.append(node.inputs[0])
    for value, sizes in zip(left, sizes_in_a_run(optimized, left), strict=True):
        assert len(sizes) == 2 or sizes[-1] == 1 or sizes[1] <= 10, value.name


def test_names_are_unique(optimized: ir.Model) -> None:
    names = [n.name for n in optimized.graph]
    assert len(set(names)) == len(names)
    assert all(names)
    values = [v.name for n in optimized.graph for v in n.outputs if v.name]
    values += [*optimized.graph.initializers, *(v.name for v in optimized.graph.inputs)]
    assert len(set(values)) == len(values)


def test_nothing_is_computed_or_kept_for_nobody(optimized: ir.Model) -> None:
    outputs = set(optimized.graph.outputs)
    for node in optimized.graph:
        assert any(v.uses() or v in outputs for v in node.outputs), node.name
    for value in optimized.graph.initializers.values():
        assert value.uses(), value.name


def test_shapes_that_passes_write_are_true() -> None:
    """The runtime shares memory among values whose sizes have the same names."""
    kind = "wavlm-tiny"
    graph = traced(kind).load()
    for rewrite in CPU_PASSES:
        rewrite(graph)
    interface = {*graph.graph.outputs}
    values = [
        v for n in graph.graph for v in n.outputs
        if v.shape is not None and v not in interface and v.dtype == ir.DataType.FLOAT
    ]  # fmt: skip
    assert len(values) > 100
    sizes_by_name: dict[str, set[int]] = {}
    for value, sizes in zip(values, sizes_in_a_run(graph, values), strict=True):
        assert value.shape is not None and len(value.shape) == len(sizes), value.name
        for said, size in zip(value.shape, sizes, strict=True):
            if isinstance(said, int):
                assert said == size, value.name
            elif said.value is not None:
                sizes_by_name.setdefault(str(said.value), set()).add(size)
    assert "batch" in sizes_by_name or len(sizes_by_name) > 1
    wrong = {name: found for name, found in sizes_by_name.items() if len(found) > 1}
    assert not wrong


@pytest.mark.parametrize("kind", ["spectral", "wavlm-group"])
def test_any_order_after_names_keeps_the_answers(kind: str) -> None:
    """No pass relies on what another one leaves, beyond finding more to do."""
    rest = CPU_PASSES[1:]
    for order in itertools.islice(itertools.permutations(rest), 7, None, 250):
        graph = traced(kind).load()
        for rewrite in (CPU_PASSES[0], *order):
            rewrite(graph)
        assert_same_answers(graph, kind)
