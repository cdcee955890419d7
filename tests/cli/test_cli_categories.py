"""A model that tells categories apart, from its checkpoint to what every command says of it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from helpers.documents import check_documents
from helpers.export_sessions import open_session
from helpers.tiny_models import Published, published_classifier, save_safetensors

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import CARD
from edge_ser.emotion.heads import softmax
from edge_ser_export import pipeline
from edge_ser_export.builtin import default_calibration_samples

Cli = Callable[..., Any]
NAMES = ("angry", "happy", "neutral", "sad")
ONE = ("--threads", "1")


@pytest.fixture(scope="module")
def clips() -> list[Path]:
    return sorted(default_calibration_samples().glob("*.flac"))[::5]


@pytest.fixture(scope="module")
def published() -> Published:
    return published_classifier(
        "wavlm",
        weighted=True,
        id2label=dict(enumerate(NAMES)),
        problem_type="single_label_classification",
    )


@pytest.fixture(scope="module")
def checkpoint(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.save(tmp_path_factory.mktemp("categories") / "four", save_safetensors)


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, clips: list[Path]) -> Path:
    out = checkpoint.parent / "bundle"
    options = pipeline.ExportOptions(str(checkpoint), out=out, speech=tuple(clips))
    parity = pipeline.export(options, open_session).parity
    assert parity.passed
    assert {group.measure for group in parity.groups.values()} == {"probabilities"}
    assert 0 < max(group.largest for group in parity.groups.values()) < 1e-5
    return out


def test_the_manifest_says_categories_and_nothing_of_dimensions(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    assert manifest.categories == NAMES
    assert not manifest.has_dimensions and not manifest.has_region_head
    document = json.loads((bundle / "manifest.json").read_text())
    assert "regions" not in document
    assert document["task"] == {
        "categories": list(NAMES),
        "probabilities": "softmax(category_logits)",
    }
    assert document["outputs"] == [
        {"name": "category_logits", "dtype": "float32", "shape": ["batch", 4]}
    ]
    assert document["parity"]["category_flips"] == 0
    assert document["parity"]["vad_max"] is None


def test_its_documents_tell_of_categories_and_of_no_region(bundle: Path) -> None:
    check_documents(bundle)
    card = (bundle / CARD).read_text()
    assert "| categories | angry, happy, neutral, sad (a probability each, of" in card
    assert "largest difference of a category's probability" in card
    assert "region" not in card and "largest difference of a dimension" not in card


def test_answers_are_those_of_transformers(
    bundle: Path, published: Published, clips: list[Path]
) -> None:
    with edge_ser.load(bundle, threads=1) as ser:
        emotions = ser(clips)
        prepared = [torch.from_numpy(ser.prepare(clip).samples) for clip in clips]
    for emotion, samples in zip(emotions, prepared, strict=True):
        expected = softmax(published.answer(samples).numpy())[0]
        assert emotion.categories is not None
        np.testing.assert_allclose(np.asarray(emotion.categories), expected, atol=1e-5)
        assert list(emotion.categories) == list(NAMES)
        assert emotion.category == NAMES[int(expected.argmax())]
        assert emotion.entropy == pytest.approx(-(expected * np.log2(expected)).sum(), abs=1e-4)
        assert (emotion.arousal, emotion.sphere, emotion.region) == (None, None, None)
        assert emotion.regions_agree is None
        assert repr(emotion).startswith(f"Emotion(category={emotion.category!r} (0.")


def test_predict_has_the_columns_of_its_head(cli: Cli, bundle: Path, clips: list[Path]) -> None:
    table = cli("predict", bundle, *clips, *ONE)
    assert (table.code, table.err) == (0, "")
    head, *rows = table.out.splitlines()
    assert head.split() == ["file", "category", "probability", "entropy"]
    assert len(rows) == len(clips)
    lines = [json.loads(x) for x in cli("predict", bundle, *clips, "--json", *ONE).out.splitlines()]
    wanted = {"source", "seconds", "category", "categories", "entropy", "doubts", "sound"}
    assert all(set(line) == wanted for line in lines)
    torn = [line["entropy"] > 0.75 * np.log2(len(NAMES)) for line in lines]
    assert [bool(line["doubts"]) for line in lines] == torn
    assert [row.split()[1] for row in rows] == [line["category"] for line in lines]
    told = csv.DictReader(io.StringIO(cli("predict", bundle, *clips, "--format", "csv", *ONE).out))
    for cells, line in zip(told, lines, strict=True):
        assert list(cells)[2:8] == ["category", "entropy", *(f"p({name})" for name in NAMES)]
        assert cells["category"] == line["category"]
        shares = [float(cells[f"p({name})"]) for name in NAMES]
        assert sum(shares) == pytest.approx(1)
        assert NAMES[int(np.argmax(shares))] == cells["category"]


def test_verify_inspect_and_the_page_speak_of_probabilities(
    cli: Cli, bundle: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    verified = cli("verify", bundle, "--report", page, *ONE)
    assert verified.code == 0
    assert "largest difference probabilities" in verified.out
    assert "0 categories changed" in verified.out
    assert "VAD" not in verified.out
    inspected = cli("inspect", bundle).out
    assert "categories     4: angry, happy, neutral, sad" in inspected
    assert "probabilities within" in inspected
    assert "VAD" not in inspected and "regions" not in inspected
    html = page.read_text()
    assert "Probabilities, largest difference" in html
    assert "Emotion sphere" not in html and "Regions changed" not in html


def test_another_order_of_categories_is_another_model(
    cli: Cli, bundle: Path, published: Published, tmp_path: Path
) -> None:
    config = published.config | {
        "id2label": dict(enumerate(reversed(NAMES))),
        "label2id": {name: index for index, name in enumerate(reversed(NAMES))},
    }
    other = Published(config, published.state, published.answer)
    folder = other.save(tmp_path / "other", save_safetensors)
    done = cli("verify", bundle, "--reference", folder, *ONE)
    assert done.code == 1
    assert "another heads" in done.err


@pytest.fixture(scope="module")
def labels(clips: list[Path], bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the bundle answers, in other spellings and all wrong but one; one label is unknown."""
    with edge_ser.load(bundle, threads=1) as ser:
        answered = [emotion.category for emotion in ser(clips)]
    other = {"angry": "H", "happy": "anger", "neutral": "SAD", "sad": "neu"}
    right = {"angry": "A", "happy": "Happiness", "neutral": "N", "sad": "s"}
    named = [right[str(answered[0])], *(other[str(a)] for a in answered[1:-1]), "bored"]
    rows = [f"{clip.name},{name},Test1" for clip, name in zip(clips, named, strict=True)]
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    path.write_text("\n".join(["FileName,EmoClass,Split_Set", *rows, ""]))
    return path


