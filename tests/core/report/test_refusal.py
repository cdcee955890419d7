"""What a refused export leaves: a page and the same as JSON."""

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from helpers.bundle_files import listing
from helpers.evidence import INT8, Page, drawings

from edge_ser.bundle.evidence import Attempt, Calibration, LoweredShare, SpeedRecord
from edge_ser.errors import UsageError
from edge_ser.host.facts import this_machine
from edge_ser.report.data import Damage
from edge_ser.report.origin import Writing
from edge_ser.report.refusal import Refusal, refusal_page, write_refusal

HOSTILE = "<script>alert(1)</script>&"
FAR = Attempt(
    recipe="dynamic", kept_in_float32=(), bytes=1_700_000, passed=False,
    failures=("CCC of valence is 0.900000, limit 0.995", "mean angle is 14.700°, limit 2°"),
    integer_share=LoweredShare(encoder=0.999),
    ccc={"arousal": 0.99, "dominance": 0.98, "valence": 0.9},
    angle_mean_degrees=14.7, vad_p99=0.2, vad_max=0.16, vad_max_padded=0.3,
)  # fmt: skip
NEAR = Attempt(
    recipe="static, worst left out", kept_in_float32=("stem", "head", "layer 1", "layer 2"),
    bytes=2_500_000, passed=False, failures=("mean angle is 2.100°, limit 2°",),
    integer_share=LoweredShare(encoder=0.96), speed=SpeedRecord(speedup=1.31),
    ccc={"arousal": 0.999, "dominance": 0.9981, "valence": 0.9987},
    angle_mean_degrees=2.1, vad_p99=0.03, vad_max=0.09, vad_max_padded=0.08,
)  # fmt: skip
REFUSAL = Refusal(
    name="tiny",
    target="onnx-int8",
    expected="a recipe that gives the float32 model's answers",
    found="2 attempts, none within the limits",
    limits=INT8,
    advice=("export with --target onnx-fp16", "calibrate on more speech"),
    attempts=(FAR, NEAR),
    ranking=(
        Damage("layer 1", 0.01, 0.001, 0, 100, "int8"),
        Damage("stem", 0.2, 0.1, 3, 50, "float32"),
    ),
    calibration=Calibration(source="built-in samples", default=True, fit=8, judge=9),
    command="edge-ser export tiny --target onnx-int8",
)
WRITING = Writing(datetime(2026, 1, 2, tzinfo=timezone.utc), this_machine(), "edge-ser 0.1.0")


def table_rows(page: str) -> list[str]:
    return [p.split("</tr>")[0] for p in page.split("<tbody>")[1].split("<tr>")[1:]]


def test_every_attempt_is_told_with_size_speed_and_agreement() -> None:
    far, near = table_rows(refusal_page(REFUSAL))
    assert "dynamic" in far and "nothing kept in float32" in far
    for cell in ("1.70", "99.9%", "–", "✗ 0.9000", "✗ 14.70°", "✗ 0.2000", "✗ 0.3000"):
        assert f">{cell}</td>" in far
    assert "★ static, worst left out" in near
    assert "in float32: stem, head, layer 1 and 1 more" in near
    for cell in ("2.50", "96.0%", "1.31×", "0.9981", "✗ 2.10°", "0.0300", "0.0900"):
        assert f">{cell}</td>" in near
    assert "CCC of valence is 0.900000, limit 0.995; mean angle is 14.700°, limit 2°" in far


def test_too_small_a_share_in_integers_is_marked() -> None:
    far, near = table_rows(refusal_page(replace(REFUSAL, least_share=0.97)))
    assert ">99.9%</td>" in far and ">✗ 96.0%</td>" in near


def test_many_broken_limits_are_told_up_to_a_number() -> None:
    many = replace(FAR, failures=tuple(f"limit {i}" for i in range(7)))
    (row,) = table_rows(refusal_page(replace(REFUSAL, attempts=(many,))))
    assert "limit 0; limit 1; limit 2; and 4 more" in row and "limit 3" not in row


