"""Which graphs a bundle may have: called .onnx, of known operators, as its manifest says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.bundle_files import EditManifest, TinyBundle
from onnx import TensorProto, helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

Spoil = Callable[[onnx.ModelProto], None]


def spoilt(folder: Path, spoil: Spoil) -> Path:
    """A bundle whose graph is changed, and sealed again as its maker would."""
    manifest = Bundle.open(folder).manifest
    model = onnx.load(folder / "model.onnx")
    spoil(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    seal(folder, manifest)
    return folder


def endless_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )  # fmt: skip
    model.graph.node.append(helper.make_node("Loop", ["count", "go"], [], body=body))


def add_node(operator: str, domain: str = "") -> Spoil:
    def spoil(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(operator, ["m"], ["other"], domain=domain))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (endless_loop, "a graph within a node"),
        (add_node("ConstantOfShape"), "ConstantOfShape"),
        (add_node("SequenceEmpty"), "SequenceEmpty"),
        (add_node("EPContext", "com.microsoft"), "com.microsoft.EPContext"),
        (add_node("Add", "my.domain"), "my.domain.Add and 1 more"),
        (add_node("TRT_PluginV2", "trt.plugins"), "trt.plugins.TRT_PluginV2"),
    ],
)
def test_what_exports_do_not_write_is_refused(
    spoil: Spoil, found: str, tiny_bundle: TinyBundle
) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open(spoilt(tiny_bundle(), spoil))
    assert f"found {found}" in str(caught.value)


def test_an_imported_domain_alone_is_refused(tiny_bundle: TinyBundle) -> None:
    bundle = spoilt(
        tiny_bundle(), lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    )
    with pytest.raises(BundleError, match=r"found domain ai.onnx.ml"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["model.ort", "model.xml", "model.pb", "model", "model.onnx.data"])
def test_a_graph_of_another_name_is_refused(
    name: str, bundle_dir: Path, edit_manifest: EditManifest
) -> None:
    (bundle_dir / "model.onnx").rename(bundle_dir / name)

    def change(manifest: dict[str, object]) -> None:
        manifest["graph"] = name

    edit_manifest(bundle_dir, change)
    seal(bundle_dir, replace(Bundle.open(DEFAULT_BUNDLE).manifest, graph=name))
    with pytest.raises(BundleError, match=f"{name}: expected a graph called .onnx"):
        Bundle.open(bundle_dir)


def output(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    return next(value for value in model.graph.output if value.name == name)


def set_width(model: onnx.ModelProto) -> None:
    output(model, "vad").type.tensor_type.shape.dim[1].dim_value = 4


def set_rank(model: onnx.ModelProto) -> None:
    output(model, "vad").type.tensor_type.shape.dim.add()


def set_type(model: onnx.ModelProto) -> None:
    output(model, "vad").type.tensor_type.elem_type = TensorProto.INT64


def fix_batch(model: onnx.ModelProto) -> None:
    output(model, "vad").type.tensor_type.shape.dim[0].dim_value = 1


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def rename_output(model: onnx.ModelProto) -> None:
    output(model, "vad").name = "other"


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (set_width, "vad float32 [any, 4]"),
        (set_rank, "vad float32 [any, 3, any]"),
        (set_type, "vad int64 [any, 3]"),
        (fix_batch, "vad float32 [1, 3]"),
        (add_input, "more float32 [1]"),
        (rename_output, "region_logits float32 [any, 8]"),
    ],
)
def test_tensors_are_as_the_manifest_says(
    spoil: Spoil, found: str, tiny_bundle: TinyBundle
) -> None:
    with pytest.raises(BundleError, match=r"model.onnx: expected (in|out)puts .*float32") as caught:
        Bundle.open(spoilt(tiny_bundle(), spoil))
    assert found in caught.value.found


def test_a_manifest_may_name_fewer_outputs_than_the_graph_has(tiny_bundle: TinyBundle) -> None:
    def fewer(manifest: Manifest) -> Manifest:
        return replace(manifest, outputs=manifest.outputs[:1], heads=manifest.heads[:1])

    Bundle.open(tiny_bundle(change=fewer))

    def more(manifest: Manifest) -> Manifest:
        extra = TensorSpec("confidence", "float32", ("batch", 1))
        return replace(manifest, outputs=(*manifest.outputs, extra))

    with pytest.raises(BundleError, match=r"expected outputs .*confidence float32 \[any, 1\]"):
        Bundle.open(tiny_bundle("more", change=more))


def test_weights_beyond_the_file_that_holds_them_are_refused(tiny_bundle: TinyBundle) -> None:
    weights = np.ones((1, 3), np.float32)
    bundle = tiny_bundle(location="weights.bin", weights=weights)
    (bundle / "weights.bin").write_bytes(b"12345678901")  # of twelve
    seal(bundle, Bundle(bundle, Bundle.open(DEFAULT_BUNDLE).manifest).manifest)
    with pytest.raises(BundleError, match=r"found 12 bytes of external data .* which has 11"):
        Bundle.open(bundle)