def test_evaluation_by_categories(
    cli: Cli, bundle: Path, labels: Path, clips: list[Path], tmp_path: Path
) -> None:
    held = ("evaluate", bundle, labels, "--audio", clips[0].parent, *ONE)
    saved, picture = tmp_path / "saved.csv", tmp_path / "confusions.png"
    done = cli(*held, "--save-answers", saved, "--plot", picture)
    assert (done.code, done.err) == (0, "")
    assert "CCC" not in done.out
    assert f"of {len(clips) - 1} clips" in done.out
    assert "without a part in it, as the model has no such category: bored (1)" in done.out
    data = json.loads(cli(*held, "--json").out)
    assert "dimensions" not in data
    told = data["categories"]
    assert told["accuracy"] == pytest.approx(1 / (len(clips) - 1))
    assert told["others"] == {"bored": 1}
    assert f"UAR {told['uar']:.3f}" in done.out
    rows = list(csv.DictReader(saved.open()))
    assert [row["FileName"] for row in rows] == [clip.name for clip in clips]
    assert {row["EmoClass"] for row in rows} <= set(NAMES)
    assert picture.read_bytes().startswith(b"\x89PNG")
    gate = cli(*held, "--min-uar", told["uar"] + 0.01)
    assert gate.code == 1 and f"UAR is {told['uar']:.3f}, limit" in gate.err
    assert cli(*held, "--min-uar", told["uar"] - 0.01).code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--min-ccc", "0.5"), "a model and labels of arousal, dominance and valence"),
        (("--min-uar", "2"), "a number in 0..1"),
        (("--category-column", "Mood"), "columns FileName, Mood"),
    ],
)
def test_limits_and_labels_that_do_not_fit_a_classifier(
    cli: Cli, bundle: Path, labels: Path, clips: list[Path], words: tuple[str, ...], expected: str
) -> None:
    done = cli("evaluate", bundle, labels, "--audio", clips[0].parent, *words, *ONE)
    assert done.code == 2
    assert f"expected {expected}, found" in done.err


