"""Heads in the manifest: described, derived for documents of schema 1, and refused where wrong."""

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import MANIFEST
from edge_ser.bundle.manifest import Manifest
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.heads import Head
from edge_ser.errors import BundleError

DIMENSIONS = Head("dimensions", "vad", ("arousal", "dominance", "valence"))
OCTANTS = Head("regions", "region_logits", ("I", "II", "III", "IV", "V", "VI", "VII", "VIII"))
DATA = Path(__file__).resolve().parents[2] / "data"
with zipfile.ZipFile(DATA / "bundles-schema-1" / "onnx-fp32.zip") as archive:
    (_name,) = [name for name in archive.namelist() if name.endswith(MANIFEST)]
    OLD: dict[str, Any] = json.loads(archive.read(_name))
NEW: dict[str, Any] = json.loads(Manifest.from_json(json.dumps(OLD), "m.json").to_json())


def read(document: Any) -> Manifest:
    return Manifest.from_json(json.dumps(document), "m.json")


def refused(document: Any) -> str:
    with pytest.raises(BundleError) as caught:
        read(document)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_document_of_schema_1_has_the_heads_that_its_outputs_stand_for() -> None:
    assert OLD["schema"] == 1 and "heads" not in OLD
    assert read(OLD).heads == (DIMENSIONS, OCTANTS)
    assert read(OLD).has_region_head


def test_it_is_written_as_schema_2_and_says_the_same() -> None:
    assert NEW["schema"] == 2
    assert NEW["heads"] == [
        {"kind": "dimensions", "output": "vad", "names": ["arousal", "dominance", "valence"]},
        {"kind": "regions", "output": "region_logits", "names": list(OCTANTS.names)},
    ]
    assert read(NEW) == read(OLD)


def test_names_are_those_of_the_partition() -> None:
    old = copy.deepcopy(OLD)
    old["partition"]["neutral_radius"] = 0.2
    old["outputs"][1]["shape"] = ["batch", 9]
    assert read(old).heads[1].names == (*OCTANTS.names, "neutral")


@pytest.mark.parametrize("document", [OLD, NEW], ids=["schema 1", "schema 2"])
def test_a_model_of_dimensions_only(document: dict[str, Any]) -> None:
    alone = document | {"outputs": document["outputs"][:1]}
    if "heads" in document:
        alone["heads"] = document["heads"][:1]
    assert read(alone).heads == (DIMENSIONS,)
    assert not read(alone).has_region_head


def test_an_output_that_no_head_explains_is_no_error() -> None:
    extra = {"name": "dialect", "dtype": "float32", "shape": ["batch", 4]}
    manifest = read(NEW | {"outputs": [*NEW["outputs"], extra]})
    assert manifest.heads == (DIMENSIONS, OCTANTS)


@pytest.mark.parametrize(
    ("position", "changes", "words"),
    [
        (
            1,
            {"kind": "odour"},
            "heads[1]: kind: expected one of dimensions, regions, categories, found odour",
        ),
        (1, {"kind": 3}, "heads[1]: kind: expected text, found 3"),
        (0, {"output": "scores"}, "heads[0]: output: expected vad, found scores"),
        (0, {"names": ["arousal"]}, "heads[0]: names: expected 3 names, found 1"),
        (1, {"names": ["I"] * 9}, "heads[1]: names: expected 8 names, found 9"),
        (1, {"names": "I"}, "heads[1]: names: expected a list, found 'I'"),
        (
            0,
            {"names": ["valence", "arousal", "dominance"]},
            "heads[0]: names[0]: expected arousal, found valence",
        ),
        (1, {"scale": 2}, "heads[1]: expected known fields only, found scale"),
    ],
)
def test_a_wrong_head_is_refused_by_its_path(
    position: int, changes: dict[str, Any], words: str
) -> None:
    document = copy.deepcopy(NEW)
    document["heads"][position] |= changes
    assert refused(document).startswith(f"m.json: {words}")


