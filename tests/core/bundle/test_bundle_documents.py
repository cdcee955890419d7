"""Model card, bill of materials and the note on uses: what they say, and what is checked."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.bundle_files import seal_as_is
from helpers.documents import check_documents, check_schema
from huggingface_hub import ModelCard

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.check import check_bom, read_document
from edge_ser.bundle.documents.facts import NOT_STATED
from edge_ser.bundle.documents.licences import hugging_face, spdx
from edge_ser.bundle.documents.markdown import front_matter, plain, table
from edge_ser.bundle.files import BOM, CARD, DOCUMENTS, TRANSPARENCY
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError

OLD = sorted((Path(__file__).parents[2] / "data" / "bundles-schema-1").glob("*.zip"))


@pytest.fixture(params=[DEFAULT_BUNDLE, *OLD],
                ids=lambda path: path.name)  # fmt: skip
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bundle of each target, sealed by this version."""
    folder = tmp_path / "bundle"
    bundle = Bundle.open(request.param)
    shutil.copytree(bundle.root, folder)
    seal(folder, bundle.manifest)
    return folder


def bom_of(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / BOM).read_text())
    return data


def with_bom(folder: Path, change: Callable[[dict[str, Any]], None]) -> Bundle:
    """The bundle with another bill of materials, whose hash is right."""
    manifest, bom = Bundle.open(folder).manifest, bom_of(folder)
    change(bom)
    (folder / BOM).write_text(json.dumps(bom))
    seal_as_is(folder, manifest)
    return Bundle.open(folder)


# --- what every target's bundle holds


def test_a_bundle_of_each_target_has_a_valid_bom_of_its_files(sealed: Path) -> None:
    check_documents(sealed)
    bundle = Bundle.open(sealed)
    files = bom_of(sealed)["metadata"]["component"]["components"]
    told = {part["name"]: part["hashes"][0]["content"] for part in files}
    assert told == {f.path: f.sha256 for f in bundle.manifest.files if f.path != BOM}


def test_the_head_of_a_card_is_one_that_the_hub_reads(sealed: Path) -> None:
    card = ModelCard((sealed / CARD).read_text())
    manifest = Bundle.open(sealed).manifest
    assert card.data.library_name == "edge-ser"
    assert card.data.pipeline_tag == "audio-classification"
    assert manifest.target in card.data.tags
    assert card.data.license == manifest.licence.lower()
    assert card.text.startswith(f"\n# {manifest.name}")


def test_card_and_note_say_what_the_manifest_says(sealed: Path) -> None:
    manifest = Bundle.open(sealed).manifest
    card, note = ((sealed / name).read_text() for name in (CARD, TRANSPARENCY))
    assert manifest.parity is not None
    for text in (card, note):
        assert f"| {manifest.parity.utterances} |" in text
        assert f"{manifest.preprocessing.max_seconds:g} s; what follows is not heard" in text
        learnt = manifest.provenance.checkpoint.trained_on
        assert f"| speech that it was trained on | {plain(learnt or NOT_STATED)} |" in text
    assert str(manifest.provenance.checkpoint.sha256) in card
    for duty in ("Art. 5(1)(f)", "Art. 50(3)", "**No claim of conformity is made.**"):
        assert duty in note
    engine = manifest.engine
    assert ("| engine |" in card) == (engine is not None)


def test_documents_are_small_and_the_same_again(sealed: Path) -> None:
    before = {name: (sealed / name).read_bytes() for name in DOCUMENTS}
    seal(sealed, Bundle.open(sealed).manifest)
    assert {name: (sealed / name).read_bytes() for name in DOCUMENTS} == before
    assert sum(map(len, before.values())) < 40_000


def test_bundles_of_earlier_versions_have_none_and_that_is_no_fault() -> None:
    for path in OLD:
        bundle = Bundle.open(path)
        assert not set(DOCUMENTS) & {f.path for f in bundle.manifest.files}
        check_bom(bundle)
        with pytest.raises(BundleError, match=r"expected MODEL_CARD\.md, found none, as in"):
            read_document(bundle, CARD)