def test_a_command_among_the_advice_is_set_as_one() -> None:
    advice = ("export in fp16: edge-ser export a&b --target onnx-fp16", "more speech")
    html = refusal_page(replace(REFUSAL, advice=advice))
    assert "fp16: <code>edge-ser export a&amp;b --target onnx-fp16</code></li>" in html
    assert "<li>more speech</li>" in html


def test_what_was_not_judged_is_not_marked() -> None:
    few = replace(INT8, ccc=None, vad_p99=None, angle_mean_degrees=None)
    far, _ = table_rows(refusal_page(replace(REFUSAL, limits=few)))
    for cell in ("0.9000", "14.70°", "0.2000", "✗ 0.3000"):
        assert f">{cell}</td>" in far


def test_the_page_says_refused_why_and_what_to_try() -> None:
    page = Page(refusal_page(REFUSAL, WRITING))
    assert "recorded answers" not in page.text, "nothing was run for this page"
    for words in (
        "Refused: no bundle was written.", "expected a recipe that gives", "2 attempts, none",
        "export with --target onnx-fp16", "calibrate on more speech", "mean angle 2°",
        "8 utterances of built-in samples (synthetic speech, the package's own), judged on 9",
        "edge-ser export tiny --target onnx-int8", "2026-01-02 00:00 UTC", str(this_machine()),
    ):  # fmt: skip
        assert words in page.text
    assert "Passed" not in page.text and page.loads == []


def test_the_ranking_is_drawn_the_costliest_first() -> None:
    svg = drawings(refusal_page(REFUSAL))["sensitivity"]
    names = [e.text for e in svg.iter() if "bar-name" in e.get("class", "")]
    assert names == ["stem", "layer 1"]
    assert drawings(refusal_page(replace(REFUSAL, ranking=()))) == {}


def test_the_nearest_breaks_least() -> None:
    assert REFUSAL.nearest is NEAR
    assert replace(REFUSAL, attempts=()).nearest is None
    same = replace(NEAR, recipe="other", vad_p99=0.02)
    assert replace(REFUSAL, attempts=(NEAR, same)).nearest is same


def test_a_refusal_without_attempts_has_a_page() -> None:
    alone = Refusal("tiny", "onnx-fp32", "the checkpoint's answers", "VAD off by 0.5", INT8)
    page = Page(refusal_page(alone))
    assert "VAD off by 0.5" in page.text
    for heading in ("Attempts", "What to try", "Ranking"):
        assert heading not in page.text


def test_all_text_is_escaped() -> None:
    attempt = replace(FAR, recipe=HOSTILE, failures=(HOSTILE,), kept_in_float32=(HOSTILE,))
    hostile = Refusal(
        HOSTILE, HOSTILE, HOSTILE, HOSTILE, INT8, (HOSTILE,), (attempt,),
        (Damage(HOSTILE, 0.1, 0.1, 1, 1, "int8"),), Calibration(source=HOSTILE), HOSTILE,
    )  # fmt: skip
    page = Page(refusal_page(hostile))
    assert "script" not in page.tags and page.text.count(HOSTILE) >= 10


def test_page_and_json_are_written_beside_each_other(tmp_path: Path) -> None:
    page, data = write_refusal(tmp_path / "tiny.refused.html", REFUSAL, WRITING)
    assert listing(tmp_path) == ["tiny.refused.html", "tiny.refused.json"]
    assert page.read_text(encoding="utf-8") == refusal_page(REFUSAL, WRITING)
    record = json.loads(data.read_text(encoding="utf-8"))
    assert record["refused"] is True and record["target"] == "onnx-int8"
    assert [a["recipe"] for a in record["attempts"]] == ["dynamic", "static, worst left out"]
    assert record["attempts"][0]["angle_mean_degrees"] == 14.7
    assert "speed" not in record["attempts"][0]
    assert record["ranking"][1]["name"] == "stem" and record["limits"]["ccc"] == 0.995


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a file that can be written"):
        write_refusal(tmp_path / "no" / "page.html", REFUSAL)
