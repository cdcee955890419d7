"""Several bundles or devices on one page; and what bench measured of them."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from helpers.bench_records import latency, record
from helpers.evidence import MACHINE, Page

import edge_ser
from edge_ser.report.conclusion import Conclusion
from edge_ser.report.index import IndexRow, index_page
from edge_ser.report.origin import Writing
from edge_ser.report.speed import latency_words, speed_table, speeds_of, typical

HOSTILE = """<script>alert(1)</script>&"'"""
ROW = IndexRow(
    name="tiny", fingerprint="f" * 64, target="onnx-int8", device="Test CPU; onnx",
    size_bytes=1_510_000, latency="10.2 ms for 5 s, 1 thread", ccc=0.999541, vad_max=0.017,
    conclusion=Conclusion("good", "Passed"), page="index-1-tiny.html",
)  # fmt: skip


def test_a_row_has_everything_that_tells_bundles_apart() -> None:
    page = Page(index_page([ROW], Writing(datetime(2026, 1, 2, tzinfo=timezone.utc), MACHINE, "x")))
    for words in (
        "tiny", "f" * 64, "onnx-int8", "Test CPU; onnx", "1.51 MB", "10.2 ms for 5 s, 1 thread",
        "0.999541", "1.7e-02", "passed", "Passed: all 1", "2026-01-02 00:00 UTC",
    ):  # fmt: skip
        assert words in page.text
    assert page.loads == ["a href=index-1-tiny.html"]


@pytest.mark.parametrize(
    ("tones", "words", "tone"),
    [
        (("good", "good"), "Passed: all 2", "good"),
        (("good", "open"), "Not run: a TensorRT engine; the rest passed", "open"),
        (("bad", "open", "good"), "Failed: 1 of 3; do not ship those", "bad"),
    ],
)
def test_the_worst_row_decides(tones: tuple[str, ...], words: str, tone: str) -> None:
    conclusions = [Conclusion(t, "") for t in tones]  # type: ignore[arg-type]
    html = index_page([replace(ROW, conclusion=c) for c in conclusions])
    assert f'class="verdict {tone}"' in html and words in Page(html).text
    if tone != "good":
        assert "Passed: all" not in html


def test_what_is_not_known_is_a_dash() -> None:
    html = index_page([replace(ROW, device="", latency="", ccc=None, vad_max=None, page="")])
    row = html.split("<tbody>")[1]
    assert row.count(">–</td>") == 3 and "not run; proof of the export" in row
    assert Page(html).loads == []


def test_names_are_escaped_and_links_stay_beside_the_page() -> None:
    row = replace(ROW, name=HOSTILE, target=HOSTILE, device=HOSTILE, page="a b?#/&.html")
    page = Page(index_page([row]))
    assert "script" not in page.tags and page.text.count(HOSTILE) == 3
    assert page.loads == ["a href=a%20b%3F%23/%26.html"]


# --- speed


def test_records_are_those_of_the_graph_the_newest_of_each(ser: edge_ser.Recognizer) -> None:
    graph = next(f.sha256 for f in ser.manifest.files if f.path == ser.manifest.graph)
    old, new = (record(sha256=graph, latency=latency(ms)) for ms in (20.0, 10.0))
    elsewhere = replace(new, machine={"processor": "Other CPU"})
    found = speeds_of(ser.manifest, [old, record(sha256="other"), new, elsewhere])
    assert found == [new, elsewhere]


def test_one_utterance_of_about_five_seconds_stands_for_all() -> None:
    records = [
        record(seconds=1.0), record(seconds=5.0, batch=8), record(seconds=4.0, threads=2),
        record(seconds=4.0, latency=latency(12.34)),
    ]  # fmt: skip
    chosen = typical(records)
    assert chosen is records[3]
    assert latency_words(records[3]) == "12.3 ms for 4 s, 1 thread"
    assert typical([]) is None


def test_the_table_has_a_row_per_measurement() -> None:
    table = speed_table([record(seconds=5.0, latency=latency(10.0)), record(seconds=1.0)])
    assert table.count("<tr>") == 3
    for words in ("Test CPU", "5 s", "10.00", "9.80..10.20", "13.00"):
        assert words in table
