"""Tracing: layers written from a pattern, and operators translated as they were captured."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from helpers.tiny_models import encoder_config, joint_config, noise, random_joint

from edge_ser_export.graph.names import name_nodes
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.trace import capture as tracing
from edge_ser_export.trace import repeat_layers as repeat
from edge_ser_export.trace.capture import trace
from edge_ser_export.trace.repeat_layers import repeat_layers

Repeat = Callable[..., bool]


def fresh(name: str) -> JointModel:
    """A model as it is made: zeros, ones, and the same of them in every layer."""
    torch.manual_seed(0)
    return JointModel(joint_config(encoder_config(name, num_hidden_layers=3))).eval()


MODELS: dict[str, Callable[[], JointModel]] = {
    "wavlm-layer": lambda: random_joint(
        joint_config(encoder_config("wavlm-layer", num_hidden_layers=5))
    ),
    "wav2vec2-group": lambda: random_joint(
        joint_config(encoder_config("wav2vec2-group", num_hidden_layers=3))
    ),
    "wav2vec2-layer, no regions": lambda: random_joint(
        joint_config(encoder_config("wav2vec2-layer", num_hidden_layers=3), region_count=0)
    ),
    "fresh wavlm-group": lambda: fresh("wavlm-group"),
}


def outputs(path: Path) -> list[Any]:
    samples = torch.stack([noise(9000, seed=1), noise(9000, seed=2)]).numpy()
    feed = {"samples": samples, "lengths": np.array([9000, 4321])}
    found: list[Any] = ort.InferenceSession(str(path)).run(None, feed)
    return found


def traced(model: JointModel, path: Path, doubles: bool = True) -> ir.Model:
    trace(model, path, 40_000, 400, doubles)
    return ir.load(path)


@pytest.mark.parametrize("name", MODELS)
def test_repeated_layers_are_those_of_a_whole_trace(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[name]()
    done: list[bool] = []

    def watched(*arguments: Any) -> bool:
        done.append(repeat_layers(*arguments))
        return done[-1]

    monkeypatch.setattr(tracing, "repeat_layers", watched)
    doubles = "layer" in name  # engines are traced without
    short = traced(model, tmp_path / "short.onnx", doubles)
    assert done == [True]
    monkeypatch.setattr(tracing, "repeat_layers", lambda *_: False)
    whole = traced(model, tmp_path / "whole.onnx", doubles)
    kinds = [Counter(n.op_type for n in m.graph) for m in (short, whole)]
    assert kinds[0] == kinds[1]
    for graph in (short, whole):
        name_nodes(graph)
    assert {n.name for n in short.graph} == {n.name for n in whole.graph}
    assert all(v.uses() for v in short.graph.initializers.values())
    both = zip(outputs(tmp_path / "short.onnx"), outputs(tmp_path / "whole.onnx"), strict=True)
    for ours, theirs in both:
        assert np.array_equal(ours, theirs)


def test_shapes_are_known_in_every_layer(tmp_path: Path) -> None:
    model = random_joint(joint_config(encoder_config("wavlm-layer", num_hidden_layers=4)))
    graph = traced(model, tmp_path / "m.onnx").graph
    sizes: dict[str, list[Any]] = {}
    for node in graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        for layer in range(1, 4):
            if f"attentions.{layer}'" in scopes:
                sizes.setdefault(str(layer), []).append(
                    (node.op_type, [str(v.shape) for v in node.outputs], node.outputs[0].dtype)
                )
    assert len(sizes["1"]) > 10
    assert sizes["1"] == sizes["2"] == sizes["3"]
    assert "None" not in str(sizes["1"])


def test_a_layer_that_is_no_pattern_is_traced_as_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS["wav2vec2-group"]()
    traced(model, tmp_path / "pattern.onnx")
    # matrices are turned by the optimiser then, which leaves no trace of their names
    monkeypatch.setattr(repeat, "_turn", lambda _: False)
    given: list[bool] = []
    monkeypatch.setattr(
        tracing, "repeat_layers", lambda *a: bool(given.append(repeat_layers(*a))) or given[-1]
    )
    traced(model, tmp_path / "whole.onnx")
    assert given == [False]
    both = zip(outputs(tmp_path / "pattern.onnx"), outputs(tmp_path / "whole.onnx"), strict=True)
    for ours, theirs in both:
        assert np.array_equal(ours, theirs)


def test_layers_that_differ_are_no_pattern() -> None:
    model = MODELS["wavlm-layer"]()
    form = DeploymentModel(model)
    form.fold()
    tensors = repeat.named_tensors(form)
    name = "encoder.encoder.layers.{}.feed_forward.output_dense.weight".format
    assert repeat._alike(tensors, 5)
    assert not repeat._alike(tensors, 6)
    assert not repeat._alike({n: t for n, t in tensors.items() if n != name(3)}, 5)
    assert not repeat._alike(tensors | {name(3): tensors[name(3)][1:]}, 5)
    assert not repeat._alike(tensors | {name(3): tensors[name(3)].half()}, 5)
    assert not repeat._alike(tensors | {name(4) + "_mask": tensors[name(4)]}, 5)


def test_no_graph_is_captured_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("decompositions were run")

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", never)
    traced(MODELS["wav2vec2-group"](), tmp_path / "layers.onnx")
    traced(random_joint(joint_config("spectral")), tmp_path / "spectral.onnx")


def test_what_has_no_translation_is_decomposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_joint(joint_config("spectral"))
    traced(model, tmp_path / "as-captured.onnx")
    run: list[int] = []
    decompose = torch.export.ExportedProgram.run_decompositions

    def watched(self: Any, *arguments: Any) -> Any:
        run.append(1)
        return decompose(self, *arguments)

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", watched)
    monkeypatch.setattr(tracing, "_OPERATORS", {})
    traced(model, tmp_path / "decomposed.onnx")
    assert run == [1]
    both = outputs(tmp_path / "as-captured.onnx"), outputs(tmp_path / "decomposed.onnx")
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
