"""A bundle's answers to a labelled split, scored."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

import edge_ser
from edge_ser.errors import DataError, UsageError
from edge_ser.fidelity.metrics import ccc
from edge_ser.scoring import plot
from edge_ser.scoring.answers import write_answers

DIMENSIONS = ("arousal", "dominance", "valence")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, utterances: list[Path]) -> Path:
    """A corpus in MSP-Podcast's layout: parts of the sample utterances, in two splits."""
    root = tmp_path_factory.mktemp("corpus")
    (root / "Labels").mkdir()
    (root / "Audios").mkdir()
    rng = np.random.default_rng(5)
    rows = []
    for path in utterances:
        samples, rate = soundfile.read(path, dtype="int16")
        for part, end in enumerate((rate, 2 * rate, samples.size)):
            name = f"{path.stem}_{part}.wav"
            soundfile.write(root / "Audios" / name, samples[:end], rate)
            split = "Test1" if part else "Test2"
            rows.append([name, *(f"{s:.2f}" for s in rng.uniform(1, 7, 3)), split])
    with (root / "Labels" / "labels_consensus.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["FileName", "EmoAct", "EmoDom", "EmoVal", "Split_Set"])
        writer.writerows(rows)
    return root


def labels_of(evaluation: edge_ser.Evaluation) -> np.ndarray:
    return evaluation.clips.labels


def test_every_clip_of_the_split_is_answered_as_alone(
    ser: edge_ser.Recognizer, root: Path, utterances: list[Path]
) -> None:
    evaluation = edge_ser.evaluate(ser, root, split="Test1", batch_size=3)
    assert len(evaluation.clips.files) == 2 * len(utterances)
    assert evaluation.unusable == ()
    for file, answer in zip(evaluation.clips.files, evaluation.answers, strict=True):
        emotion = ser(root / "Audios" / file)
        alone = [getattr(emotion, d) for d in DIMENSIONS]
        assert answer.clip(1, 7).tolist() == pytest.approx(alone, abs=1e-4)
    everything = edge_ser.evaluate(ser, root, split="all")
    assert len(everything.clips.files) == 3 * len(utterances)


def test_scores_are_those_of_the_answers(ser: edge_ser.Recognizer, root: Path) -> None:
    evaluation = edge_ser.evaluate(ser, root)
    expected = ccc(evaluation.answers, labels_of(evaluation))
    assert [evaluation.dimensions[d].ccc for d in DIMENSIONS] == expected.tolist()
    emotions = ser([root / "Audios" / f for f in evaluation.clips.files])
    octants = [
        {(1, 1): 0, (0, 1): 1, (0, 0): 2, (1, 0): 3}[int(a >= 4), int(v >= 4)] + 4 * (d < 4)
        for a, d, v in labels_of(evaluation)
    ]
    points = [e.region.index == octant for e, octant in zip(emotions, octants, strict=True)]
    assert evaluation.geometric.accuracy == np.mean(points)
    heads = [
        e.region_head is not None and e.region_head.index == octant
        for e, octant in zip(emotions, octants, strict=True)
    ]
    assert evaluation.head is not None
    assert evaluation.head.accuracy == np.mean(heads)


def test_a_reference_is_compared_with(ser: edge_ser.Recognizer, root: Path, tmp_path: Path) -> None:
    first = edge_ser.evaluate(ser, root)
    shifted = first.answers + np.array([0.6, 0.0, 0.0])
    write_answers(tmp_path / "torch.csv", first.clips.files[1:], shifted[1:])
    evaluation = edge_ser.evaluate(ser, root, answers=tmp_path / "torch.csv")
    reference = evaluation.reference
    assert reference is not None and reference.source == "torch.csv"
    assert reference.fidelity.count == len(first.clips.files) - 1
    assert reference.fidelity.vad_max == pytest.approx(0.1, abs=1e-6)
    assert reference.fidelity.ccc is not None
    assert reference.fidelity.ccc["arousal"] < 1 - 1e-3
    assert reference.fidelity.ccc["valence"] == pytest.approx(1, abs=1e-6)
    some = labels_of(first)[1:]
    assert list(reference.labels.before.values()) == pytest.approx(
        ccc(shifted[1:], some).tolist(), abs=1e-5
    )
    assert list(reference.labels.after.values()) == pytest.approx(
        ccc(first.answers[1:], some).tolist(), abs=1e-5
    )
    data = json.loads(json.dumps(evaluation.to_dict()))
    assert data["reference"]["labels"]["count"] == len(some)


def test_clips_of_one_name_in_two_folders_are_compared_with_their_own(
    ser: edge_ser.Recognizer, root: Path, tmp_path: Path
) -> None:
    first = edge_ser.evaluate(ser, root)
    rows = ["FileName,EmoAct,EmoDom,EmoVal,Split_Set"]
    for folder, file in zip("abc", first.clips.files, strict=False):
        (tmp_path / folder).mkdir()
        shutil.copy(root / "Audios" / file, tmp_path / folder / "1.wav")
        rows.append(f"{folder}/1.wav,2,3,{'abc'.index(folder) + 1},Test1")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    evaluation = edge_ser.evaluate(ser, tmp_path / "labels.csv", tmp_path)
    write_answers(tmp_path / "saved.csv", evaluation.clips.files, evaluation.answers)
    again = edge_ser.evaluate(
        ser, tmp_path / "labels.csv", tmp_path, answers=tmp_path / "saved.csv"
    )
    assert again.reference is not None and again.reference.fidelity.count == 3
    assert again.reference.fidelity.vad_max < 1e-6


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_of_nothing_are_refused(
    batch_size: int, ser: edge_ser.Recognizer, root: Path
) -> None:
    with pytest.raises(UsageError, match=f"batch size: expected at least 1, found {batch_size}"):
        edge_ser.evaluate(ser, root, batch_size=batch_size)
    with pytest.raises(UsageError, match=f"batch size: expected at least 1, found {batch_size}"):
        list(ser.each([], batch_size=batch_size))


def test_a_reference_of_other_clips_is_refused(
    ser: edge_ser.Recognizer, root: Path, tmp_path: Path
) -> None:
    write_answers(tmp_path / "other.csv", ["x.wav", "y.wav"], np.full((2, 3), 4.0))
    with pytest.raises(DataError, match=r"other\.csv: .*found 0 of 6 among 2 files"):
        edge_ser.evaluate(ser, root, answers=tmp_path / "other.csv")


def test_clips_that_cannot_be_answered_are_named_and_have_no_part(
    ser: edge_ser.Recognizer, root: Path, tmp_path: Path
) -> None:
    spoilt = Path(shutil.copytree(root, tmp_path / "corpus"))
    whole = edge_ser.evaluate(ser, spoilt)
    missing, silent = whole.clips.files[1], whole.clips.files[3]
    (spoilt / "Audios" / missing).unlink()
    soundfile.write(spoilt / "Audios" / silent, np.zeros(16_000, np.int16), 16_000)
    evaluation = edge_ser.evaluate(ser, spoilt)
    assert evaluation.unusable == (
        f"{missing}: expected an audio file, found no such file",
        f"{silent}: expected a signal, found 16000 samples, all zero",
    )
    left = [0, 2, 4, 5]
    assert evaluation.clips.files == tuple(whole.clips.files[i] for i in left)
    expected = ccc(whole.answers[left], labels_of(whole)[left])
    found = [evaluation.dimensions[d].ccc for d in DIMENSIONS]
    assert found == pytest.approx(expected.tolist(), abs=1e-4)


def test_nothing_that_can_be_answered_is_refused(
    ser: edge_ser.Recognizer, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"at least two clips .* found 0 of 6 \(.*no such file"):
        edge_ser.evaluate(ser, root, audio=tmp_path)


def test_a_bundle_may_be_named(root: Path, ser: edge_ser.Recognizer) -> None:
    by_name = edge_ser.evaluate(ser.bundle.root, root, split="Test2")
    assert by_name.dimensions == edge_ser.evaluate(None, root, split="Test2").dimensions


def test_the_picture_shows_every_clip(ser: edge_ser.Recognizer, root: Path, tmp_path: Path) -> None:
    evaluation = edge_ser.evaluate(ser, root)
    panels = plot.figure(evaluation).axes
    assert [p.get_title(loc="left").split(":")[0] for p in panels] == list(DIMENSIONS)
    for column, panel in enumerate(panels):
        points = np.asarray(panel.collections[0].get_offsets())
        assert np.array_equal(points[:, 0], labels_of(evaluation)[:, column])
        assert np.array_equal(points[:, 1], evaluation.answers[:, column].clip(1, 7))
    plot.write_plot(tmp_path / "scatter.svg", evaluation)
    assert ElementTree.parse(tmp_path / "scatter.svg").getroot().tag.endswith("svg")


def test_many_clips_are_drawn_by_their_density(ser: edge_ser.Recognizer, root: Path) -> None:
    few = edge_ser.evaluate(ser, root)
    rng = np.random.default_rng(0)
    labels = rng.normal(4, 1, (3000, 3)).clip(1, 7)
    files = tuple(f"{i}.wav" for i in range(3000))
    many = replace(
        few,
        clips=replace(few.clips, files=files, labels=labels),
        answers=labels + rng.normal(0, 0.5, labels.shape),
    )
    for panel in plot.figure(many).axes:
        (density,) = panel.collections
        assert density.get_array().sum() == 3000, "every clip is counted"
