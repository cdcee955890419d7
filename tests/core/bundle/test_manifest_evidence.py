"""The manifest's evidence: typed, written as it was, and open to what later versions add."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers.manifest_parts import part
from test_manifest import DOCUMENT, read

from edge_ser.bundle.evidence import Attempt, Lowering, ParitySummary, SpeedRecord
from edge_ser.bundle.manifest import Manifest
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

DATA = Path(__file__).parents[2] / "data"
INT8: dict[str, Any] = {
    "recipe": "static, log-mel in float32",
    "passes": ["name_nodes"],
    "graph": {"before": {"operators": {"Add": 2}, "bytes": 9}, "after": {"operators": {}}},
    "calibration": {"source": "own", "fit": 8, "judge": 8, "fingerprint": "ab"},
    "cpu": {"name": "x86-vnni", "instructions": "AVX-512 VNNI", "weight_bits": 8},
    "kept_in_float32": [],
    "integer_share": {"encoder": 1.0, "rest": {"pooling": 0.1}},
    "speed": {"seconds": 5, "speedup": 1.6, "baseline_ms": 3.2, "candidate_ms": 2.0},
    "candidates": [{"recipe": "dynamic", "passed": False, "failures": ["no"], "speed": None}],
    "loudest": [{"value": "mul", "magnitude": 12.5}],
}


def test_the_default_bundles_manifest_is_written_as_it_was() -> None:
    text = (DEFAULT_BUNDLE / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.from_json(text, "default").to_json() == text


def test_an_earlier_manifest_is_written_as_it_was_with_its_heads_named() -> None:
    with zipfile.ZipFile(DATA / "bundles-schema-1" / "onnx-fp32.zip") as bundle:
        (name,) = [n for n in bundle.namelist() if n.endswith("manifest.json")]
        text = bundle.read(name).decode()
    assert json.loads(text)["schema"] == 1
    written = json.loads(Manifest.from_json(text, "earlier").to_json())
    heads = written.pop("heads")
    assert [head["kind"] for head in heads] == ["dimensions", "regions"]
    assert written == json.loads(text) | {"schema": 2}


def test_evidence_of_a_lowered_bundle_is_typed_and_written_again() -> None:
    manifest = read({**DOCUMENT, "lowered": INT8})
    lowered = manifest.lowered
    assert lowered is not None and lowered.cpu is not None and lowered.integer_share is not None
    assert (lowered.cpu.name, lowered.integer_share.encoder) == ("x86-vnni", 1.0)
    assert lowered.candidates == (Attempt("dynamic", passed=False, failures=("no",)),)
    assert lowered.kept_in_float32 == () and lowered.kept_in_float16 is None
    written = json.loads(manifest.to_json())["lowered"]
    assert written == INT8
    # made anew, without the speed that was not measured
    anew = json.loads(manifest.with_parts(lowered=lowered).to_json())["lowered"]
    expected = INT8 | {"candidates": [{"recipe": "dynamic", "passed": False, "failures": ["no"]}]}
    assert anew["graph"]["after"] == {"operators": {}}
    for name, value in expected.items():
        if name not in ("calibration", "graph"):
            assert anew[name] == value, name
    assert read({**DOCUMENT, "lowered": anew}).lowered == lowered


@pytest.mark.parametrize(
    ("recipe", "in_the_run"),
    [("dynamic, log-mel in float32", True), ("static", False), ("weights", False), (None, False)],
)
def test_whether_scales_are_measured_in_the_run_is_told_by_earlier_versions_recipes(
    recipe: str | None, in_the_run: bool
) -> None:
    assert Lowering(recipe).scales_in_the_run is in_the_run
    assert not Lowering(recipe, scales="constant").scales_in_the_run
    assert Lowering(recipe, scales="run").scales_in_the_run


def test_what_a_later_version_adds_is_skipped_and_what_an_earlier_one_lacks_has_defaults() -> None:
    assert part(Lowering, {"speed": {"speedup": 2, "judged": True}, "weather": "mild"}) == Lowering(
        speed=SpeedRecord(speedup=2.0)
    )
    assert part(ParitySummary, {"passed": True, "mood": "good"}) == ParitySummary(passed=True)


def test_what_was_just_made_has_a_place_for_everything() -> None:
    assert Lowering.from_dict({"recipe": "weights", "speed": None}) == Lowering("weights")
    for record in ({"mood": "good"}, {"speed": {"speedup": 2.0, "mood": "good"}}):
        with pytest.raises(BundleError, match="lowered: expected known fields only, found "):
            Lowering.from_dict(record)


def test_parts_that_are_not_there_are_none() -> None:
    manifest = read({**DOCUMENT, "parity": {}, "lowered": {}})
    assert manifest.parity is None and manifest.lowered is None
    written = json.loads(manifest.to_json())
    assert (written["parity"], written["lowered"], "engine" in written) == ({}, {}, False)
