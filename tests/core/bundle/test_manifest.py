"""The manifest: written and read back, and every wrong document refused by name."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from edge_ser.audio import Preprocessing
from edge_ser.bundle.evidence import ParitySummary
from edge_ser.bundle.manifest import FileEntry, Manifest, TensorSpec
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.emotion.heads import describe_heads
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError
from edge_ser.fidelity.limits import Limits

MANIFEST = Manifest(
    name="tiny",
    family="emosphere-ser",
    architecture={"summary": "tiny", "config": {"layers": [1, 2]}},
    target="onnx-fp32",
    precision="fp32",
    weight_storage="float16",
    opset=20,
    graph="model.onnx",
    inputs=(
        TensorSpec("samples", "float32", ("batch", "n")),
        TensorSpec("lengths", "int64", ("batch",)),
    ),
    outputs=(
        TensorSpec("vad", "float32", ("batch", 3)),
        TensorSpec("region_logits", "float32", ("batch", 33)),
    ),
    heads=describe_heads(["vad", "region_logits"], Partition(45, 45, 0.25)),
    preprocessing=Preprocessing(
        max_seconds=8.5, short="pad", normalization="utterance", mean=0.125, std=0.5, eps=1e-7
    ),
    partition=Partition(45, 45, 0.25),
    limits=Limits(1e-4, 1e-3),
    licence="CC-BY-4.0",
    files=(FileEntry("model.onnx", 12, "ab" * 32), FileEntry("sub/weights.bin", 3, "cd" * 32)),
).with_parts(
    provenance=Provenance(CheckpointOrigin(assumed=("x",)), "edge-ser export ä"),
    parity=ParitySummary(passed=True, vad_max=1.5e-7),
)
DOCUMENT: dict[str, Any] = json.loads(MANIFEST.to_json())


def read(document: Any) -> Manifest:
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    return Manifest.from_json(text, "m.json")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with one value replaced; `path` such as `files.0.bytes`."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
    place: Any = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return document


def refused(document: Any) -> str:
    with pytest.raises(BundleError) as caught:
        read(document).check_evidence()
    message = str(caught.value)
    assert message.startswith("m.json") and "\n" not in message
    return message


def test_round_trip() -> None:
    assert read(MANIFEST.to_json()) == MANIFEST
    assert read(MANIFEST.to_json().encode()) == MANIFEST
    assert read(read(MANIFEST.to_json()).to_json()) == MANIFEST


def test_the_document_tells_a_reader_in_any_language_what_the_numbers_mean() -> None:
    assert DOCUMENT["schema"] == 2
    dimensions, regions = DOCUMENT["heads"]
    names = ["arousal", "dominance", "valence"]
    assert dimensions == {"kind": "dimensions", "output": "vad", "names": names}
    assert (regions["kind"], regions["output"]) == ("regions", "region_logits")
    assert regions["names"] == [region["name"] for region in DOCUMENT["regions"]]
    assert DOCUMENT["task"]["dimensions"] == ["arousal", "dominance", "valence"]
    assert DOCUMENT["task"]["score_range"] == [1, 7]
    assert len(DOCUMENT["regions"]) == 33
    assert DOCUMENT["regions"][-1] == {"name": "neutral", "temperament": "", "index": 32}


def test_has_region_head() -> None:
    assert MANIFEST.has_region_head
    without = dataclasses.replace(MANIFEST, outputs=MANIFEST.outputs[:1], heads=MANIFEST.heads[:1])
    assert not read(without.to_json()).has_region_head
    assert read(without.to_json()) == without


@pytest.mark.parametrize(
    "field",
    [
        f.name
        for f in dataclasses.fields(Manifest)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ],
)
def test_every_required_field_is_missed_by_name(field: str) -> None:
    document = {k: v for k, v in DOCUMENT.items() if k != field}
    assert f"expected a field `{field}`, found none" in refused(document)


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("inputs.0", "name"),
        ("inputs.1", "dtype"),
        ("outputs.0", "shape"),
        ("limits", "vad"),
        ("limits", "region_logits"),
        ("files.0", "path"),
        ("files.1", "bytes"),
        ("files.1", "sha256"),
    ],
)
def test_nested_fields_are_missed_by_name_and_place(place: str, field: str) -> None:
    value: Any = DOCUMENT
    for part in place.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    message = refused(changed(place, {k: v for k, v in value.items() if k != field}))
    name, _, position = place.partition(".")
    assert (f"{name}[{position}]" if position else name) in message.split(": expected")[0]
    assert f"`{field}`" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", 5),
        ("name", None),
        ("architecture", []),
        ("opset", "20"),
        ("opset", 20.5),
        ("opset", True),
        ("graph", ["model.onnx"]),
        ("inputs", {}),
        ("inputs", [3]),
        ("inputs.0.shape", "batch"),
        ("inputs.0.shape", [1.5]),
        ("outputs.0.name", 1),
        ("preprocessing", None),
        ("preprocessing.sample_rate", "16000"),
        ("preprocessing.sample_rate", 16000.5),
        ("preprocessing.max_seconds", "12"),
        ("preprocessing.max_seconds", True),
        ("preprocessing.short", 0),
        ("partition", [90, 90]),
        ("partition.azimuth_step", 22.5),
        ("partition.neutral_radius", "0.2"),
        ("limits.vad", None),
        ("files", None),
        ("files.0", "model.onnx"),
        ("files.0.path", 1),
        ("files.0.bytes", "12"),
        ("files.0.sha256", None),
        ("provenance", "mine"),
        ("provenance.command", 3),
        ("provenance.checkpoint", "model.pt"),
        ("provenance.checkpoint.assumed", 3),
        ("parity", 3),
        ("parity.passed", "yes"),
        ("parity.vad_max", "small"),
        ("lowered", []),
    ],
)
def test_wrong_types_are_refused_where_they_are(path: str, value: Any) -> None:
    message = refused(changed(path, value))
    names = [part for part in path.split(".") if not part.isdigit()]
    assert names[0] in message and names[-1] in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("outputs.0.shape", ["batch", 4], "vad [batch, 3]"),
        ("outputs.0.shape", [], "vad [batch, 3]"),
        ("outputs.0.name", "scores", "vad [batch, 3]"),
        ("outputs.1.shape", ["batch", 8], "region_logits [batch, 33]"),
        ("preprocessing.sample_rate", 0, "sample_rate"),
        ("preprocessing.sample_rate", 10**400, "sample_rate"),
        ("preprocessing.min_samples", 0, "min_samples"),
        ("preprocessing.max_seconds", 0.001, "max_seconds"),
        ("preprocessing.max_seconds", -1, "max_seconds"),
        ("preprocessing.std", 0, "std"),
        ("preprocessing.short", "skip", "short"),
        ("preprocessing.normalization", "none", "normalization"),
        ("partition.azimuth_step", 50, "partition"),
        ("partition.polar_step", 0, "partition"),
        ("partition.neutral_radius", 2, "partition"),
    ],
)
def test_senseless_values_are_refused(path: str, value: Any, words: str) -> None:
    assert words in refused(changed(path, value))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), 10**400],
    ids=["nan", "inf", "-inf", "beyond float"],
)
@pytest.mark.parametrize(
    "path",
    [
        "preprocessing.max_seconds",
        "preprocessing.mean",
        "preprocessing.std",
        "preprocessing.eps",
        "partition.neutral_radius",
        "limits.vad",
    ],
)
def test_numbers_must_be_finite(path: str, value: float) -> None:
    refused(changed(path, value))


@pytest.mark.parametrize("path", ["limits.vad", "limits.region_logits", "preprocessing.eps"])
def test_limits_and_eps_must_not_be_negative(path: str) -> None:
    refused(changed(path, -1e-3))


GATE = Limits(
    0.15, 1.5, ccc=0.995, pearson=0.99, vad_p99=0.05, angle_mean_degrees=2.0, flip_rate=0.01,
    boundary_margin=0.05, vad_mean=0.01, region_logits_mean=0.2,
)  # fmt: skip


def test_limits_for_lower_precision_are_read_back() -> None:
    manifest = dataclasses.replace(MANIFEST, limits=GATE)
    assert read(manifest.to_json()) == manifest
    assert set(json.loads(manifest.to_json())["limits"]) == {
        f.name for f in dataclasses.fields(Limits)
    }


def test_limits_that_are_not_set_are_not_written() -> None:
    # so that earlier versions, which refuse unknown fields, read what they can verify
    assert DOCUMENT["limits"] == {"vad": 1e-4, "region_logits": 1e-3}
    assert read(DOCUMENT).limits == Limits(1e-4, 1e-3)
    assert read(changed("limits.ccc", None)).limits.ccc is None


def test_margin_is_the_distance_that_may_be_moved_unless_it_is_said() -> None:
    assert Limits(1e-4, 1e-3).margin == Limits(1e-4, 1e-3).distance == pytest.approx(3.464e-4, 1e-3)
    assert GATE.margin == 0.05


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ccc", 1.01),
        ("ccc", -0.5),
        ("ccc", "0.9"),
        ("ccc", True),
        ("pearson", 95),
        ("pearson", float("nan")),
        ("vad_p99", -1e-3),
        ("vad_p99", float("inf")),
        ("vad_p99", [0.05]),
        ("angle_mean_degrees", -2),
        ("flip_rate", 1.5),
        ("flip_rate", -0.1),
        ("flip_rate", None),
        ("flip_rate", float("nan")),
        ("boundary_margin", -0.05),
        ("boundary_margin", 10**400),
    ],
)
def test_senseless_limits_are_refused_by_name(field: str, value: Any) -> None:
    message = refused(changed(f"limits.{field}", value))
    assert "limits" in message and field in message


@pytest.mark.parametrize("version", [3, 17])
def test_a_newer_schema_asks_for_an_upgrade(version: int) -> None:
    message = refused(changed("schema", version))
    assert f"expected manifest schema 2, found schema {version}; upgrade edge-ser" in message


@pytest.mark.parametrize("version", [0, "1", None, [1], 0.5])
def test_another_schema_asks_for_an_export(version: Any) -> None:
    message = refused(changed("schema", version))
    assert "expected manifest schema 2" in message and "export the model again" in message


def test_a_newer_schema_is_named_before_its_unknown_fields() -> None:
    assert "upgrade" in refused(changed("schema", 3) | {"quantisation": {}})


def test_a_missing_schema_or_task_is_refused() -> None:
    for field in ("schema", "task"):
        assert field in refused({k: v for k, v in DOCUMENT.items() if k != field})


@pytest.mark.parametrize("path", ["colour", "preprocessing.colour", "files.0.colour"])
def test_unknown_fields_are_named(path: str) -> None:
    message = refused(changed(path, "red"))
    assert "expected known fields only, found colour" in message


@pytest.mark.parametrize(
    "dimensions",
    [
        ["valence", "arousal", "dominance"],
        ["arousal", "valence", "dominance"],
        ["arousal", "dominance"],
        "arousal, dominance, valence",
        None,
    ],
)
def test_another_order_of_dimensions_is_refused(dimensions: Any) -> None:
    message = refused(changed("task.dimensions", dimensions))
    assert "task.dimensions ['arousal', 'dominance', 'valence']" in message


@pytest.mark.parametrize(
    "text",
    ["", "{", "nonsense", '{"schema": 1,}', b"\xff\xfe{", b"\x00" * 40, b"\x80\x81"],
)
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    assert "expected JSON" in refused(text)


@pytest.mark.parametrize("document", [[], "text", 3, None, True])
def test_json_that_is_no_object_is_refused(document: Any) -> None:
    assert "expected a JSON object" in refused(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, '{"schema": ' + "9" * 5000 + "}"],
    ids=["lists", "objects", "digits"],
)
def test_json_made_to_exhaust_the_reader_is_refused(text: str) -> None:
    refused(text)
