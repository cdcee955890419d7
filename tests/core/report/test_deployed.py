"""Is the deployed model the trained one: what the page answers, and from where."""

from dataclasses import replace

import pytest
from helpers.evidence import FP32, INT8, Page, device_run, document, evidence

import edge_ser
from edge_ser.bundle.evidence import Lowering
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.report.data import read_evidence
from edge_ser.report.deployed import Evident, evident
from edge_ser.report.page import page

PAIRS = [((0.2, 0.3, 0.4), (0.2, 0.3, 0.5)), ((0.6, 0.3, 0.4), (0.6, 0.3, 0.4))]
SPEECH = {
    "lengths": {"source": "the package's samples", "files": [["a.flac", "1" * 64]]},
    "agreement": {"source": "call centre", "files": [["b.wav", "2" * 64], ["c.wav", "3" * 64]]},
    "recorded": {"source": "the package's clips", "files": [["d.flac", "4" * 64]]},
}
ORIGIN = Provenance(CheckpointOrigin("edge-ser", "c" * 64), "edge-ser export spectral")


@pytest.fixture(scope="module")
def manifest(ser: edge_ser.Recognizer) -> Manifest:
    return replace(ser.manifest, name="tiny", limits=FP32).with_parts(provenance=ORIGIN)


def about(rows: list[Evident], words: str) -> Evident:
    (row,) = (row for row in rows if words in row.question)
    return row


def test_each_question_has_its_figure_and_its_place(manifest: Manifest) -> None:
    told = read_evidence(document() | {"speech": SPEECH}, "x")
    rows = evident(manifest, told, fingerprint="f" * 64)
    assert about(rows, "trained?").figure == f"sha256 {'c' * 64}"
    assert about(rows, "derived").figure == "edge-ser export spectral; precision not lowered"
    answers = about(rows, "trained model's answers")
    assert answers.figure == "1 comparisons: at most 0.0e+00 apart, limit 1e-04"
    assert answers.place == "parity.json: utterances, groups"
    data = about(rows, "test data")
    words = (
        "1 files of the package's samples, 2 files of call centre, 1 files of the package's clips"
    )
    assert data.figure == words
    assert about(rows, "labels").figure == "no labels were given"
    assert about(rows, "device").figure == "not run for this page"
    delivered = about(rows, "delivered")
    assert delivered.figure == f"fingerprint {'f' * 64}"
    assert delivered.place == "manifest.json: files; bom.cdx.json"


def test_a_failed_proof_is_said_to_have_failed(manifest: Manifest) -> None:
    rows = evident(manifest, evidence(PAIRS))
    assert about(rows, "answers").figure.endswith("at most 1.0e-01 apart, limit 1e-04; FAILED")


def test_a_recipe_and_a_judged_agreement_are_shown(manifest: Manifest) -> None:
    lowered = replace(manifest, limits=INT8).with_parts(lowered=Lowering(recipe="static"))
    same = [((0.1 * i, 0.3, 0.4), (0.1 * i, 0.3, 0.4)) for i in range(8)]
    rows = evident(lowered, evidence(same, INT8, labelled=True))
    assert about(rows, "derived").figure.endswith("recipe: static")
    assert about(rows, "as a whole").figure.endswith(", limit 0.995")
    labels = about(rows, "labels").figure
    assert labels.startswith("arousal ") and labels.endswith("(8 utterances)")


def test_devices_answer_for_themselves(manifest: Manifest) -> None:
    here = device_run("recorded", (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    there = device_run("recorded", (0.1, 0.2, 0.3), (0.1, 0.2, 0.8))
    figure = about(evident(manifest, evidence(), [here, there]), "device").figure
    assert figure.count("passed, at most 0.0e+00 apart") == 1
    assert "FAILED, at most 5.0e-01 apart" in figure


def test_a_comparison_made_here_is_not_taken_for_the_record(manifest: Manifest) -> None:
    rows = evident(manifest, evidence(), reference="c" * 64)
    assert about(rows, "answers").place.startswith("this page, run with --reference")
    assert about(rows, "trained?").figure == f"sha256 {'c' * 64}"
    other = evident(manifest, evidence(), reference="d" * 64)
    assert about(other, "trained?").figure.endswith("another than it was exported from")


def test_the_page_has_the_table_and_claims_no_process(manifest: Manifest) -> None:
    html = page(manifest, evidence(), fingerprint="f" * 64)
    assert "Is the deployed model the trained one?" in Page(html).text
    assert "for its assessors to say" in html
    columns = {"evidence", "figure", "where in the bundle"}
    assert all(html.count(f'data-column="{name}"') == 8 for name in columns)
