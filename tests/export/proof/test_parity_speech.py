"""The gate for lower precision: more speech, labels, and what is hardly speech."""

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from helpers.export_sessions import Speech
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError, UsageError
from edge_ser.fidelity.limits import FP16_LIMITS, FP32_LIMITS, INT8_LIMITS
from edge_ser.report.data import read_evidence
from edge_ser_export.proof.cases import Case, build_cases, case_count
from edge_ser_export.proof.parity import Parity, parity_steps, run_parity
from edge_ser_export.proof.reference import Expected

Change = Callable[[str, NDArray[np.float32]], NDArray[np.float32] | None]
Added = list[tuple[str, NDArray[np.float32], Outputs]]


class Told:
    """A session that gives answers it was told, changed by the name of the utterance."""

    def __init__(self, answers: dict[int, tuple[str, Outputs]], change: Change) -> None:
        self.answers, self.change = answers, change

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        vad = []
        for n in lengths.tolist():
            name, outputs = self.answers[n]
            changed = self.change(name, outputs.vad)
            if changed is None:
                raise BundleError("output vad", expected="finite numbers", found="NaN")
            vad.append(changed)
        logits = np.concatenate([self.answers[n][1].region_logits for n in lengths.tolist()])
        return Outputs.of(np.concatenate(vad), logits)


NAMES = [("speech 0.025 s", True), ("silence 3 s", True)] + [(f"case {i}", False) for i in range(9)]


def run(
    change: Change = lambda _, vad: vad,
    limits: object = INT8_LIMITS,
    added: int = 20,
    labelled: bool = False,
    words: list[str] | None = None,
) -> Parity:
    """The gate over answers spread over the cube; utterances are told apart by their length."""
    rng = np.random.default_rng(7)
    answers: dict[int, tuple[str, Outputs]] = {}

    def utterance(name: str) -> tuple[NDArray[np.float32], Outputs]:
        samples = np.zeros(1600 + 160 * len(answers), np.float32)
        outputs = Outputs.of(
            rng.uniform(0.1, 0.9, (1, 3)).astype(np.float32),
            rng.standard_normal((1, 8)).astype(np.float32),
        )
        answers[samples.size] = (name, outputs)
        return samples, outputs

    cases = [(Case(name, *utterance(name)[:1], extreme), name) for name, extreme in NAMES]
    files = [(f"file {i}", *utterance(f"file {i}")) for i in range(4)]
    speech: Added = [(f"more {i}", *utterance(f"more {i}")) for i in range(added)]
    expected = Expected(
        [c for c, _ in cases], [answers[c.samples.size][1] for c, _ in cases], files, 8000
    )
    labels = None
    if labelled:
        labels = scores_from_unit(np.concatenate([o.vad for _, _, o in speech]))
    return run_parity(
        expected,
        Told(answers, change),
        Partition(),
        limits,  # type: ignore[arg-type]
        (words if words is not None else []).append,
        speech=speech,
        labels=labels,
    )


def only(name: str, off: float) -> Change:
    return lambda found, vad: vad + np.float32(off) if found == name else vad


def test_added_speech_is_a_group_of_its_own() -> None:
    words: list[str] = []
    parity = run(words=words)
    assert parity.passed
    assert list(parity.groups) == ["single", "padded", "files", "speech"]
    assert parity.groups["speech"].count == parity.groups["speech"].judged == 20
    assert [w for w in words if w.startswith("speech: ")] == [
        f"speech: more {i}" for i in range(20)
    ]
    assert list(run(added=0).groups) == ["single", "padded", "files"]


def test_added_speech_is_judged_by_all_limits() -> None:
    rng = np.random.default_rng(1)

    def noisy(name: str, vad: NDArray[np.float32]) -> NDArray[np.float32]:
        return vad + rng.normal(0, 0.04, (1, 3)).astype(np.float32) * name.startswith("more")

    failures = run(noisy).failures
    assert failures and all(f.startswith("speech: ") for f in failures)
    for word in ("CCC of arousal", "Pearson of valence", "99th percentile", "mean angle"):
        assert any(word in f for f in failures), word
    assert not any("VAD differs by" in f for f in failures if "percentile" not in f)


