"""Tracing: layers written from a pattern, and operators translated as they were captured."""

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from helpers.tiny_models import encoder_config, joint_config, noise, random_joint
from helpers.trace_once import folder

from edge_ser_export.graph.names import name_nodes
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.trace import capture as tracing
from edge_ser_export.trace import repeat_layers as repeat
from edge_ser_export.trace.capture import trace
from edge_ser_export.trace.repeat_layers import repeat_layers


def config(name: str, layers: int, **changes: Any) -> ModelConfig:
    """Of a model with few convolutions, which are no part of any layer and take time to trace."""
    convolutions = dict(conv_dim=(8, 10, 12), conv_kernel=(10, 3, 3), conv_stride=(5, 2, 2))
    return joint_config(encoder_config(name, num_hidden_layers=layers, **convolutions), **changes)


def fresh(name: str) -> JointModel:
    """A model as it is made: zeros, ones, and the same of them in every layer."""
    torch.manual_seed(0)
    return JointModel(config(name, 3)).eval()


MODELS: dict[str, Callable[[], JointModel]] = {
    "wavlm-layer": lambda: random_joint(config("wavlm-layer", 5)),
    "wav2vec2-group": lambda: random_joint(config("wav2vec2-group", 3)),
    "wav2vec2-layer, no regions": lambda: random_joint(config("wav2vec2-layer", 3, region_count=0)),
    "fresh wavlm-group": lambda: fresh("wavlm-group"),
    "spectral": lambda: random_joint(joint_config("spectral")),
}
LAYERED = [name for name in MODELS if name != "spectral"]  # its layers are too few to repeat


def outputs(path: Path) -> list[Any]:
    samples = torch.stack([noise(9000, seed=1), noise(9000, seed=2)]).numpy()
    feed = {"samples": samples, "lengths": np.array([9000, 4321])}
    found: list[Any] = ort.InferenceSession(str(path)).run(None, feed)
    return found


@dataclass(frozen=True)
class Traced:
    """What `trace` wrote, and how.

    Attributes:
        path: of the graph.
        repeated: what each call of `repeat_layers` gave.
        decompositions: how often torch took a captured graph apart, which captures it again.
    """

    path: Path
    repeated: tuple[bool, ...]
    decompositions: int


@functools.cache
def as_exported(name: str) -> Traced:
    """One of `MODELS` traced as an export does it, once for all tests."""
    repeated: list[bool] = []
    decompositions: list[None] = []
    decompose = torch.export.ExportedProgram.run_decompositions

    def watched_repeat(*arguments: Any) -> bool:
        repeated.append(repeat_layers(*arguments))
        return repeated[-1]

    def watched_decompose(*arguments: Any) -> Any:
        decompositions.append(None)
        return decompose(*arguments)

    path = folder() / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "repeat_layers", watched_repeat)
        patch.setattr(torch.export.ExportedProgram, "run_decompositions", watched_decompose)
        trace(MODELS[name](), path, 40_000, 400, in_doubles(name))
    return Traced(path, tuple(repeated), len(decompositions))


def in_doubles(name: str) -> bool:
    """Engines are traced without."""
    return "group" not in name


def traced(model: JointModel, path: Path, doubles: bool = True) -> ir.Model:
    trace(model, path, 40_000, 400, doubles)
    return ir.load(path)


def assert_same_answers(one: Path, other: Path) -> None:
    for ours, theirs in zip(outputs(one), outputs(other), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", LAYERED)
def test_repeated_layers_are_those_of_a_whole_trace(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = as_exported(name)
    assert repeated.repeated == (True,)
    monkeypatch.setattr(tracing, "repeat_layers", lambda *_: False)
    whole = traced(MODELS[name](), tmp_path / "whole.onnx", in_doubles(name))
    short = ir.load(repeated.path)
    kinds = [Counter(n.op_type for n in m.graph) for m in (short, whole)]
    assert kinds[0] == kinds[1]
    for graph in (short, whole):
        name_nodes(graph)
    assert {n.name for n in short.graph} == {n.name for n in whole.graph}
    assert all(v.uses() for v in short.graph.initializers.values())
    assert_same_answers(repeated.path, tmp_path / "whole.onnx")


def test_shapes_are_known_in_every_layer() -> None:
    graph = ir.load(as_exported("wavlm-layer").path).graph
    sizes: dict[str, list[Any]] = {}
    for node in graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        for layer in range(1, 5):
            if f"attentions.{layer}'" in scopes:
                sizes.setdefault(str(layer), []).append(
                    (node.op_type, [str(v.shape) for v in node.outputs], node.outputs[0].dtype)
                )
    assert len(sizes["1"]) > 10
    assert sizes["1"] == sizes["2"] == sizes["3"] == sizes["4"]
    assert "None" not in str(sizes["1"])


def test_a_layer_that_is_no_pattern_is_traced_as_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # matrices are turned by the optimiser then, which leaves no trace of their names
    monkeypatch.setattr(repeat, "_turn", lambda _: False)
    given: list[bool] = []
    monkeypatch.setattr(
        tracing, "repeat_layers", lambda *a: bool(given.append(repeat_layers(*a))) or given[-1]
    )
    name = "wav2vec2-group"
    traced(MODELS[name](), tmp_path / "whole.onnx", in_doubles(name))
    assert given == [False]
    assert_same_answers(as_exported(name).path, tmp_path / "whole.onnx")


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


@pytest.mark.parametrize("name", MODELS)
def test_no_graph_is_captured_twice(name: str) -> None:
    assert as_exported(name).decompositions == 0


def test_what_has_no_translation_is_decomposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[int] = []
    decompose = torch.export.ExportedProgram.run_decompositions

    def watched(self: Any, *arguments: Any) -> Any:
        run.append(1)
        return decompose(self, *arguments)

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", watched)
    monkeypatch.setattr(tracing, "_OPERATORS", {})
    traced(MODELS["spectral"](), tmp_path / "decomposed.onnx")
    assert run == [1]
    both = outputs(as_exported("spectral").path), outputs(tmp_path / "decomposed.onnx")
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
