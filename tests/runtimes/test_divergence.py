"""Graphs with more outputs, in every runtime, and where two computations of a model part."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.onnx_graph import read_nodes
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import UsageError
from edge_ser_runtimes.divergence import find_divergence, tolerance_of
from edge_ser_runtimes.exposed import Side, outputs_message, parts
from edge_ser_runtimes.onnxruntime.session import OrtSession
from edge_ser_runtimes.openvino import OpenVinoSession

OLD = Path(__file__).parents[1] / "data" / "bundles-schema-1"
SCALE, WEIGHT = "encoder.layers.1.attention_norm.weight", "val_263.half"


def in_onnx(bundle: Bundle, rewrites: bool = True) -> Side:
    return Side(bundle, partial(OrtSession, threads=1, rewrites=rewrites), "ours")


def in_openvino(bundle: Bundle) -> Side:
    return Side(bundle, partial(OpenVinoSession, threads=1), "ours")


def change_weight(folder: Path, name: str, change: Callable[[np.ndarray], None]) -> Bundle:
    """The bundle with another weight, sealed again: its hashes say nothing of it."""
    model = onnx.load(folder / "model.onnx")
    (weight,) = (w for w in model.graph.initializer if w.name == name)
    values = numpy_helper.to_array(weight).copy()
    change(values)
    weight.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, folder / "model.onnx")
    seal(folder, Bundle.open(DEFAULT_BUNDLE).manifest)
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def sound() -> Bundle:
    return Bundle.open(DEFAULT_BUNDLE)


# --- reading nodes, and adding outputs


def test_nodes_are_those_that_onnx_reads(sound: Bundle) -> None:
    data = sound.read("model.onnx")
    expected = [
        (n.name, n.op_type, tuple(n.input), tuple(n.output))
        for n in onnx.load_from_string(data).graph.node
    ]
    assert read_nodes(data) == expected


@pytest.mark.parametrize("length", [1, 127, 128, 20_000])
def test_a_few_bytes_behind_a_file_are_more_outputs(sound: Bundle, length: int) -> None:
    data, name = sound.read("model.onnx"), "x" * length
    model = onnx.load_from_string(data + outputs_message([name, "b"]))
    assert [o.name for o in model.graph.output] == ["vad", "region_logits", name, "b"]
    before = onnx.load_from_string(data)
    del model.graph.output[2:]
    assert model == before


def test_tensors_are_computed_as_for_the_answers(sound: Bundle) -> None:
    row = np.random.default_rng(0).normal(0, 1, 16_000).astype(np.float32)
    (plain,) = in_onnx(sound, rewrites=False).tensors(["gelu", "layer_norm_2", "vad"], [row])
    for side in (in_onnx(sound), in_openvino(sound)):
        (values,) = side.tensors(["gelu", "layer_norm_2", "vad"], [row])
        assert list(values) == ["gelu", "layer_norm_2", "vad"]
        assert values["gelu"].shape == plain["gelu"].shape and plain["gelu"].ndim == 3
        for name in values:
            np.testing.assert_allclose(values[name], plain[name], atol=2e-5)


def test_many_tensors_are_taken_in_parts() -> None:
    names = [str(i) for i in range(130)]
    assert [len(part) for part in parts(names)] == [64, 64, 2]
    assert [n for part in parts(names) for n in part] == names


def test_weights_beside_the_graph_come_along(bundle_dir: Path) -> None:
    model = onnx.load(bundle_dir / "model.onnx")
    onnx.save(
        model, bundle_dir / "model.onnx", save_as_external_data=True, location="model.onnx.data",
        size_threshold=256,
    )  # fmt: skip
    seal(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    beside, inside = Bundle.open(bundle_dir), Bundle.open(DEFAULT_BUNDLE)
    row = np.random.default_rng(1).normal(0, 1, 8_000).astype(np.float32)
    (ours,), (theirs,) = (in_onnx(b).tensors(["gelu_1"], [row]) for b in (beside, inside))
    np.testing.assert_array_equal(ours["gelu_1"], theirs["gelu_1"])


# --- where they part


@pytest.mark.parametrize("side", [in_onnx, in_openvino])
def test_runtimes_agree_from_the_first_tensor_to_the_last(
    side: Callable[[Bundle], Side], sound: Bundle
) -> None:
    divergence = find_divergence(side(sound), in_onnx(sound, rewrites=False))
    assert divergence.first is None and divergence.tolerance == 1e-3
    assert len(divergence.tensors) > 200
    assert 0 < max(t.difference for t in divergence.tensors) < 1e-4


def test_a_weight_in_the_middle_is_named_by_the_layer_that_uses_it(
    bundle_dir: Path, sound: Bundle
) -> None:
    def damage(values: np.ndarray) -> None:
        values[40] += 1.0

    divergence = find_divergence(
        in_onnx(change_weight(bundle_dir, SCALE, damage)), in_onnx(sound, rewrites=False)
    )
    first = divergence.first
    assert first is not None and first.operator == "LayerNormalization"
    assert first.tensor == "layer_norm_2" and SCALE in first.reads
    before = divergence.tensors[: divergence.tensors.index(first)]
    assert len(before) > 100 and max(t.difference for t in before) < 1e-4
    assert divergence.answers > 1e-3, "and it reaches the answers"
    record = json.loads(json.dumps(divergence.to_dict()))
    assert record["first"] == "layer_norm_2" and record["answers"] == divergence.answers


def test_a_stored_weight_is_named_itself_and_who_reads_it(bundle_dir: Path, sound: Bundle) -> None:
    def damage(values: np.ndarray) -> None:
        values[60, 100] += 4.0

    first = find_divergence(
        in_onnx(change_weight(bundle_dir, WEIGHT, damage)), in_onnx(sound, rewrites=False)
    ).first
    assert first is not None and first.tensor == "val_263" and first.reads == (WEIGHT,)
    assert first.read_by == ("node_MatMul_253",)


def test_what_is_no_number_differs(bundle_dir: Path, sound: Bundle) -> None:
    def damage(values: np.ndarray) -> None:
        values[0] = np.nan

    divergence = find_divergence(
        in_onnx(change_weight(bundle_dir, SCALE, damage)), in_onnx(sound, rewrites=False)
    )
    assert divergence.first is not None and divergence.first.tensor == "layer_norm_2"
    (named,) = (t for t in divergence.to_dict()["tensors"] if t["tensor"] == "layer_norm_2")
    assert named["difference"] is None
    assert divergence.to_dict()["answers"] is None, "JSON has no NaN"


def test_answers_of_another_size_are_refused(bundle_dir: Path, sound: Bundle) -> None:
    model = onnx.load(bundle_dir / "model.onnx")
    (last,) = (n for n in model.graph.node if "region_logits" in n.output)
    last.output[0] = "eight"
    for name, values in (("first", [0]), ("behind", [6]), ("axis", [1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    cut = onnx.helper.make_node("Slice", ["eight", "first", "behind", "axis"], ["region_logits"])
    model.graph.node.append(cut)
    (answer,) = (o for o in model.graph.output if o.name == "region_logits")
    answer.type.tensor_type.shape.dim[1].dim_value = 6
    onnx.save(model, bundle_dir / "model.onnx")
    other = in_onnx(Bundle(bundle_dir, sound.manifest), rewrites=False)
    with pytest.raises(UsageError, match=r"with 8 numbers of region_logits, found 6"):
        find_divergence(in_onnx(sound), other)


def test_a_graph_of_another_model_is_refused(sound: Bundle, bundle_dir: Path) -> None:
    model = onnx.load(bundle_dir / "model.onnx")
    answers = {"vad", "region_logits"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [n if n in answers | {"samples", "lengths", ""} else f"o.{n}" for n in names]
    for weight in model.graph.initializer:
        weight.name = f"o.{weight.name}"
    onnx.save(model, bundle_dir / "model.onnx")
    seal(bundle_dir, sound.manifest)
    with pytest.raises(UsageError, match=r"ours: expected a graph of the same model, .* none that"):
        find_divergence(in_onnx(sound), in_onnx(Bundle.open(bundle_dir), rewrites=False))


def test_the_coarser_precision_says_what_differs(sound: Bundle) -> None:
    def of(precision: str) -> Side:
        bundle = Bundle(sound.root, replace(sound.manifest, precision=precision))
        return in_onnx(bundle)

    int8 = in_onnx(Bundle.open(OLD / "onnx-int8.zip"))
    assert tolerance_of(of("fp32"), of("fp16")) == 2e-2
    assert tolerance_of(of("bf16"), of("fp32")) == 0.1
    assert tolerance_of(int8, int8) == 0.05
    assert tolerance_of(int8, of("fp32")) == 0.3