@pytest.mark.parametrize("field", ["kind", "output", "names"])
def test_a_missing_field_is_refused_by_its_path(field: str) -> None:
    document = copy.deepcopy(NEW)
    del document["heads"][1][field]
    assert f"m.json: heads[1]: expected a field `{field}`, found none" in refused(document)


@pytest.mark.parametrize("document", [OLD, NEW], ids=["schema 1", "schema 2"])
def test_an_output_of_another_width_is_refused(document: dict[str, Any]) -> None:
    wide = copy.deepcopy(document)
    wide["outputs"][1]["shape"] = ["batch", 9]
    assert refused(wide) == (
        "m.json: outputs: expected region_logits [batch, 8] for the head regions, "
        "found vad ['batch', 3], region_logits ['batch', 9]"
    )


def test_a_head_of_a_missing_output_is_refused() -> None:
    assert refused(NEW | {"outputs": NEW["outputs"][:1]}) == (
        "m.json: outputs: expected region_logits [batch, 8] for the head regions, "
        "found vad ['batch', 3]"
    )


@pytest.mark.parametrize("document", [OLD, NEW], ids=["schema 1", "schema 2"])
def test_a_model_without_dimensions_is_refused(document: dict[str, Any]) -> None:
    assert refused(document | {"outputs": document["outputs"][1:]}) == (
        "m.json: outputs: expected vad [batch, 3] for the head dimensions, "
        "found region_logits ['batch', 8]"
    )


@pytest.mark.parametrize(
    ("heads", "kinds"),
    [
        ([], "none"),
        ([1], "regions"),
        ([0], "dimensions"),
        ([0, 1, 1], "dimensions, regions, regions"),
    ],
)
def test_each_output_with_a_meaning_has_its_head_once(heads: list[int], kinds: str) -> None:
    message = refused(NEW | {"heads": [NEW["heads"][i] for i in heads]})
    assert message == f"m.json: heads: expected one each of dimensions, regions, found {kinds}"


def test_the_bundle_in_the_package_has_both_heads() -> None:
    assert Bundle.open(DEFAULT_BUNDLE).manifest.heads == (DIMENSIONS, OCTANTS)


# --- categories

NAMES = ["angry", "happy", "sad"]
CATEGORIES: dict[str, Any] = {
    **NEW,
    "task": {"categories": NAMES},
    "heads": [{"kind": "categories", "output": "category_logits", "names": NAMES}],
    "outputs": [{"name": "category_logits", "dtype": "float32", "shape": ["batch", 3]}],
}


def test_a_model_of_categories_needs_no_dimensions() -> None:
    manifest = read(CATEGORIES)
    assert manifest.categories == tuple(NAMES)
    assert not manifest.has_dimensions
    again = json.loads(manifest.to_json())
    assert "regions" not in again
    assert again["task"] == {"categories": NAMES, "probabilities": "softmax(category_logits)"}
    assert read(again) == manifest


def test_a_model_may_have_both() -> None:
    both = NEW | {
        "heads": [*NEW["heads"], *CATEGORIES["heads"]],
        "outputs": [*NEW["outputs"], *CATEGORIES["outputs"]],
    }
    manifest = read(both)
    assert manifest.has_dimensions and manifest.has_region_head
    assert manifest.categories == tuple(NAMES)
    task = json.loads(manifest.to_json())["task"]
    assert task["dimensions"] == ["arousal", "dominance", "valence"]
    assert task["categories"] == NAMES


@pytest.mark.parametrize(
    ("names", "found"), [(["a", "a", "b"], "a, a, b"), (["a", "", "b"], "a, , b")]
)
def test_categories_have_names_of_their_own(names: list[str], found: str) -> None:
    head = CATEGORIES["heads"][0] | {"names": names}
    assert refused(CATEGORIES | {"heads": [head]}) == (
        f"m.json: heads[0]: names: expected several, each of its own, found {found}"
    )


def test_as_many_names_as_outputs() -> None:
    head = CATEGORIES["heads"][0] | {"names": NAMES[:2]}
    assert refused(CATEGORIES | {"heads": [head]}) == (
        "m.json: outputs: expected category_logits [batch, 2] for the head categories, "
        "found category_logits ['batch', 3]"
    )
