"""The page about a bundle: what it shows, and that it is one sound page."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.evidence import (
    FP32,
    INT8,
    Page,
    device_run,
    document,
    drawings,
    evidence,
    marks,
    place,
    rows,
)

import edge_ser
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.sphere import Partition
from edge_ser.fidelity.limits import Limits
from edge_ser.report.data import Damage, read_evidence
from edge_ser.report.page import page

HOSTILE = """<script>alert(1)</script>&"'><img src=x onerror=alert(1)>"""


@pytest.fixture(scope="module")
def manifest(ser: edge_ser.Recognizer) -> Manifest:
    return replace(ser.manifest, name="tiny", limits=FP32, partition=Partition())


def spread(count: int = 12, off: float = 0.0) -> list[Any]:
    rng = np.random.default_rng(0)
    reference = rng.uniform(0.1, 0.9, (count, 3)).round(4)
    return [(tuple(r), tuple(r + off)) for r in reference.tolist() for r in [np.array(r)]]


# --- one sound page


@pytest.mark.parametrize("limits", [FP32, INT8])
def test_it_is_one_page_that_loads_nothing(manifest: Manifest, limits: Limits) -> None:
    html = page(
        replace(manifest, limits=limits),
        evidence(spread(), limits, labelled=True, extreme=True),
        [Damage("stem", 0.2, 0.1, 3, 1000, "float32")],
        [device_run("single", (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))],
    )
    read = Page(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert read.loads == []
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(read.tags)
    assert "default-src 'none'" in html and "@import" not in html
    assert "width=device-width" in html and "prefers-color-scheme: dark" in html
    urls = [part.split(")")[0] for part in html.split("url(")[1:]]
    assert all(u.startswith("#") and u[1:] in read.ids for u in urls)


def test_every_drawing_has_a_title_and_a_description(manifest: Manifest) -> None:
    damage = [Damage("stem", 0.2, 0.1, 3, 1000, "float32")]
    html = page(manifest, evidence(spread()), damage)
    read, drawn = Page(html), drawings(html)
    assert set(drawn) == {
        "scatter-arousal", "scatter-dominance", "scatter-valence", "sphere", "length", "sensitivity"
    }  # fmt: skip
    for svg in drawn.values():
        assert svg.get("role") == "img"
        assert (svg.findtext("title") or "").strip() and (svg.findtext("desc") or "").strip()
    assert len(set(read.ids)) == len(read.ids)
    assert read.referred and set(read.referred) <= set(read.ids)


def test_all_text_is_escaped(manifest: Manifest) -> None:
    data = document(spread(), group=HOSTILE, name=HOSTILE)
    flipped = ([0.9, 0.9, 0.9], [0.1, 0.9, 0.9])
    data["utterances"].append(
        data["utterances"][0] | {"reference_vad": flipped[0], "candidate_vad": flipped[1]}
    )
    data["utterances"].append(data["utterances"][0] | {"failure": HOSTILE, "vad_max": None})
    data |= {"failures": [HOSTILE], "not_judged": [HOSTILE], "passed": False}
    html = page(
        replace(
            manifest, name=HOSTILE, target=HOSTILE, precision=HOSTILE, licence=HOSTILE,
            weight_storage=HOSTILE, architecture={"summary": HOSTILE},
        ),
        read_evidence(data, "x"),
        [Damage(HOSTILE, 0.2, 0.1, 3, 1000, HOSTILE)],
        [device_run(HOSTILE, (0.1, 0.2, 0.3), (0.9, 0.2, 0.3))],
    )  # fmt: skip
    read = Page(html)
    assert "script" not in read.tags and "img" not in read.tags and read.loads == []
    assert read.text.count(HOSTILE) >= 10
    assert len(drawings(html)) == 6


def test_characters_that_do_not_print_are_told(manifest: Manifest) -> None:
    html = page(replace(manifest, name="a\ud800b\x00c\u202ed"), evidence())
    html.encode("utf-8")
    assert "a\\ud800b\\x00c\\u202ed" in html


def test_the_same_input_gives_the_same_page(manifest: Manifest) -> None:
    assert page(manifest, evidence(spread())) == page(manifest, evidence(spread()))


# --- verdict and tables


def test_head_and_verdict(manifest: Manifest) -> None:
    text = Page(page(manifest, evidence())).text
    summary = manifest.architecture["summary"]
    for word in ("tiny", manifest.target, manifest.precision, summary, "Passed", manifest.licence):
        assert word in text
    assert "Failed" not in text and "✗" not in text


def test_a_failed_gate_is_failed_and_says_why(manifest: Manifest) -> None:
    text = Page(page(manifest, evidence([((0.5, 0.5, 0.6), (0.5, 0.5, 0.7))]))).text
    assert "Failed: do not ship it" in text and "Passed" not in text
    assert "single: VAD differs by 1.00e-01, limit 1e-04" in text
    assert "✗ 1.0e-01" in text


def test_a_failure_on_this_machine_fails_the_page(manifest: Manifest) -> None:
    here = device_run("padded", (0.2, 0.2, 0.3), (0.2, 0.2, 0.2))
    text = Page(page(manifest, evidence(), runs=[here])).text
    assert "Failed" in text and "this device, padded: VAD differs by 1.00e-01" in text
    assert "On this device" in text
    fine = device_run("padded", (0.2, 0.2, 0.3), (0.2, 0.2, 0.3))
    assert "Passed" in Page(page(manifest, evidence(), runs=[fine])).text


def test_broken_limits_of_the_whole_are_marked(manifest: Manifest) -> None:
    low = replace(manifest, limits=INT8)
    table = rows(page(low, evidence(spread(12, 0.06), INT8)))
    assert "✗ 0.0600" in table["VAD, 99 % within"] and ">0.05<" in table["VAD, 99 % within"]
    assert (
        "✗" not in table["VAD, largest difference"] and ">0.15<" in table["VAD, largest difference"]
    )
    assert "✗" in table["CCC of arousal"] and "at least 0.995" in table["CCC of arousal"]
    assert "✗" not in table["Pearson of arousal"]
    assert "✗" in table["Angle, mean"] and "2°" in table["Angle, mean"]


def test_a_group_too_small_to_judge_is_told_apart_from_a_broken_one(manifest: Manifest) -> None:
    low = replace(manifest, limits=INT8)
    html = page(low, evidence(spread(7, 0.06), INT8))
    table = rows(html)
    assert "(0.0600)" in table["VAD, 99 % within"]
    assert "✗" not in html and "Passed" in html
    assert "not judged: 7 utterances, 8 needed" in html and "( )" in html


def test_changed_regions_are_counted_and_listed(manifest: Manifest) -> None:
    far, near = ((0.9, 0.8, 0.8), (0.2, 0.8, 0.8)), ((0.501, 0.8, 0.8), (0.499, 0.8, 0.8))
    html = page(replace(manifest, limits=INT8), evidence([far, near, *spread(10)], INT8))
    table = rows(html)
    assert "✗ 1 of" in table["Regions changed, farther than 0.05 from a boundary"]
    assert "1 of" in table["Regions changed, borderline: within 0.05 of one"]
    assert "I exuberant" in table["utterance 0"] and "0.600" in table["utterance 0"]
    assert "0.002" in table["utterance 1"]


def test_many_changed_regions_are_listed_up_to_a_number(manifest: Manifest) -> None:
    flipped = [((0.9 - i / 100, 0.8, 0.8), (0.2, 0.8, 0.8)) for i in range(25)]
    html = page(manifest, evidence(flipped))
    assert "And 5 nearer to a boundary." in html
    assert len(marks(drawings(html)["sphere"], "flipped")) == 25


def test_labels(manifest: Manifest) -> None:
    found = evidence(spread(), labelled=True)
    assert found.labels is not None
    table = rows(page(manifest, found))
    assert f"{found.labels.before['valence']:.4f}" in table["Valence"]
    assert "+0.0000" in table["Valence"]
    assert "Agreement with labels" not in page(manifest, evidence(spread()))


def test_a_dimension_that_was_not_compared_with_labels_has_no_figure(manifest: Manifest) -> None:
    found = evidence(spread(), labelled=True)
    assert found.labels is not None
    without = {name: ccc for name, ccc in found.labels.after.items() if name != "valence"}
    html = page(manifest, replace(found, labels=replace(found.labels, after=without)))
    assert "</td><td>–</td><td>" in rows(html)["Valence"]


# --- drawings


def test_scatter_puts_equal_answers_on_the_diagonal(manifest: Manifest) -> None:
    pairs = [((0.0, 0.5, 1.0), (0.0, 0.5, 1.0)), ((0.5, 0.5, 0.5), (0.75, 0.5, 0.5))]
    drawn = drawings(page(manifest, evidence(pairs)))
    (diagonal,) = marks(drawn["scatter-arousal"], "diagonal")
    x1, y1, x2, y2 = (float(diagonal.get(k, "nan")) for k in ("x1", "y1", "x2", "y2"))
    assert x1 < x2 and y1 > y2  # from 1, 1 at the lower left to 7, 7 at the upper right
    low, moved = (place(m) for m in marks(drawn["scatter-arousal"]))
    assert low == pytest.approx((x1, y1), abs=0.01)
    assert moved == pytest.approx(((x1 + x2) / 2, y1 + 0.75 * (y2 - y1)), abs=0.01)
    assert place(marks(drawn["scatter-valence"])[0]) == pytest.approx((x2, y2), abs=0.01)
    assert "4.000 to 5.500" in (marks(drawn["scatter-arousal"])[1].findtext("title") or "")


def test_scatter_keeps_scores_off_the_scale_at_its_edge(manifest: Manifest) -> None:
    drawn = drawings(page(manifest, evidence([((-0.2, 0.5, 1.3), (-0.3, 0.5, 1.2))])))
    (diagonal,) = marks(drawn["scatter-arousal"], "diagonal")
    (mark,) = marks(drawn["scatter-arousal"])
    assert place(mark)[0] == pytest.approx(float(diagonal.get("x1", "nan")), abs=0.01)


def test_what_is_hardly_speech_is_hollow(manifest: Manifest) -> None:
    html = page(manifest, evidence(spread(3), extreme=True))
    for key in ("scatter-arousal", "sphere", "length"):
        assert len(marks(drawings(html)[key], "extreme")) == 1
    assert "hardly speech" in html
    assert "hardly speech" not in page(manifest, evidence(spread(3)))


def frame(svg: Any) -> tuple[float, float, float, float]:
    (box,) = marks(svg, "frame")
    left, top, width, height = (float(box.get(k, "nan")) for k in ("x", "y", "width", "height"))
    return left, left + width, top, top + height


@pytest.mark.parametrize(
    ("vad", "azimuth", "polar"),
    [
        ((0.9, 0.5, 0.5), 0, 90),  # aroused
        ((0.5, 0.5, 0.9), 90, 90),  # positive
        ((0.5, 0.5, 0.1), -90, 90),  # negative
        ((0.8, 0.5, 0.8), 45, 90),
        ((0.6, 0.6, 0.5), 0, 45),  # half dominant
        ((0.6, 0.4, 0.5), 0, 135),
    ],
)
def test_sphere_has_azimuth_on_x_and_the_polar_angle_on_y(
    vad: Any, azimuth: float, polar: float, manifest: Manifest
) -> None:
    svg = drawings(page(manifest, evidence([(vad, vad)])))["sphere"]
    left, right, top, bottom = frame(svg)
    (mark,) = marks(svg)
    x = left + (azimuth + 180) / 360 * (right - left)
    assert place(mark) == pytest.approx((x, top + polar / 180 * (bottom - top)), abs=0.02)


@pytest.mark.parametrize(
    ("partition", "upright", "flat"),
    [
        (Partition(), 5, 1),  # both edges are the meridian of 180
        (Partition(45, 45, 0.2), 9, 3),
        (Partition(360, 60), 0, 2),
        (Partition(120, 180), 3, 0),
    ],
)
def test_sphere_has_a_line_for_every_boundary(
    partition: Partition, upright: int, flat: int, manifest: Manifest
) -> None:
    html = page(replace(manifest, partition=partition), evidence())
    lines = marks(drawings(html)["sphere"], "boundary")
    assert sum(e.get("x1") == e.get("x2") for e in lines) == upright
    assert sum(e.get("y1") == e.get("y2") for e in lines) == flat
    named = {e.text for e in marks(drawings(html)["sphere"], "region")}
    octants = (partition.azimuth_step, partition.polar_step) == (90, 90)
    assert ("hostile" in named) == octants


def test_sphere_draws_an_arrow_from_a_changed_region(manifest: Manifest) -> None:
    pairs = [((0.9, 0.6, 0.6), (0.9, 0.6, 0.4)), *spread(4)]
    svg = drawings(page(manifest, evidence(pairs)))["sphere"]
    (mark,) = marks(svg, "flipped")
    (arrow,) = (e for e in marks(svg, "flip") if e.tag == "line")
    x1, x2 = float(arrow.get("x1", "nan")), float(arrow.get("x2", "nan"))
    left, right, _, _ = frame(svg)
    assert place(mark)[0] == pytest.approx(x1, abs=0.01)
    # 14 degrees to either side of azimuth 0
    turn = np.degrees(np.arctan2(0.2, 0.8)) / 360 * (right - left)
    assert (x1 + x2) / 2 == pytest.approx((left + right) / 2, abs=0.02)
    assert x1 - x2 == pytest.approx(2 * turn, abs=0.05)
    assert "I exuberant became IV hostile" in (mark.findtext("title") or "")


def test_an_arrow_over_the_edge_goes_the_short_way(manifest: Manifest) -> None:
    svg = drawings(page(manifest, evidence([((0.1, 0.6, 0.52), (0.1, 0.6, 0.48))])))["sphere"]
    arrows = [e for e in marks(svg, "flip") if e.tag == "line"]
    left, right, _, _ = frame(svg)
    spans = [(float(e.get("x1", "nan")), float(e.get("x2", "nan"))) for e in arrows]
    assert len(spans) == 2
    assert all(abs(a - b) < (right - left) / 20 for a, b in spans)
    assert spans[0][0] < right < spans[0][1] and spans[1][0] < left < spans[1][1]


def test_sphere_draws_what_was_compared_twice_once(manifest: Manifest) -> None:
    data = document(spread(5))
    data["utterances"] += [u | {"group": "padded"} for u in data["utterances"]]
    html = page(manifest, read_evidence(data, "x"))
    assert len(marks(drawings(html)["sphere"])) == 5
    assert len(marks(drawings(html)["scatter-arousal"])) == 10


def test_length_is_on_log_scales_with_the_limit(manifest: Manifest) -> None:
    data = document([*spread(4)])
    told = ((1.0, 1e-7), (2.0, 1e-6), (4.0, 1e-4), (8.0, 0.0))
    for row, (seconds, vad_max) in zip(data["utterances"], told, strict=True):
        row |= {"seconds": seconds, "vad_max": vad_max}
    svg = drawings(page(manifest, read_evidence(data, "x")))["length"]
    (limit,) = marks(svg, "limit")
    a, b, c, zero = (place(m) for m in marks(svg))
    assert b[0] - a[0] == pytest.approx(c[0] - b[0], abs=0.02)  # each twice as long
    assert b[1] - c[1] == pytest.approx(2 * (a[1] - b[1]), abs=0.02)  # hundred and ten times
    assert c[1] == pytest.approx(float(limit.get("y1", "nan")), abs=0.02)
    assert a[1] < zero[1] <= frame(svg)[3]
    assert "limit 1e-04" in {e.text for e in marks(svg, "note")}


def test_length_has_both_limits_of_lower_precision(manifest: Manifest) -> None:
    html = page(replace(manifest, limits=INT8), evidence(spread(9, 0.01), INT8))
    notes = {e.text for e in marks(drawings(html)["length"], "note")}
    assert notes == {"limit 0.15", "limit of 99 % 0.05"}


def test_sensitivity_is_sorted_by_damage_and_tells_what_was_kept(manifest: Manifest) -> None:
    damage = [
        Damage("layer 0", 0.01, 0.001, 0, 100, "int8"),
        Damage("stem", 0.20, 0.1, 4, 50, "float32"),
        Damage("layer 1", 0.05, 0.01, 1, 50, "int8"),
    ]
    html = page(manifest, evidence(), damage)
    svg = drawings(html)["sensitivity"]
    bars = marks(svg, "bar")
    widths = [float(b.get("width", "nan")) for b in bars]
    assert [e.text for e in marks(svg, "bar-name")] == ["stem", "layer 1", "layer 0"]
    assert widths[1] == pytest.approx(widths[0] / 4, abs=0.1)
    assert widths[2] == pytest.approx(widths[0] / 20, abs=0.1)
    assert ["kept" in (b.get("class") or "") for b in bars] == [True, False, False]
    assert "1 of 3 parts are kept in float32, with 25.0%" in Page(html).text
    assert "Sensitivity" not in page(manifest, evidence())


def test_long_names_of_parts_are_shortened_in_the_middle(manifest: Manifest) -> None:
    name = "encoder.wavlm.layers.11.feed_forward.intermediate_dense.7"
    html = page(manifest, evidence(), [Damage(name, 0.2, 0.1, 3, 1000, "int8")])
    (shown,) = marks(drawings(html)["sensitivity"], "bar-name")
    assert shown.text is not None and len(shown.text) <= 34
    assert shown.text.startswith("encoder") and shown.text.endswith("dense.7")
    assert name in Page(html).text  # in full for who points at it


# --- what is missing


def test_bundles_of_earlier_versions_have_a_page(manifest: Manifest) -> None:
    data = document(spread(5))
    for row in data["utterances"]:
        for key in ("seconds", "extreme", "candidate_vad"):
            del row[key]
    del data["labels"], data["not_judged"]
    group = data["groups"]["single"]
    for key in ("judged", "pearson", "vad_p99", "radius_mean", "flip_rate"):
        del group[key]
    html = page(manifest, read_evidence(data, "x"))
    assert set(drawings(html)) == {"sphere"}
    assert "export again" in html and "Passed" in html
    assert len(marks(drawings(html)["sphere"])) == 5


def test_a_candidate_that_answered_nothing_has_a_page(manifest: Manifest) -> None:
    data = document(spread(2))
    for row in data["utterances"]:
        row |= {"candidate_vad": None, "vad_max": None, "failure": "outputs: NaN"}
    data |= {"passed": False, "failures": ["single: no answer to 2"], "groups": {}}
    text = Page(page(manifest, read_evidence(data, "x"))).text
    assert "Not answered utterance 0 (single): outputs: NaN" in text and "Failed" in text


def test_numbers_at_the_ends_of_what_is_read(manifest: Manifest) -> None:
    data = document(spread(3))
    for row, (seconds, vad_max) in zip(
        data["utterances"], ((1e-12, 9e8), (9e8, 1e-300), (0, 0)), strict=True
    ):
        row |= {"seconds": seconds, "vad_max": vad_max}
    html = page(replace(manifest, limits=Limits(0.0, 0.0)), read_evidence(data, "x"))
    for svg in drawings(html).values():
        assert not any(v in ("nan", "inf") for e in svg.iter() for v in e.attrib.values())
