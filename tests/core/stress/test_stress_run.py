"""Answers under conditions, and what is compared of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.rounded_twin import rounded_twin

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import DataError, MissingPathError, UsageError
from edge_ser.fidelity.metrics import ccc
from edge_ser.stress.clips import Clips, describe_clips
from edge_ser.stress.perturbations import Condition, choose
from edge_ser.stress.run import Stress, stress
from edge_ser.stress.scores import change_between


@pytest.mark.filterwarnings("ignore::edge_ser.PoorAudioWarning")
def test_the_answers_are_those_of_the_perturbed_samples(
    result: Stress, clips: Clips, twin: Path
) -> None:
    (outcome,) = (o for o in result.outcomes if o.name == "quieter-20db")
    with edge_ser.load(twin, threads=1) as ser:
        for index in (0, 7):
            samples = decode_file(clips.files[index], 16_000)
            for factor, answers in ((1, result.clean), (np.float32(0.1), outcome)):
                utterance = ser.prepare(samples * factor, 16_000)
                vad = ser.infer([utterance]).vad[0]
                np.testing.assert_allclose(answers.vad[index], vad, atol=1e-5)


def test_changes_are_those_of_the_answers(result: Stress) -> None:
    assert [o.name for o in result.outcomes] == [
        "noise-10db", "babble-20db", "babble-10db", "babble-5db", "gsm", "quieter-20db", "speed-90",
    ]  # fmt: skip
    assert result.clean.scores.change is None and result.not_tried == {} and not result.unusable
    for outcome in result.outcomes:
        change = outcome.scores.change
        assert change is not None and change.count == 16
        moved = outcome.vad.astype(np.float64) - result.clean.vad
        assert change.vad == pytest.approx(np.abs(moved).mean(), abs=1e-6)
        assert change.bias == pytest.approx(
            dict(zip(("arousal", "dominance", "valence"), moved.mean(0), strict=True)), abs=1e-6
        )
        assert change.ccc is not None
        assert list(change.ccc.values()) == pytest.approx(ccc(result.clean.vad, outcome.vad))
        assert 0 <= change.flips <= 1 and 0 < change.angle < 180
    harsh, mild = (result.outcomes[i].scores.change for i in (3, 1))
    assert harsh is not None and mild is not None
    assert harsh.vad > 1.5 * mild.vad, "more babble moves answers farther"


def test_lower_precision_costs_less_than_noise(result: Stress) -> None:
    assert result.against == "emosphere-spectral (onnx-fp32)"
    for outcome in (result.clean, *result.outcomes):
        against = outcome.scores.against
        assert against is not None and 0 < against.vad < 0.05
        assert against.worst_ccc is not None and against.worst_ccc > 0.9


def test_labels_are_compared_under_every_condition(result: Stress) -> None:
    clean, harsh = result.clean.scores.labels, result.outcomes[3].scores.labels
    assert clean is not None and harsh is not None
    assert clean.count == 16
    assert clean.worst_ccc is not None and harsh.worst_ccc is not None
    assert clean.worst_ccc > 0.6 > harsh.worst_ccc


def test_groups_are_parts_of_the_whole(result: Stress) -> None:
    for outcome in result.outcomes:
        parts = [scores.change for scores in outcome.groups.values()]
        assert list(outcome.groups) == ["rms", "slt"]
        assert [p.count for p in parts if p is not None] == [8, 7], "one clip has no group"
    index = np.array(result.clips.groups) == "rms"
    gsm = result.outcomes[4]
    change = gsm.groups["rms"].change
    assert change is not None
    assert change.vad == pytest.approx(
        np.abs(gsm.vad[index].astype(np.float64) - result.clean.vad[index]).mean(), abs=1e-6
    )


def test_json_has_every_figure(result: Stress) -> None:
    data = json.loads(json.dumps(result.to_dict()))
    assert data["clips"] == 16 and data["target"] == "onnx-fp32" and data["seconds"] > 30
    assert list(data["conditions"])[:2] == ["clean", "noise-10db"]
    noise = data["conditions"]["noise-10db"]
    assert noise["change"]["flips"] == result.outcomes[0].scores.change.flips  # type: ignore[union-attr]
    assert set(noise["groups"]) == {"rms", "slt"}
    assert noise["groups"]["slt"]["labels"]["count"] == 7


def test_what_cannot_be_had_is_named_and_the_rest_goes_on(
    ser: edge_ser.Recognizer, clips: Clips, tmp_path: Path
) -> None:
    broken, silent = tmp_path / "broken.wav", tmp_path / "silent.wav"
    broken.write_text("no audio")
    soundfile.write(silent, np.zeros(16_000), 16_000)
    files = [broken, *clips.files[:2], silent]
    few = describe_clips(tmp_path, files)
    result = stress(ser, few, choose(["babble-5db", "telephone"]))
    assert [o.name for o in result.outcomes] == ["telephone"]
    assert "expected at least 3 other clips, found 1" in result.not_tried["babble-5db"]
    assert result.clips.names == tuple(f.name for f in clips.files[:2])
    assert [line.split(":")[0] for line in result.unusable] == ["broken.wav", "silent.wav"]
    with pytest.raises(DataError, match=r"expected at least 2 that can be answered, found 1; br"):
        stress(ser, describe_clips(tmp_path, files[:2]), choose(["gsm"]))


def test_a_version_without_an_answer_is_left_out_of_its_condition(
    ser: edge_ser.Recognizer, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = clips.names[1]
    apply = Condition.apply

    def silence_one(
        self: Condition, samples: object, rate: int, clip: str, *more: object
    ) -> object:
        version = apply(self, samples, rate, clip, *more)  # type: ignore[arg-type]
        return version * 0 if clip == lost and self.kind == "gsm" else version

    monkeypatch.setattr(Condition, "apply", silence_one)
    result = stress(ser, clips.some(range(3)), choose(["gsm", "quieter-10db"]))
    counts = [o.scores.change.count for o in result.outcomes if o.scores.change is not None]
    assert counts == [2, 3]
    assert result.unusable[0].startswith(f"{lost} under gsm: expected a signal, found")


def test_a_bundle_of_another_model_is_no_measure(
    ser: edge_ser.Recognizer, clips: Clips, tmp_path: Path
) -> None:
    def other_rules(manifest: Manifest) -> Manifest:
        return replace(manifest, preprocessing=replace(manifest.preprocessing, mean=0.5))

    with (
        edge_ser.load(rounded_twin(tmp_path / "other", other_rules), threads=1) as other,
        pytest.raises(UsageError, match="expected another bundle of the same model"),
    ):
        stress(ser, clips, choose(["gsm"]), other)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,group\na,b\n", "expected columns file and group, found name, group"),
        ("file,group\nother.wav,b\n", "expected names of the 16 clips, such as rms_"),
        ("file,group\na.wav,b\na.wav,c\n", "expected one group of a.wav, found b and c"),
    ],
)
def test_tables_of_groups_that_do_not_fit(
    speech: Path, tmp_path: Path, table: str, said: str
) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(table)
    with pytest.raises(DataError, match=said):
        describe_clips(speech, sorted(speech.glob("*.flac")), path)


def test_tables_that_are_not_there(speech: Path, tmp_path: Path) -> None:
    files = sorted(speech.glob("*.flac"))
    with pytest.raises(MissingPathError, match="expected a table of groups"):
        describe_clips(speech, files, tmp_path / "none.csv")
    with pytest.raises(MissingPathError, match="expected answers as CSV or JSON"):
        describe_clips(speech, files, labels=tmp_path / "none.csv")


def test_nothing_in_common_is_no_change(ser: edge_ser.Recognizer) -> None:
    some = np.array([[0.5, 0.5, 0.5], [np.nan] * 3], np.float32)
    assert change_between(some, some[::-1], ser.manifest.partition) is None
    alone = change_between(some, some, ser.manifest.partition)
    assert alone is not None and alone.count == 1 and alone.worst_ccc is None
