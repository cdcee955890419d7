"""What a page says for who signs it, and that its limits are seen on narrow screens, too."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from helpers.evidence import FP32, INT8, Page, device_run, document, evidence, rows
from helpers.manifest_parts import part

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Lowering, ParitySummary, RuntimeProof
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.emotion.sphere import Partition
from edge_ser.host.facts import Machine
from edge_ser.report.data import read_evidence
from edge_ser.report.origin import Writing, bundle_rows, writing_rows
from edge_ser.report.page import page, write_report

HOSTILE = "<script>alert(1)</script>"
MACHINE = Machine("Linux", "aarch64", "Cortex-A76", ("asimddp", "i8mm"), 4, "3.12.1")
WRITTEN = Writing(datetime(2031, 5, 6, 7, 8, tzinfo=UTC), MACHINE, "onnx (onnxruntime 9.9.9)")
PROVENANCE = {
    "checkpoint": {"kind": "emosphere-run", "sha256": "ab" * 32, "assumed": ["strides", "norms"]},
    "command": "edge-ser export run --target onnx-int8",
    "versions": {"edge-ser": "0.1.0", "torch": "2.13.0"},
    "python": "3.11.7",
    "machine": "x86_64",
}
SPEED = {"speedup": 1.617, "baseline_ms": 6.26, "candidate_ms": 3.85, "seconds": 5.0}
ELSEWHERE = {"openvino": {"precision": "bf16", "vad_max": 0.0123, "times_onnx": 1.31}}


@pytest.fixture(scope="module")
def manifest(ser: edge_ser.Recognizer) -> Manifest:
    origin = part(Provenance, PROVENANCE)
    tiny = replace(ser.manifest, name="tiny", limits=FP32, partition=Partition())
    return tiny.with_parts(provenance=origin)


def test_when_and_where_the_page_was_written(manifest: Manifest) -> None:
    run = device_run("single", (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    html = page(manifest, evidence(), runs=[run], written=WRITTEN)
    table, text = rows(html), Page(html).text
    assert "2031-05-06 07:08 UTC" in table["written"]
    assert "aarch64, Cortex-A76, Linux, 4 logical cores" in table["on"]
    assert "asimddp, i8mm" in table["instructions"]
    assert "onnx (onnxruntime 9.9.9), Python 3.12.1" in table["run by"]
    assert "the recorded answers, on the device; the checkpoint itself, when" in table["against"]
    assert text.index("Passed") < text.index("This page") < text.index("This bundle")
    assert text.index("This bundle") < text.index("Comparison with the reference")


def test_the_date_is_that_of_greenwich() -> None:
    date = datetime(2031, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    assert dict(writing_rows(replace(WRITTEN, date=date)))["written"] == "2030-12-31 16:30 UTC"


def test_what_a_machine_does_not_tell_is_left_out() -> None:
    bare = Machine("Windows", "AMD64", "", (), 1, "3.11.0")
    found = dict(writing_rows(replace(WRITTEN, machine=bare)))
    assert found["on"] == "AMD64, Windows, 1 logical core"
    assert "instructions" not in found


def test_a_comparison_made_now_names_its_checkpoint() -> None:
    found = dict(writing_rows(replace(WRITTEN, reference="cd" * 32)))
    assert found["against"] == f"the checkpoint sha256 {'cd' * 32}, here and now"


def test_a_page_without_its_writing_does_not_say(manifest: Manifest) -> None:
    html = page(manifest, evidence())
    assert "This page" not in html and "UTC" not in html
    assert "This bundle" in html


def test_where_the_bundle_came_from(manifest: Manifest) -> None:
    html = page(manifest, evidence())
    table = rows(html)
    assert f"emosphere-run, sha256 {'ab' * 32}<" in table["checkpoint"]  # whole: to be compared
    assert "edge-ser export run --target onnx-int8" in table["made by"]
    assert "edge-ser 0.1.0, torch 2.13.0, Python 3.11.7, x86_64" in table["with"]
    assert "strides" in Page(html).text and "norms" in Page(html).text
    assert "speed" not in table and "in openvino" not in table


def test_speed_and_other_runtimes_where_they_are_recorded(manifest: Manifest) -> None:
    lowered = manifest.with_parts(
        lowered=part(Lowering, {"speed": SPEED}),
        parity=part(ParitySummary, {"passed": True, "runtimes": ELSEWHERE}),
    )
    found = dict(bundle_rows(lowered))
    assert found["speed"] == (
        "1.62x float32 where it was made: 3.9 ms instead of 6.3 ms for 5 s of speech, one thread"
    )
    assert found["in openvino"] == (
        "passed, VAD within 1.2e-02, the rest computed in bf16; "
        "1.31x the speed of onnx where it was made"
    )
    assert "1.62x float32" in rows(page(lowered, evidence()))["speed"]


@pytest.mark.parametrize("field", [*PROVENANCE, "speed"])
def test_a_page_tells_what_is_recorded_and_leaves_out_the_rest(
    field: str, manifest: Manifest
) -> None:
    recorded = {k: v for k, v in PROVENANCE.items() if k != field}
    less = manifest.with_parts(
        provenance=part(Provenance, recorded),
        lowered=part(Lowering, {"speed": {"candidate_ms": 3.85}}),
        parity=ParitySummary(),
    )
    Page(page(less, evidence(), written=WRITTEN))
    assert "speed" not in dict(bundle_rows(less))


def test_nothing_is_recorded(manifest: Manifest) -> None:
    nothing = manifest.with_parts(provenance=Provenance(), lowered=None, parity=None)
    found = dict(bundle_rows(nothing))
    assert found == {"checkpoint": "unknown, sha256 unknown", "made by": "unknown"}


def test_what_strangers_wrote_is_escaped(manifest: Manifest) -> None:
    odd = manifest.with_parts(
        provenance=Provenance(
            CheckpointOrigin(HOSTILE, HOSTILE, (HOSTILE,)),
            command=HOSTILE,
            versions={HOSTILE: HOSTILE},
            python=HOSTILE,
            machine=HOSTILE,
        ),
        parity=ParitySummary(runtimes={HOSTILE: RuntimeProof(precision=HOSTILE)}),
    )
    written = replace(WRITTEN, runtime=HOSTILE, machine=replace(MACHINE, processor=HOSTILE))
    read = Page(page(odd, evidence(), written=written))
    assert "script" not in read.tags and read.loads == []
    assert read.text.count(HOSTILE) >= 12


def test_the_writing_is_on_the_page_that_is_written(bundle_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    write_report(path, Bundle.open(bundle_dir), evidence(), written=WRITTEN)
    assert "2031-05-06 07:08 UTC" in path.read_text(encoding="utf-8")


# --- narrow screens: rows of measures become blocks, in which each value needs its column's name


def test_every_measure_tells_its_group_and_its_limit(manifest: Manifest) -> None:
    data = document([((0.2, 0.3, 0.4), (0.2, 0.3, 0.5))] * 2, INT8)
    data["groups"]["padded & <more>"] = data["groups"]["single"] | {"ccc": None}
    low = replace(manifest, limits=INT8)
    here = device_run("single", (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    html = page(low, read_evidence(data, "x"), runs=[here])
    tables = [t.split("</table>")[0] for t in html.split('<table class="measures"')[1:]]
    assert len(tables) == 2
    for table, groups in zip(tables, (["single", "padded & <more>"], ["single"]), strict=True):
        body = table.split("<tbody")[1]
        for row in body.split("<tr")[1:]:
            columns = re.findall(r'<td[^>]*data-column="([^"]*)"', row)
            names = [c.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                     for c in columns]  # fmt: skip
            assert names == [*groups, "limit"]
            assert row.count("<td") == len(columns) == row.count('role="cell"')
    # an empty cell has no "limit" before nothing
    assert '<td class="limit" role="cell" data-column="limit"></td>' in tables[0]
    assert ">0.15</td>" in tables[0]


def test_the_style_names_the_columns_on_narrow_screens(manifest: Manifest) -> None:
    narrow = page(manifest, evidence()).split("@media (max-width: 40rem)")[1]
    for rule in (".measures tr { display: grid;", "content: attr(data-column)", "td.limit:empty"):
        assert rule in narrow
