"""`edge-ser report`: a page about one bundle, and an index of several bundles and devices."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bench_records import record
from helpers.bundle_files import listing
from helpers.evidence import Page

from edge_ser.bench.records import append
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.host.facts import this_machine

Cli = Callable[..., Any]
ONE = ("--threads", "1")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "index.html"


@pytest.fixture
def device(cli: Cli, tmp_path: Path) -> Path:
    """What verify printed on another device."""
    result = json.loads(cli("verify", DEFAULT_BUNDLE, "--json", *ONE).out)
    result["machine"] |= {"processor": "Other CPU", "architecture": "aarch64"}
    path = tmp_path / "device.json"
    path.write_text(json.dumps(result))
    return path


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_one_bundle_has_a_page(cli: Cli, out: Path) -> None:
    done = cli("report", DEFAULT_BUNDLE, "-o", out, *ONE)
    assert (done.code, done.err) == (0, "") and done.out == f"report: {out}\n"
    text = Page(read(out)).text
    for words in ("Passed", "On this device", "To sign", Bundle.open(DEFAULT_BUNDLE).fingerprint):
        assert words in text
    assert listing(out.parent) == ["index.html"]


def test_results_of_other_devices_are_on_the_page(cli: Cli, out: Path, device: Path) -> None:
    assert cli("report", DEFAULT_BUNDLE, device, "-o", out, *ONE).code == 0
    text = Page(read(out)).text
    assert "On device 1" in text and "On device 2" in text and "aarch64, Other CPU" in text
    assert cli("report", DEFAULT_BUNDLE, device, "-o", out, "--no-run").code == 0
    text = Page(read(out)).text
    assert "On this device" in text and "aarch64, Other CPU" in text
    assert str(this_machine()) not in text.split("On this device")[1].split("Scores")[0]


def test_several_have_an_index_with_links_to_their_pages(
    cli: Cli, out: Path, bundle_dir: Path, device: Path
) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    seal(bundle_dir, replace(manifest, name="another"))
    assert cli("report", DEFAULT_BUNDLE, bundle_dir, device, "-o", out, *ONE).code == 0
    pages = [f"index-1-{DEFAULT_BUNDLE.name}.html", "index-2-bundle.html"]
    assert listing(out.parent) == sorted([*pages, "index.html"])
    html = read(out)
    index = Page(html)
    # the default bundle here and on the device, the other here
    assert index.loads == [f"a href={p}" for p in (pages[0], pages[0], pages[1])]
    for path in (DEFAULT_BUNDLE, bundle_dir):
        assert Bundle.open(path).fingerprint in index.text
    assert "another" in index.text and "aarch64, Other CPU" in index.text
    assert html.count(">passed</td>") == 3 and "Passed: all 3" in index.text
    assert f"{Bundle.open(DEFAULT_BUNDLE).size_bytes / 1e6:.2f} MB" in index.text
    for page in pages:
        assert "To sign" in read(out.with_name(page))


def test_a_result_whose_bundle_is_not_here_has_a_row(cli: Cli, out: Path, device: Path) -> None:
    result = json.loads(device.read_text())
    failed = result | {"passed": False, "failures": ["single: far off"], "fingerprint": "a" * 64}
    device.write_text(json.dumps(failed))
    done = cli("report", device, "-o", out)
    assert done.code == 1 and "single: far off" in done.err and "do not ship it" in done.err
    index = Page(read(out))
    assert "failed" in index.text and "a" * 64 in index.text and index.loads == []


def test_what_fails_here_is_written_and_exits_with_1(cli: Cli, out: Path, bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    golden = bundle.golden()
    moved = Outputs.of(golden.reference.vad + np.float32(0.01), golden.reference.region_logits)
    replace(golden, reference=moved).save(bundle_dir / "golden.npz")
    seal(bundle_dir, bundle.manifest)
    done = cli("report", bundle_dir, "-o", out, *ONE)
    assert done.code == 1 and "this device, recorded: VAD differs by" in done.err
    assert "Failed: do not ship it" in read(out)


def test_latencies_of_bench_are_shown(cli: Cli, out: Path, tmp_path: Path, device: Path) -> None:
    manifest = Bundle.open(DEFAULT_BUNDLE).manifest
    graph = next(f.sha256 for f in manifest.files if f.path == manifest.graph)
    processor = {"processor": this_machine().processor or "unknown"}
    history = tmp_path / "speed.jsonl"
    append(history, [record(sha256=graph, seconds=5.0, machine=processor), record(sha256="other")])
    given = ("--bench", history, *ONE)
    assert cli("report", DEFAULT_BUNDLE, "-o", out, *given).code == 0
    assert "Speed" in Page(read(out)).text and "5 s" in read(out)
    assert cli("report", DEFAULT_BUNDLE, DEFAULT_BUNDLE, device, "-o", out, *given).code == 0
    assert " ms for 5 s, 1 thread" in read(out)
    # of another processor there is no latency
    other = read(out).split("Other CPU")[1].split("</tr>")[0]
    assert " ms for" not in other


def test_bundles_of_earlier_versions_have_pages_too(cli: Cli, out: Path) -> None:
    old = sorted((Path(__file__).parents[1] / "data" / "bundles-schema-1").glob("*.zip"))
    assert len(old) >= 6
    assert cli("report", *old, "-o", out, "--no-run").code == 0
    for number, bundle in enumerate(old, 1):
        html = read(out.with_name(f"index-{number}-{bundle.stem}.html"))
        tone = "open" if bundle.stem.startswith("trt") else "good"
        assert f'class="verdict {tone}"' in html and "✗" not in html
    html = read(out)
    assert html.count(">engine not run</td>") == sum(b.stem.startswith("trt") for b in old)
    assert html.count("not run; proof of the export") == len(old)


# --- refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "report: expected a BUNDLE or a RESULT.json, found none"),
        ([DEFAULT_BUNDLE, "-o", "page.docx"], "expected a name that ends in .html or .pdf"),
        ([DEFAULT_BUNDLE, "-o", "no/page.html"], "expected an existing folder"),
        (["none.json"], "expected a result of edge-ser verify --json, found no such file"),
        ([DEFAULT_BUNDLE, "--bench", "none.jsonl"], "expected a history of edge-ser bench"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[object], words: str, cli: Cli, out: Path
) -> None:
    given = arguments if "-o" in arguments else [*arguments, "-o", out]
    assert words in cli("report", *given).error()
    assert listing(out.parent) == []


def test_a_damaged_bundle_leaves_no_page_of_the_others(
    cli: Cli, out: Path, bundle_dir: Path
) -> None:
    (bundle_dir / "model.onnx").write_bytes(b"")
    assert "altered" in cli("report", DEFAULT_BUNDLE, bundle_dir, "-o", out).error()
    assert listing(out.parent) == []


# --- PDF


def test_without_a_browser_a_pdf_is_refused_with_the_remedy(
    cli: Cli, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(out.parent))
    monkeypatch.setattr("edge_ser.report.pdf._PROGRAMS", ("chromium", "google-chrome"))
    for command in (
        ("report", DEFAULT_BUNDLE, "-o", out.with_suffix(".pdf")),
        ("verify", DEFAULT_BUNDLE, "--report", out.with_suffix(".pdf")),
    ):
        line = cli(*command).error()
        assert "expected Chromium, Chrome or Edge, which print it, found none" in line
        assert "write report.html instead and print it to PDF from any browser" in line
    assert listing(out.parent) == []


def test_a_browser_that_prints_nothing_is_an_error(
    cli: Cli, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setattr("edge_ser.report.pdf._PROGRAMS", (false,))
    line = cli("report", DEFAULT_BUNDLE, "-o", out.with_suffix(".pdf"), *ONE).error()
    assert "expected a page printed by" in line and "exit code 1" in line
    assert listing(out.parent) == []


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser")
def test_a_pdf_is_one(cli: Cli, out: Path) -> None:
    path = out.with_suffix(".pdf")
    assert cli("report", DEFAULT_BUNDLE, "-o", path, *ONE).code == 0
    content = path.read_bytes()
    assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") >= 2
    assert listing(out.parent) == ["index.pdf"]