def test_labels_of_another_kind_are_refused(
    cli: Cli, bundle: Path, clips: list[Path], tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text(f"FileName,EmoAct,EmoDom,EmoVal,Split_Set\n{clips[0].name},4,4,4,Test1\n")
    done = cli("evaluate", bundle, scores, "--audio", clips[0].parent, *ONE)
    assert done.code == 2
    assert "expected a column of categories (EmoClass), found labels of arousal" in done.err


def test_what_needs_dimensions_is_refused(
    cli: Cli, bundle: Path, clips: list[Path], tmp_path: Path
) -> None:
    words = ("predict", bundle, clips[0], *ONE)
    drawn = cli(*words, "--segments", "--plot", tmp_path / "a.png").error()
    assert drawn.startswith("--plot: expected a model of arousal, dominance and valence")
    against = cli(*words, "--baseline", clips[0]).error()
    assert against.startswith("baseline: expected a model of arousal, dominance and valence")


def test_segments_have_the_columns_of_the_head(cli: Cli, bundle: Path, clips: list[Path]) -> None:
    held = ("predict", bundle, clips[0], "--segments", "--window", 1, *ONE)
    table = cli(*held)
    assert (table.code, table.err) == (0, "")
    _, head, *lines = table.out.splitlines()
    assert head.split() == ["start", "end", "category", "probability", "entropy", "speech"]
    rows = list(csv.DictReader(io.StringIO(cli(*held, "--format", "csv").out)))
    assert [line.split()[2] for line in lines[:-1]] == [row["category"] for row in rows]
    assert "arousal" not in rows[0] and float(rows[0]["p(sad)"]) > 0
    rttm = cli(*held, "--format", "rttm").out.splitlines()
    assert [line.split()[7] for line in rttm] == [row["category"] for row in rows]


def test_a_picture_of_segments_needs_dimensions(
    cli: Cli, bundle: Path, clips: list[Path], tmp_path: Path
) -> None:
    picture = tmp_path / "call.png"
    done = cli("predict", bundle, clips[0], "--segments", "--plot", picture, *ONE)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert "--plot: expected a model of arousal, dominance and valence" in line
    assert not picture.exists()


def test_a_stream_has_categories_and_smooths_no_dimensions(bundle: Path, clips: list[Path]) -> None:
    speech = decode_file(clips[0], 16_000)
    with edge_ser.load(bundle, threads=1) as ser, ser.stream(16_000, window=1.0) as stream:
        estimates = [*stream.push(speech), *stream.flush()]
    told = [e for e in estimates if e.emotion is not None]
    assert told and all(e.emotion.category in NAMES for e in told if e.emotion)
    assert all(e.smoothed is None for e in told)


def test_stress_needs_dimensions(cli: Cli, bundle: Path, clips: list[Path]) -> None:
    done = cli("stress", bundle, "--audio", clips[0].parent, "--condition", "gsm")
    assert done.code == 2
    (error,) = [x for x in done.err.splitlines() if x.startswith("edge-ser: error:")]
    assert "arousal, dominance and valence" in error
    assert "categories apart" in error


def test_the_mean_over_a_long_recording_is_of_categories(bundle: Path, clips: list[Path]) -> None:
    with edge_ser.load(bundle, threads=1) as ser:
        index = ser.segments(clips[0], window=1.0)
        pieces = list(index)
        whole = index.overall.emotion
    assert len(pieces) > 1 and whole is not None
    assert whole.category in NAMES
    assert sum(whole.categories.values()) == pytest.approx(1)


def test_a_stream_of_it_has_categories_and_no_running_mean(
    bundle: Path, clips: list[Path], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = decode_file(clips[0], 16_000)
    with edge_ser.load(bundle, threads=1) as ser:
        stream = ser.stream(16_000, window=1.0)
        estimates = stream.push(samples) + stream.flush()
        expected = list(ser.segments(samples, 16_000, window=1.0, hop=0.5, batch_size=1))
    assert [e.emotion for e in estimates] == [s.emotion for s in expected]
    assert all(e.smoothed is None for e in estimates)
    with clips[0].open("rb") as file:
        wav = io.BytesIO()
        soundfile.write(wav, soundfile.read(file)[0], 16_000, format="WAV")
    wav.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(wav, encoding="latin-1"))
    done = cli(
        "listen", bundle, "-", "--window", 1, "--on-poor", "warn",
        "--counters", tmp_path / "c.json", *ONE,
    )  # fmt: skip
    answers = [line for line in done.out.splitlines() if "  end " not in line]
    assert done.code == 0 and len(answers) == len(estimates)
    assert all(any(f"{name} " in line and "%" in line for name in NAMES) for line in answers)
    counters = json.loads((tmp_path / "c.json").read_text())
    assert sum(counters["categories"].values()) == len(estimates)
    assert counters["regions"] == {} and counters["reference"]["recorded_answers"] is None
    assert counters["scores"]["arousal"]["mean"] is None


def test_intervals_of_scores_are_refused(
    cli: Cli, bundle: Path, clips: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    rows = "".join(f"{clip.name},sad,4,4,4\n" for clip in clips)
    table.write_text(f"FileName,EmoClass,EmoAct,EmoDom,EmoVal\n{rows}")
    where = ("--audio", clips[0].parent, "--split", "all", "--calibrate", tmp_path / "out")
    done = cli("evaluate", bundle, table, *where, "--coverage", 0.5, *ONE)
    assert done.error() == (
        "--calibrate: expected answers and labels of arousal, dominance and valence, "
        "found categories"
    )
    assert not (tmp_path / "out").exists()
