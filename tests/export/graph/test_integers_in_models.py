"""Whole models in 8-bit integers: only what was chosen, once each, and near the answers."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from helpers.integer_products import INTEGER, QUANTIZERS, everything, scheme
from helpers.small_graphs import written
from helpers.traced_graphs import BATCHES, run_batches, traced

from edge_ser_export.graph.integers import (
    Extremes,
    quantize_products,
)
from edge_ser_export.graph.products import find_products
from edge_ser_export.graph.rewrite import tidy

KIND = "spectral"


CHOSEN = {"layer 1 feed-forward", "stem 2", "pooling attention"}


@pytest.fixture(scope="module")
def partly() -> ir.Model:
    model = ir.load(traced(KIND).optimized)
    quantize_products(model, CHOSEN.__contains__, scheme())
    tidy(model)
    return model


def test_only_chosen_parts_are_integers(partly: ir.Model) -> None:
    before = find_products(ir.load(traced(KIND).optimized))
    floats = [p for p in find_products(partly)]
    assert {p.group for p in floats} == {p.group for p in before} - CHOSEN
    assert len(floats) == sum(p.group not in CHOSEN for p in before)
    integers = [n for n in partly.graph if n.op_type in INTEGER]
    assert len(integers) == sum(p.group in CHOSEN for p in before) >= 6
    weights = {v.name for v in partly.graph.initializers.values() if v.dtype == ir.DataType.INT8}
    assert all(
        str(w).startswith(("encoder.layers.1.", "encoder.conv2", "pooling.")) for w in weights
    )


def test_nothing_chosen_changes_nothing() -> None:
    model = ir.load(traced(KIND).optimized)
    before = written(model)
    assert quantize_products(model, lambda _: False, scheme()) is False
    assert written(model) == before


@pytest.mark.parametrize("static", [True, False])
def test_an_activation_is_quantised_once(static: bool) -> None:
    """Query, key and value read the same 8 bits."""
    model = ir.load(traced(KIND).optimized)
    products = find_products(model)
    readers = Counter(o.source.name or "" for p in products for o in p.operands)
    assert max(readers.values()) == 3
    one = Extremes(np.array([-1], np.float32), np.array([1], np.float32))
    quantize_products(model, everything, scheme(dict.fromkeys(readers, one) if static else None))
    tidy(model)
    quantizers = [n for n in model.graph if n.op_type in QUANTIZERS]
    assert Counter(n.inputs[0].name for n in quantizers if n.inputs[0]) == dict.fromkeys(readers, 1)
    assert len(quantizers) == len(readers) < len(products)
    assert find_products(model) == []
    names = [n.name for n in model.graph]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", ["wavlm-tiny", "wav2vec2-layer"])
def test_answers_stay_near(kind: str) -> None:
    model = ir.load(traced(kind).optimized)
    assert quantize_products(model, everything, scheme()) is True
    tidy(model)
    for rows, given, expected in zip(
        BATCHES, run_batches(model), traced(kind).expected, strict=True
    ):
        assert 0 < np.abs(given[0] - expected[0]).max() < 0.1, len(rows)
