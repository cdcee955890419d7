"""Names of nodes, and the parts of a model that they belong to."""

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import graph, noise, run, written
from helpers.traced_graphs import KINDS, traced

from edge_ser_export.graph.names import group_of, module_of, name_nodes
from edge_ser_export.graph.products import find_products

LAYER = ("attention", "attention scores", "feed-forward")


def layers(count: int) -> set[str]:
    return {f"layer {i} {part}" for i in range(count) for part in LAYER}


STYLE = {"pooling spectral", "pooling temporal", "pooling attention", "pooling attention scores"}
HEADS = {"VAD head", "region head"}
# groups of all products, where even the smallest would be quantised
GROUPS = {
    "spectral": {"log-mel", "stem 1", "stem 2", "position", *layers(3), *STYLE, *HEADS},
    "wavlm-tiny": {f"stem {i}" for i in range(7)}
    | {"projection", "position", *layers(3), *STYLE, *HEADS},
    # of these, normalisation and the first convolution are one product, with weights of its own run
    "wavlm-group": {f"stem {i}" for i in range(1, 7)}
    | {"projection", "position", *layers(1), "pooling attention", "VAD head"},
    "wav2vec2-layer": {f"stem {i}" for i in range(7)}
    | {"projection", "position", *layers(1), "VAD head"},
    "wav2vec2-group": {f"stem {i}" for i in range(1, 7)}
    | {"projection", "position", *layers(1), *STYLE, *HEADS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_product_belongs_to_a_part_of_the_model(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_export.graph.products._MIN_WEIGHTS", 1)
    monkeypatch.setattr("edge_ser_export.graph.products._MIN_TERMS", 1)
    products = find_products(ir.load(traced(kind).optimized))
    assert {p.group for p in products} == GROUPS[kind]


@pytest.mark.parametrize(
    ("module", "group"),
    [
        ("encoder.log_mel", "log-mel"),
        ("encoder.conv1", "stem 1"),
        ("encoder.conv2", "stem 2"),
        ("encoder.pos_conv", "position"),
        ("encoder.layers.11", "layer 11 attention"),
        ("encoder.layers.0.attention_norm", "layer 0 attention"),
        ("encoder.layers.0.q_proj", "layer 0 attention"),
        ("encoder.layers.2.out_proj", "layer 2 attention"),
        ("encoder.layers.2.up_proj", "layer 2 feed-forward"),
        ("encoder.layers.2.down_proj", "layer 2 feed-forward"),
        ("encoder.convolutions.0.conv", "stem 0"),
        ("encoder.convolutions.6.layer_norm", "stem 6"),
        ("encoder.projection.projection", "projection"),
        ("encoder.position", "position"),
        ("encoder.attentions.23", "layer 23 attention"),
        ("encoder.attentions.1.k_proj", "layer 1 attention"),
        ("encoder.encoder.layers.10.feed_forward.output_dense", "layer 10 feed-forward"),
        ("pooling.spectral.0.fc", "pooling spectral"),
        ("pooling.temporal.1.conv1.conv", "pooling temporal"),
        ("pooling.slf_attn.w_qs", "pooling attention"),
        ("pooling.sap_linear", "pooling attention"),
        ("pooling", "pooling attention"),
        ("vad_head.out_proj", "VAD head"),
        ("region_head.fc.0.0", "region head"),
        ("something.else", "something.else"),
        ("", "rest"),
    ],
)
def test_group_of(module: str, group: str) -> None:
    assert group_of(module) == group


@pytest.mark.parametrize("kind", KINDS)
def test_nodes_are_named_after_their_modules(kind: str) -> None:
    model = traced(kind).load()
    modules = {n.name: module_of(n) for n in model.graph}
    name_nodes(model)
    names = [n.name for n in model.graph]
    assert len(set(names)) == len(names)
    for node in model.graph:
        module = module_of(node)
        if module:
            assert node.name is not None and node.name.startswith(f"{module}/{node.op_type}")
    assert sum(bool(m) for m in modules.values()) > 0.9 * len(modules)
    paths = {name for name, _ in traced(kind).model.named_modules()}
    heavy = {module_of(n) for n in model.graph if n.op_type in ("Gemm", "Conv")}
    assert {m for m in heavy if m.startswith(("vad_head", "pooling"))} <= paths


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_named_after_their_modules(kind: str) -> None:
    model = traced(kind).load()
    name_nodes(model)
    for name, value in model.graph.initializers.items():
        assert value.name == name
        if value.shape is not None and len(value.shape) == 2 and max(value.shape.numpy()) > 40:
            assert name.partition(".")[0] in ("encoder", "pooling", "vad_head", "region_head"), name


def test_names_that_are_taken_are_not_given_again() -> None:
    model = graph(
        "(float[n] x) => (float[n] y) { a = Sin(x) b = Sin(a) c = Sin(b) d = Sin(c) y = Sin(d) }",
        modules={"a": "m", "c": "m"},
    )
    nodes = list(model.graph)
    for node, name in zip(nodes, ("", "m/Sin", "", "m/Sin.1", "m/Sin"), strict=True):
        node.name = name
    assert name_nodes(model) is True
    names = [n.name for n in nodes]
    assert len(set(names)) == 5
    assert all(n is not None and n.startswith("m/Sin") for n in names)
    x = noise(4)
    expected = np.sin(np.sin(np.sin(np.sin(np.sin(x)))))
    np.testing.assert_allclose(run(model, x=x)[0], expected, atol=1e-6)


def test_nothing_to_name() -> None:
    model = graph("(float[n] x) => (float[n] y) { a = Sin(x) y = Sin(a) }")
    before = written(model)
    assert name_nodes(model) is False
    assert written(model) == before