def test_fp16_finds_what_int8_allows() -> None:
    rng = np.random.default_rng(1)

    def noisy(_: str, vad: NDArray[np.float32]) -> NDArray[np.float32]:
        return vad + rng.normal(0, 3e-3, (1, 3)).astype(np.float32)

    assert run(noisy).passed
    assert any("VAD differs by" in f for f in run(noisy, FP16_LIMITS).failures)
    assert run(lambda _, v: v + np.float32(1e-4), FP16_LIMITS).passed
    assert not run(lambda _, v: v + np.float32(1.1e-4), FP32_LIMITS).passed


def test_what_is_hardly_speech_counts_for_the_largest_difference_only() -> None:
    assert run(only("silence 3 s", 0.1)).passed
    assert run(only("case 3", 0.1)).failures  # of speech, as much is too much
    broken = run(only("silence 3 s", 0.2))
    assert [f.split(" by ")[0] for f in broken.failures] == [
        "single: VAD differs",
        "padded: VAD differs",
    ]
    assert broken.groups["single"].judged == len(NAMES) - 2


def test_a_region_may_not_change_in_float32_wherever_it_is() -> None:
    def turned(name: str, vad: NDArray[np.float32]) -> NDArray[np.float32]:
        return 1 - vad if name == "silence 3 s" else vad

    failures = run(turned, FP32_LIMITS).failures
    assert sum("regions changed away" in f for f in failures) == 2


def test_groups_too_small_to_judge_are_named() -> None:
    parity = run()
    (note,) = parity.not_judged
    assert note == "files: share of changed regions not judged: 4 utterances, 8 needed"
    assert note in parity.table()
    assert parity.to_dict()["not_judged"] == list(parity.summary().not_judged) == [note]
    assert run(limits=FP32_LIMITS).not_judged == []


def test_the_record_tells_what_was_judged() -> None:
    parity = run()
    report = json.loads(json.dumps(parity.to_dict(), allow_nan=False))
    each = INT8_LIMITS.of_each.to_dict()
    assert report["judged"] == {
        "single": each, "padded": each, "speech": INT8_LIMITS.to_dict(),
        "files": {**each, "flip_rate": None},
    }  # fmt: skip
    assert report["judged"] == parity.summary().to_dict()["judged"]
    assert read_evidence(report, "parity.json").judged == parity.verdict.judged
    # the same of versions that did not tell
    assert read_evidence({**report, "judged": None}, "x").judged == parity.verdict.judged
    alone = run(added=0, limits=FP32_LIMITS)
    assert set(alone.verdict.judged) == {"single", "padded", "files"}
    assert set(alone.verdict.judged.values()) == {FP32_LIMITS}


def test_rows_hold_what_is_drawn_from_them() -> None:
    parity = run(only("more 3", 0.01), labelled=True)
    report = json.loads(json.dumps(parity.to_dict(), allow_nan=False))
    rows = report["utterances"]
    assert len(rows) == 2 * len(NAMES) + 4 + 20
    (row,) = [r for r in rows if r["name"] == "more 3"]
    assert row["group"] == "speech" and row["extreme"] is False
    assert row["seconds"] == pytest.approx((1600 + 160 * (len(NAMES) + 4 + 3)) / 8000)
    moved = np.array(row["candidate_vad"]) - row["reference_vad"]
    assert moved == pytest.approx([0.01] * 3, abs=2e-6)
    assert row["vad_max"] == pytest.approx(0.01, abs=1e-6)
    assert {r["name"] for r in rows if r["extreme"]} == {"speech 0.025 s", "silence 3 s"}
    assert report["limits"] == INT8_LIMITS.to_dict()


def test_labels_before_and_after() -> None:
    parity = run(lambda _, v: v * np.float32(0.99), labelled=True)
    assert parity.labels is not None and parity.labels.count == 20
    assert parity.labels.before == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    assert all(-0.02 < c < 0 for c in parity.labels.change.values())
    assert parity.to_dict()["labels"] == asdict(parity.summary().labels) == parity.labels.to_dict()
    assert "labels" in parity.table() and "valence 1.0000 -> 0.99" in parity.table()
    assert run().labels is None and "before -> after" not in run().table()