def test_the_default_bundle_has_the_documents_that_this_version_writes(bundle_dir: Path) -> None:
    seal(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    for name in DOCUMENTS:
        assert (bundle_dir / name).read_text() == (DEFAULT_BUNDLE / name).read_text(), name


# --- what is not known is not invented


def test_what_nobody_said_is_not_stated(bundle_dir: Path) -> None:
    manifest = replace(Bundle.open(bundle_dir).manifest, licence="unknown", architecture={})
    manifest = manifest.with_parts(provenance=Provenance(), parity=None, lowered=None)
    (bundle_dir / "parity.json").unlink()
    seal(bundle_dir, manifest)
    card = (bundle_dir / CARD).read_text()
    for what in (
        "licence of the weights",
        "parameters",
        "speech that it was trained on",
        "kind of checkpoint",
        "made by",
        "SHA-256 of the checkpoint",
        "compared with the checkpoint",
    ):
        assert f"| {what} | {NOT_STATED} |" in card, what
    assert yaml.safe_load(card.split("---")[1])["license"] == "unknown"
    model = bom_of(bundle_dir)["metadata"]["component"]
    assert "licenses" not in model and "timestamp" not in bom_of(bundle_dir)["metadata"]
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == []
    check_schema(bundle_dir)


def test_a_date_that_is_none_is_no_timestamp(bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    seal(bundle_dir, manifest.with_parts(provenance=Provenance(date="yesterday")))
    assert "timestamp" not in bom_of(bundle_dir)["metadata"]
    check_schema(bundle_dir)


def test_libraries_have_the_versions_that_the_bundle_was_proved_with(bundle_dir: Path) -> None:
    origin = Provenance(versions={"edge-ser": "0.1.0", "onnxruntime": "1.30.0"})
    seal(bundle_dir, Bundle.open(bundle_dir).manifest.with_parts(provenance=origin))
    libraries = {c["name"]: c for c in bom_of(bundle_dir)["components"] if c["type"] == "library"}
    assert set(libraries) == {"edge-ser", "numpy", "onnxruntime", "soundfile", "soxr", "tqdm"}
    assert libraries["onnxruntime"]["purl"] == "pkg:pypi/onnxruntime@1.30.0"
    assert "version" not in libraries["soxr"]
    asked = {p["name"]: p["value"] for p in libraries["soxr"]["properties"]}
    assert asked == {"edge-ser:asked for": ">=0.4", "edge-ser:version made with": NOT_STATED}
    assert bom_of(bundle_dir)["dependencies"][0]["dependsOn"] == [
        f"library:{name}" for name in libraries
    ]


def test_speech_of_the_proof_is_data_with_its_hashes(bundle_dir: Path) -> None:
    seal(bundle_dir, Bundle.open(bundle_dir).manifest)
    data = [c for c in bom_of(bundle_dir)["components"] if c["type"] == "data"]
    assert data.pop(0)["description"].startswith("synthetic speech, which no person spoke")
    assert [c["description"] for c in data] == [
        "proof: lengths and files",
        "proof: recorded answers",
    ]
    files = {p["name"]: p["value"] for p in data[0]["data"][0]["contents"]["properties"]}
    hashed = "sha256 8180554dab283822c3d44c8131763d300397572046b9d20cd98629d6114d8bd9"
    assert files["edge-ser:rms_iv_hostile.flac"] == hashed
    refs = bom_of(bundle_dir)["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]
    assert refs == [{"ref": f"data:{name}"} for name in ("training", "proof-1", "proof-2")]


# --- foreign text


@pytest.mark.parametrize("name", ["a|b", "<script>alert(1)</script>", "x\n# y", "---\nlicense: x"])
def test_what_a_manifest_says_stays_text(name: str, bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    origin = Provenance(checkpoint=CheckpointOrigin(kind=name), command=name)
    seal(bundle_dir, replace(manifest, licence=name).with_parts(provenance=origin))
    card = (bundle_dir / CARD).read_text()
    head = ModelCard(card).data
    assert head.license == "other" and head.library_name == "edge-ser"
    body = card.split("\n---\n", 1)[1]
    assert "<script>" not in body and "\n# y" not in body
    rows = [line for line in body.splitlines() if line.startswith("| made by |")]
    assert len(rows) == 1 and rows[0].replace(r"\|", "").count("|") == 3
    check_schema(bundle_dir)


def test_marks_are_escaped_and_lines_stay_lines() -> None:
    assert plain("a_b *c* `d` |e|\n<f>") == r"a\_b \*c\* \`d\` \|e\|\\n\<f\>"
    assert table([("a", "b|c")], ("x", "y")) == "| x | y |\n|---|---|\n| a | b\\|c |"
    head = front_matter({"license": 'a"b: #c', "tags": ["ü", "😀"]})
    assert yaml.safe_load(head.strip("-")) == {"license": 'a"b: #c', "tags": ["ü", "😀"]}


@pytest.mark.parametrize(
    ("licence", "known", "head"),
    [
        ("Apache-2.0", "Apache-2.0", {"license": "apache-2.0"}),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", {"license": "cc-by-nc-sa-4.0"}),
        ("house rules", None, {"license": "other", "license_name": "house rules"}),
        ("", None, {"license": "unknown"}),
    ],
)
def test_a_licence_by_its_names_elsewhere(
    licence: str, known: str | None, head: dict[str, str]
) -> None:
    assert spdx(licence) == known
    assert hugging_face(licence) == head


# --- a bill of materials that is none, or of another bundle


def set_field(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda bom: bom.update({name: value})


def files_of(bom: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = bom["metadata"]["component"]["components"]
    return parts


def wrong_hash(bom: dict[str, Any]) -> None:
    next(p for p in files_of(bom) if p["name"] == "model.onnx")["hashes"][0]["content"] = "0" * 64


def other_algorithm(bom: dict[str, Any]) -> None:
    next(p for p in files_of(bom) if p["name"] == "model.onnx")["hashes"][0]["alg"] = "MD5"


def missing_file(bom: dict[str, Any]) -> None:
    bom["metadata"]["component"]["components"] = files_of(bom)[1:]


def another_file(bom: dict[str, Any]) -> None:
    files_of(bom).append({"type": "file", "name": "more.bin", "hashes": []})


def file_twice(bom: dict[str, Any]) -> None:
    files_of(bom).append(files_of(bom)[0])


def another_model(bom: dict[str, Any]) -> None:
    bom["metadata"]["component"]["name"] = "another"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_field("bomFormat", "SPDX"), "bomFormat: expected one of CycloneDX, found 'SPDX'"),
        (set_field("specVersion", "0.9"), "specVersion: expected one of 1.6, found '0.9'"),
        (set_field("version", "one"), "version: expected a whole number, found 'one'"),
        (set_field("components", "all"), "components: expected a list, found 'all'"),
        (set_field("metadata", {}), "metadata: expected a field `component`, found none"),
        (wrong_hash, r"expected model.onnx with sha256 [0-9a-f]{12}\.\.\., found 000000000000"),
        (other_algorithm, r"expected model.onnx with sha256 [0-9a-f]{12}\.\.\., found none"),
        (missing_file, r"expected MODEL_CARD.md with sha256 [0-9a-f]{12}\.\.\., found none"),
        (another_file, "expected each file of the bundle once, found more.bin"),
        (file_twice, "expected each file of the bundle once, found one of them twice"),
        (another_model, "expected the model emosphere-spectral, found another"),
    ],
)
def test_a_bom_that_is_none_or_of_other_files_is_refused(
    change: Callable[[dict[str, Any]], None],
    words: str,
    bundle_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = with_bom(bundle_dir, change)
    with pytest.raises(BundleError, match=words):
        check_bom(bundle)
    for command in (["verify"], ["inspect"], ["inspect", "--card"]):
        assert main([*command, str(bundle_dir)]) == 2
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1 and BOM in told.err


def test_a_bom_that_is_no_json_is_refused(bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    (bundle_dir / BOM).write_text("<bom/>")
    seal_as_is(bundle_dir, manifest)
    with pytest.raises(BundleError, match=r"bom\.cdx\.json: expected JSON"):
        check_bom(Bundle.open(bundle_dir))


def test_a_bom_beyond_all_measure_is_not_parsed(bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    (bundle_dir / BOM).write_text(" " * (1 << 20) + "{}")
    seal_as_is(bundle_dir, manifest)
    with pytest.raises(BundleError, match="expected at most 1048576 bytes, found 1048578"):
        check_bom(Bundle.open(bundle_dir))


# --- the command


def test_inspect_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--card"]) == 0
    assert capsys.readouterr().out == (DEFAULT_BUNDLE / CARD).read_text()


def test_no_line_of_a_card_is_obeyed_by_a_terminal(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    (bundle_dir / CARD).write_text("# A\n\x1b[2Jverified\r\n")
    bom = bom_of(bundle_dir)
    files_of(bom)[0]["hashes"][0]["content"] = seal_as_is(bundle_dir, manifest).files[0].sha256
    (bundle_dir / BOM).write_text(json.dumps(bom))
    seal_as_is(bundle_dir, manifest)
    assert main(["inspect", "--card", str(bundle_dir)]) == 0
    assert capsys.readouterr().out == "# A\n\\x1b[2Jverified\n"


def test_a_bundle_without_a_card_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--card", str(OLD[0])]) == 2
    assert "expected MODEL_CARD.md, found none, as in bundles of earlier" in capsys.readouterr().err
