"""What a page says first: green only where all ran, and no limit is broken."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from helpers.evidence import FP32, INT8, MACHINE, Page, device_run, document, evidence, rows
from helpers.manifest_parts import ENGINE

import edge_ser
from edge_ser.bundle.manifest import Manifest
from edge_ser.fidelity.limits import Limits
from edge_ser.report.conclusion import conclude
from edge_ser.report.data import Evidence, read_evidence
from edge_ser.report.origin import Writing
from edge_ser.report.page import page

SAME = ((0.2, 0.3, 0.4), (0.2, 0.3, 0.4))
WRITTEN = Writing(datetime(2031, 5, 6, tzinfo=timezone.utc), MACHINE, "edge-ser 0.1.0")
# far enough apart to correlate
NINE = [((i / 10, 1 - i / 10, i / 20),) * 2 for i in range(9)]


@pytest.fixture(scope="module")
def manifest(ser: edge_ser.Recognizer) -> Manifest:
    return replace(ser.manifest, name="tiny", limits=FP32)


@pytest.fixture(scope="module")
def engine(manifest: Manifest) -> Manifest:
    return replace(manifest, target="trt-fp16").with_parts(engine=ENGINE)


def with_speech() -> Evidence:
    """Agreement judged on a group of its own, with a group whose CCC nothing judges."""
    data = document(NINE, INT8, "speech")
    data["groups"]["single"] = data["groups"]["speech"] | {
        "ccc": dict.fromkeys(("arousal", "dominance", "valence"), 0.348),
    }
    each = {k: v for k, v in INT8.to_dict().items() if k in ("vad", "region_logits")}
    data["judged"] |= {"single": each | {"flip_rate": None, "ccc": None}}
    return read_evidence(data, "x")


# --- engines


def test_an_engine_that_did_not_run_is_not_green(engine: Manifest) -> None:
    run = device_run("single", *SAME, engine="not run")
    first = conclude(engine, evidence(), [run])
    assert (first.tone, first.failures) == ("open", ())
    assert first.words.startswith("Not run: the TensorRT engine")
    html = page(engine, evidence(), runs=[run])
    assert 'class="verdict open"' in html and 'class="verdict good"' not in html
    text = Page(html).text
    assert "Passed" not in text
    assert "a.engine, fp16 for rtx-3060 (sm86), TensorRT for RTX 1.7.1" in text
    assert "it has not been run anywhere" in text
    assert "Run instead: the graph that the engine is built from (model.onnx), in onnx (" in text
    assert "on rtx-3060: edge-ser verify BUNDLE --runtime trt" in text
    assert ">not run<" in rows(html)["engine"]


def test_an_engine_that_ran_where_it_was_built_did_not_run_here(engine: Manifest) -> None:
    verified = engine.with_parts(engine=replace(ENGINE, verified=True))
    first = conclude(verified, evidence())
    assert first.tone == "open"
    assert "gave the recorded answers on the device where it was built" in first.not_run[0]
    assert "in ONNX Runtime, at export" in first.not_run[1]


def test_an_engine_that_is_not_built_says_how(engine: Manifest) -> None:
    unbuilt = engine.with_parts(engine=replace(ENGINE, file=""))
    first = conclude(unbuilt, evidence())
    assert first.tone == "open" and first.not_run[0].startswith("The engine is not built yet")
    assert "edge-ser build BUNDLE" in first.not_run[-1]


@pytest.mark.parametrize("by_reference", [False, True])
def test_an_engine_that_ran_here_passes(by_reference: bool, engine: Manifest) -> None:
    runs = [] if by_reference else [device_run("single", *SAME, engine="ran")]
    written = replace(WRITTEN, reference="ab" * 32, ran_engine=True) if by_reference else WRITTEN
    first = conclude(engine, evidence(), runs, written)
    assert (first.tone, first.not_run) == ("good", ())


def test_a_failure_outweighs_what_was_not_run(engine: Manifest) -> None:
    first = conclude(engine, evidence([((0.5, 0.5, 0.6), (0.5, 0.5, 0.7))]))
    assert first.tone == "bad" and first.not_run


# --- limits


def test_what_is_not_judged_is_no_red_cross_and_is_said_with_why(manifest: Manifest) -> None:
    html = page(replace(manifest, limits=INT8), with_speech())
    table = rows(html)
    assert "✗" not in html and "(0.348000)" in table["CCC of arousal"]
    assert ">1.000000<" in table["CCC of arousal"]
    text = Page(html).text
    assert "Passed" in text and text.index("Not judged") < text.index("Comparison with")
    assert "single: agreement as a whole (CCC, Pearson" in text
    assert "( ) shown, not judged" in text


def test_passed_never_stands_over_red_crosses(manifest: Manifest) -> None:
    # as somebody would alter it
    data = document([((0.5, 0.5, 0.6), (0.5, 0.5, 0.7))]) | {"passed": True, "failures": []}
    first = conclude(manifest, read_evidence(data, "x"))
    assert first.tone == "bad"
    assert "recorded as passed, but out of limits: single: VAD, largest" in first.failures[0]


def test_a_group_without_limits_is_only_shown(manifest: Manifest) -> None:
    data = document([((0.5, 0.5, 0.6), (0.5, 0.5, 0.7))]) | {"passed": True, "failures": []}
    first = conclude(manifest, read_evidence(data | {"judged": {}}, "x"))
    assert first.tone == "good"
    assert first.not_judged == ("single: shown only; no limit is for it",)


def test_a_group_with_limits_of_its_own_shows_them(manifest: Manifest) -> None:
    low = replace(manifest, limits=INT8)
    run = device_run("own", (0.2, 0.3, 0.4), (0.2, 0.3, 0.43), Limits(0.02, 0.2))
    assert run.failures == ("own: VAD differs by 0.0300, limit 0.02",)
    html = page(low, evidence(NINE, INT8), runs=[run])
    device = html.split("On this device")[1]
    assert ">✗ 0.0300 ≤ 0.02<" in device and ">0.15</td>" in device
    assert "own: both, against the bundle" in device and "the limit of this group" in device
    assert "≤" not in html.split("On this device")[0]


# --- devices


def test_a_page_for_which_nothing_ran_says_so(manifest: Manifest) -> None:
    assert conclude(manifest, evidence(), (), WRITTEN).words.startswith("Passed at export, and not")
    html = page(manifest, evidence(), written=WRITTEN)
    assert "the recorded answers" not in rows(html)["against"] and "run by" not in rows(html)
    run = [device_run("single", *SAME)]
    assert conclude(manifest, evidence(), run, WRITTEN).words.startswith("Passed: ")
    assert "the recorded answers" in rows(page(manifest, evidence(), (), run, WRITTEN))["against"]
    against = replace(WRITTEN, reference="ab" * 32)
    assert conclude(manifest, evidence(), (), against).words.startswith("Passed: ")


def test_notes_and_failures_of_devices_are_told(manifest: Manifest) -> None:
    low = replace(manifest, limits=INT8)
    fine = device_run("single", *SAME, INT8)
    off = device_run("single", (0.2, 0.3, 0.4), (0.2, 0.3, 0.7), INT8)
    first = conclude(low, evidence(NINE, INT8), [fine, off])
    assert first.tone == "bad"
    assert first.failures[0] == "device 2, single: VAD differs by 0.3000, limit 0.15"
    assert first.not_judged[0].startswith("device 1, single: CCC, Pearson")
    assert conclude(low, evidence(NINE, INT8), [fine]).not_judged[0].startswith("this device")


def test_what_a_device_notes_about_its_limits_is_on_the_page(manifest: Manifest) -> None:
    run = replace(device_run("single", *SAME), notes=("judged by the limits of onnx-int8",))
    assert (
        "judged by the limits of onnx-int8" in rows(page(manifest, evidence(), runs=[run]))["note"]
    )


def test_a_device_that_says_failed_fails_without_words(manifest: Manifest) -> None:
    run = replace(device_run("single", *SAME), passed=False)
    assert conclude(manifest, evidence(), [run]).failures == ("this device: recorded as failed",)