def test_labels_of_what_was_not_answered_are_left_out() -> None:
    parity = run(lambda name, v: None if name == "more 5" else v, labelled=True)
    assert parity.labels is not None and parity.labels.count == 19
    assert parity.labels.after == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    assert parity.failures == [
        "speech: no answer to 1 of the utterances, the first more 5 "
        "(output vad: expected finite numbers, found NaN)"
    ]
    (lost,) = [r for r in parity.utterances if "failure" in r]
    assert lost["candidate_vad"] is None and lost["seconds"] > 0
    few = run(lambda name, v: v if name == "more 5" else None, labelled=True)
    assert few.labels is None and not few.passed


def test_labels_of_something_else_are_refused_before_any_run() -> None:
    words: list[str] = []
    with pytest.raises(UsageError, match=r"labels: expected \[0, 3\], found \[2, 3\]"):
        run_parity(
            Expected([], [], []),
            Told({}, lambda _, v: v),
            Partition(),
            INT8_LIMITS,
            words.append,
            labels=np.full((2, 3), 4.0),
        )
    assert words == []


def test_summary_tells_of_the_largest_group_of_speech() -> None:
    parity = run(labelled=True)
    summary, whole = parity.summary(), parity.groups["speech"]
    assert summary.agreement.group == "speech"
    assert summary.agreement.ccc == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0))
    for name in ("pearson", "angle_mean_degrees", "angle_p99_degrees", "radius_mean", "flip_rate",
                 "flip_rate_near", "head_agreement"):  # fmt: skip
        assert getattr(summary.agreement, name) == getattr(whole, name)
    assert summary.radius_max == 0 and summary.region_flips == 0
    assert run(added=0).summary().agreement.group == "single"
    json.dumps(summary.to_dict(), allow_nan=False)


def test_table_tells_agreement() -> None:
    table = run(only("more 3", 0.05)).table()
    for word in ("CCC with the reference", "Pearson with the reference", "angle mean",
                 "radius mean", "regions changed 0.0%", "borderline 0.0%", "head same 100.0%",
                 "over 9 of speech", "over 20 of speech"):  # fmt: skip
        assert word in table, word


def test_every_row_says_whether_it_is_within_its_limits() -> None:
    parity = run(only("case 3", 0.1))
    failed = {failure.split(":")[0] for failure in parity.failures}
    assert failed and failed < set(parity.groups)
    lines = parity.table().splitlines()
    assert lines[0].endswith("borderline  limits")
    for name in parity.groups:
        (row,) = (line for line in lines if line.split()[0] == name)
        said = "not judged" if name not in parity.verdict.judged else "within"
        assert row.endswith(f"  {'OUTSIDE' if name in failed else said}"), row


def test_limits_of_lower_precision_are_looser_in_order() -> None:
    order = (FP32_LIMITS, FP16_LIMITS, INT8_LIMITS)
    for name in ("vad", "region_logits", "margin"):
        values = [getattr(limits, name) for limits in order]
        assert values == sorted(values) and len(set(values)) == 3, name
    assert FP32_LIMITS.to_dict() == {"vad": 1e-4, "region_logits": 1e-3}
    assert FP16_LIMITS.flip_rate == 0 < INT8_LIMITS.flip_rate
    # in float16 nothing may move as far as the margin, so that no flip outside of it is by chance
    assert FP16_LIMITS.distance < FP16_LIMITS.margin


# --- the cases


def test_cases_that_are_hardly_speech_are_marked(speech: Speech) -> None:
    cases = build_cases(Preprocessing(), list(speech))
    assert {c.name for c in cases if c.extreme} == {
        "speech 0.025 s", "silence 0.5 s", "silence 3 s", "clipped speech 1 s", "faint speech 1 s"
    }  # fmt: skip
    assert case_count(speech) == len(cases)
    assert parity_steps(speech, 7) == parity_steps(speech) + 7
