"""Training: the objective, the label table, the corpus, and real runs of the command."""

import csv
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny_models import encoder_config, joint_config, noise, random_joint, run_one, wavlm_config
from transformers import Wav2Vec2Config, Wav2Vec2Model, WavLMModel

from edge_ser.audio import Preprocessing
from edge_ser.cli import main
from edge_ser.errors import CheckpointError, DataError, MissingPathError
from edge_ser.metrics import ccc
from edge_ser_export.checkpoint import load_checkpoint
from edge_ser_export.deploy import DeploymentEncoder
from edge_ser_export.store import save_checkpoint
from edge_ser_export.training.build import build_model
from edge_ser_export.training.data import Corpus, LabelTable, read_labels
from edge_ser_export.training.distill import start_from_teacher
from edge_ser_export.training.losses import auxiliary_weight, ccc_loss, class_weights
from edge_ser_export.training.train import TrainConfig, Trainer

COLUMNS = ("FileName", "EmoAct", "EmoVal", "EmoDom", "Split_Set")
Row = dict[str, str]


def write_labels(path: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_samples(clips: Path) -> list[Row]:
    with (clips / "samples.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def split_rows(clips: Path) -> list[Row]:
    """Sixteen clips to train on, and parts of them again for the other splits."""
    samples = read_samples(clips)
    parts = {"Train": samples, "Development": samples[:8], "Test1": samples[8:13]}
    return [{**row, "Split_Set": split} for split, rows in parts.items() for row in rows]


@pytest.fixture(scope="module")
def labels(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("labels") / "labels.csv", split_rows(clips))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def corpus(labels: Path, clips: Path, cache: Path) -> Corpus:
    return Corpus(read_labels(labels, clips), clips, cache, 12.0)


# --- the objective


def test_ccc_loss_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), 0.3 * rng.normal(size=(20, 3)) + 0.5
    total = 0.0
    for d in range(3):
        a, b = x[:, d], y[:, d]
        covariance = np.mean((a - a.mean()) * (b - b.mean()))
        # population variances: divided by n, not by n - 1
        variances = np.mean((a - a.mean()) ** 2) + np.mean((b - b.mean()) ** 2)
        total += 1 - 2 * covariance / (variances + (a.mean() - b.mean()) ** 2)
    found = float(ccc_loss(torch.from_numpy(x), torch.from_numpy(y)))
    assert found == pytest.approx(total, abs=1e-6)
    assert found == pytest.approx(float((1 - ccc(x, y)).sum()), abs=1e-6)  # as it is evaluated


def test_ccc_loss_at_its_ends() -> None:
    x = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    assert float(ccc_loss(x, x)) == pytest.approx(0, abs=1e-5)
    centred = x - x.mean(0)
    assert float(ccc_loss(-centred, centred)) == pytest.approx(6, abs=1e-5)
    same = torch.full((8, 3), 0.5, requires_grad=True)
    loss = ccc_loss(same, torch.rand(8, 3))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(3, abs=1e-3)  # no variance, no agreement
    assert torch.isfinite(same.grad).all()


def test_ccc_loss_descends() -> None:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(16, 3, generator=generator)
    guess = torch.rand(16, 3, generator=generator).requires_grad_(True)
    losses = []
    for _ in range(40):
        loss = ccc_loss(guess, target)
        (gradient,) = torch.autograd.grad(loss, guess)
        guess = (guess - gradient).detach().requires_grad_(True)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_class_weights_are_inverse_frequencies() -> None:
    regions = torch.tensor([0] * 6 + [1] * 3 + [7] * 1)
    expected = [10 / (8 * 6), 10 / (8 * 3), 0, 0, 0, 0, 0, 10 / 8]
    torch.testing.assert_close(class_weights(regions, 8), torch.tensor(expected))
    even = class_weights(torch.arange(8).repeat(5), 8)
    torch.testing.assert_close(even, torch.ones(8))


def test_class_weights_make_regions_equal() -> None:
    """Every region that occurs has the same share in the weighted sum."""
    regions = torch.tensor([2] * 9 + [5] * 1)
    weights = class_weights(regions, 8)
    shares = F.one_hot(regions, 8).float().sum(0) * weights
    assert shares[2] == shares[5] > 0


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_auxiliary_weight(floor: float) -> None:
    found = [auxiliary_weight(epoch, floor) for epoch in range(8)]
    assert found == pytest.approx([1, 0.802, 0.604, 0.406, 0.208, floor, floor, floor])


# --- the label table


def test_labels(labels: Path, clips: Path) -> None:
    table = read_labels(labels, clips)
    assert len(table.files) == 29
    assert table.rows("Train").tolist() == list(range(16))
    assert table.rows("Development").tolist() == list(range(16, 24))
    first = read_samples(clips)[0]
    # in the order of the model's outputs, which is not that of the file
    assert table.scores[0].tolist() == [float(first[c]) for c in ("EmoAct", "EmoDom", "EmoVal")]
    second = read_samples(clips)[1]
    assert table.scores[1].tolist() == [float(second[c]) for c in ("EmoAct", "EmoDom", "EmoVal")]
    assert len(set(table.scores[1])) > 1


def test_labels_with_byte_order_mark_and_more_columns(
    labels: Path, clips: Path, tmp_path: Path
) -> None:
    text = labels.read_text().splitlines()
    text = [f"{line},{'Speaker' if i == 0 else 'x'}" for i, line in enumerate(text)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(text), encoding="utf-8-sig")
    assert read_labels(path, clips).files == read_labels(labels, clips).files


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column_is_named(clips: Path, tmp_path: Path, column: str) -> None:
    columns = tuple(c for c in COLUMNS if c != column)
    path = write_labels(tmp_path / "labels.csv", split_rows(clips), columns)
    with pytest.raises(DataError, match=f"no {column}"):
        read_labels(path, clips)


def test_missing_audio_is_counted_and_named(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    rows[3]["FileName"], rows[5]["FileName"] = "absent-1.flac", "absent-2.flac"
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"2 missing.*absent-1\.flac"):
        read_labels(path, clips)


@pytest.mark.parametrize("value", ["0.99", "7.01", "-4", "nan", "inf"])
@pytest.mark.parametrize("column", COLUMNS[1:4])
def test_scores_out_of_range_are_refused(
    clips: Path, tmp_path: Path, column: str, value: str
) -> None:
    rows = split_rows(clips)
    rows[4][column] = value
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"line 6.*1\.\.7"):
        read_labels(path, clips)


@pytest.mark.parametrize("value", ["neutral", "", "4,2", "4.0.0"])
def test_scores_that_are_no_numbers_are_refused(clips: Path, tmp_path: Path, value: str) -> None:
    rows = split_rows(clips)
    rows[0]["EmoVal"] = value
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"line 2.*three numbers"):
        read_labels(path, clips)


def test_scores_at_the_ends_are_taken(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    rows[0]["EmoVal"], rows[1]["EmoVal"] = "1", "7"
    table = read_labels(write_labels(tmp_path / "labels.csv", rows), clips)
    assert table.scores[:2, 2].tolist() == [1.0, 7.0]


def test_table_without_rows_is_refused(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="header only"):
        read_labels(write_labels(tmp_path / "labels.csv", []), clips)


def test_empty_table_is_refused(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    with pytest.raises(DataError, match="FileName"):
        read_labels(tmp_path / "labels.csv", clips)


def test_missing_paths_are_refused(labels: Path, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="label table"):
        read_labels(tmp_path / "absent.csv", clips)
    with pytest.raises(MissingPathError, match="folder of audio"):
        read_labels(labels, tmp_path / "absent")


def test_table_in_another_encoding_is_refused(clips: Path, tmp_path: Path) -> None:
    rows = [{**row, "Speaker": "José"} for row in split_rows(clips)]
    path = write_labels(tmp_path / "labels.csv", rows, (*COLUMNS, "Speaker"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv"):
        read_labels(path, clips)


@pytest.mark.parametrize("missing", ["Train", "Development"])
def test_missing_split_is_named(
    clips: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    rows = [r for r in split_rows(clips) if r["Split_Set"] != missing]
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=missing):
        read_labels(path, clips).rows(missing)
    out = tmp_path / "run"
    assert main(["train", str(path), "--audio", str(clips), "-o", str(out)]) == 2
    assert f"Split_Set = {missing}" in capsys.readouterr().err
    assert not out.exists()


def test_rows_without_a_split_belong_to_none(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    path = write_labels(tmp_path / "labels.csv", rows)
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0]  # the row ends before its last column
    path.write_text("\n".join(lines))
    with pytest.raises(DataError):
        read_labels(path, clips).rows("Test2")


# --- the corpus


def test_corpus_holds_the_audio(corpus: Corpus, clips: Path) -> None:
    for row in (0, 5, 20):
        expected, _ = librosa.load(clips / corpus.table.files[row], sr=16_000, mono=True)
        found = corpus.raw(row)
        assert found.dtype == np.float32
        assert found.size == corpus.lengths[row] == expected.size
        assert np.abs(found - expected).max() <= 0.5001 / 32768


def test_corpus_statistics(corpus: Corpus) -> None:
    rows = corpus.table.rows("Development")
    everything = np.concatenate([corpus.raw(r) for r in rows]).astype(np.float64)
    mean, std = corpus.statistics(rows)
    assert mean == pytest.approx(everything.mean(), abs=1e-12)
    assert std == pytest.approx(everything.std(), rel=1e-9)
    assert corpus.statistics(corpus.table.rows("Test1")) != (mean, std)


def test_corpus_cuts_long_files(corpus: Corpus, clips: Path, tmp_path: Path) -> None:
    short = Corpus(corpus.table, clips, tmp_path, 0.5)
    assert set(short.lengths.tolist()) == {8000}
    assert np.array_equal(short.raw(3), corpus.raw(3)[:8000])


def state_of(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_corpus_is_decoded_once(labels: Path, clips: Path, tmp_path: Path) -> None:
    table = read_labels(labels, clips)
    first = Corpus(table, clips, tmp_path, 12.0)
    before = state_of(tmp_path)
    assert len(before) == 2
    second = Corpus(table, clips, tmp_path, 12.0)
    assert state_of(tmp_path) == before
    assert np.array_equal(first.samples, second.samples)
    assert np.array_equal(first.lengths, second.lengths)


def tiny_table(folder: Path) -> LabelTable:
    rows = [
        {"FileName": "a.wav", "EmoAct": "3", "EmoVal": "4", "EmoDom": "5", "Split_Set": "Train"}
    ]
    return read_labels(write_labels(folder / "labels.csv", rows), folder)


@pytest.mark.parametrize("count", [9000, 8000], ids=["longer", "same-size"])
def test_changed_audio_is_decoded_again(tmp_path: Path, count: int) -> None:
    old, new = noise(8000, 1).numpy() / 8, noise(count, 2).numpy() / 8
    soundfile.write(tmp_path / "a.wav", old, 16_000, subtype="PCM_16")
    os.utime(tmp_path / "a.wav", (1_600_000_000, 1_600_000_000))
    Corpus(tiny_table(tmp_path), tmp_path, tmp_path / "cache", 12.0)
    soundfile.write(tmp_path / "a.wav", new, 16_000, subtype="PCM_16")
    corpus = Corpus(tiny_table(tmp_path), tmp_path, tmp_path / "cache", 12.0)
    found = corpus.raw(0)
    assert found.size == count
    assert np.abs(found - new).max() < 1e-4


def test_interrupted_decoding_is_not_taken_for_a_cache(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(8000).numpy() / 8, 16_000)
    cache = tmp_path / "cache"
    Corpus(tiny_table(tmp_path), tmp_path, cache, 12.0)
    for path in cache.glob("*.json"):  # written last
        path.unlink()
    for path in cache.glob("*.int16"):
        path.write_bytes(b"\0" * 100)
    assert Corpus(tiny_table(tmp_path), tmp_path, cache, 12.0).raw(0).size == 8000


def batches(corpus: Corpus, size: int, crop: int = 0, seed: int | None = None) -> list[Any]:
    rng = None if seed is None else np.random.default_rng(seed)
    preprocessing = Preprocessing(mean=0.01, std=0.1)
    return list(corpus.batches(corpus.table.rows("Train"), size, preprocessing, crop, rng))


@pytest.mark.parametrize("size", [1, 3, 5, 16, 100])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_batches_cover_every_row_once(corpus: Corpus, size: int, seed: int | None) -> None:
    found = batches(corpus, size, seed=seed)
    rows = np.concatenate([b[0] for b in found])
    assert sorted(rows.tolist()) == corpus.table.rows("Train").tolist()
    assert len(found) == -(-16 // size)
    assert all(len(b[0]) <= size for b in found)


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_the_normalised_audio_and_zeros(corpus: Corpus, seed: int | None) -> None:
    for rows, samples, lengths in batches(corpus, 4, seed=seed):
        assert samples.dtype == torch.float32
        assert samples.shape == (len(rows), int(lengths.max()))
        for row, x, n in zip(rows, samples, lengths.tolist(), strict=True):
            assert n == corpus.lengths[row]
            expected = (corpus.raw(row) - np.float32(0.01)) / np.float32(0.1 + 1e-6)
            np.testing.assert_allclose(x[:n].numpy(), expected, atol=1e-5)
            assert not x[n:].any()


def test_batches_follow_their_seed(corpus: Corpus) -> None:
    def drawn(seed: int) -> list[tuple[list[int], bytes]]:
        found = batches(corpus, 3, crop=6000, seed=seed)
        return [(rows.tolist(), samples.numpy().tobytes()) for rows, samples, _ in found]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_batches_without_a_seed_are_in_order_of_length(corpus: Corpus) -> None:
    lengths = [n for _, _, sizes in batches(corpus, 3) for n in sizes.tolist()]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3


def test_crops_are_parts_of_their_utterance(corpus: Corpus) -> None:
    starts = set()
    for rows, samples, lengths in batches(corpus, 4, crop=5000, seed=0):
        for row, x, n in zip(rows, samples, lengths.tolist(), strict=True):
            assert n == 5000
            whole = (corpus.raw(row) - np.float32(0.01)) / np.float32(0.1 + 1e-6)
            windows = np.lib.stride_tricks.sliding_window_view(whole, 64)
            near = np.flatnonzero(np.abs(windows - x[:64].numpy()).max(1) < 1e-6)
            assert near.size
            starts.add(int(near[0]))
            np.testing.assert_allclose(whole[near[0] : near[0] + n], x.numpy(), atol=1e-6)
    assert len(starts) > 10


# --- runs


Train = Callable[..., int]


@pytest.fixture(scope="module")
def train(labels: Path, clips: Path, cache: Path) -> Train:
    """Runs the command with settings that a few clips can be learnt with."""

    def command(out: Path, *more: str, table: Path = labels) -> int:
        settings = ["--batch-size", "8", "--accumulate", "1", "--learning-rate", "3e-4"]
        return main([
            "train", str(table), "--audio", str(clips), "-o", str(out), "--cache", str(cache),
            "--device", "cpu", *settings, *more,
        ])  # fmt: skip

    return command


@pytest.fixture(scope="module")
def spectral(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, without interruption."""
    out = tmp_path_factory.mktemp("runs") / "spectral"
    assert train(out, "--encoder", "spectral", "--epochs", "2", "--licence", "CC0-1.0") == 0
    return out


def history_of(run: Path) -> list[dict[str, Any]]:
    found = json.loads((run / "history.json").read_text())
    assert isinstance(found, list)
    return found


def best_of(run: Path) -> dict[str, Any]:
    records = [h["development"] for h in history_of(run)]
    return max(records, key=lambda d: sum(d["ccc"].values()))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "best.safetensors")


def last_of(run: Path) -> dict[str, Any]:
    state = torch.load(run / "last.pt", weights_only=True)
    assert isinstance(state, dict)
    return state


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_run_writes_what_it_promises(spectral: Path, corpus: Corpus) -> None:
    names = {p.name for p in spectral.iterdir()}
    assert names == {"best.safetensors", "history.json", "learning-curve.png", "last.pt"}
    history = history_of(spectral)
    assert [h["epoch"] for h in history] == [0, 1]
    for record in history:
        assert 0 < record["ccc_loss"] < 6
        assert 0 < record["region_loss"] < 20
        assert record["development"]["count"] == 8
        assert all(-1 <= v <= 1 for v in record["development"]["ccc"].values())
    assert [h["region_weight"] for h in history] == pytest.approx([1, 0.802])
    checkpoint = load_checkpoint(spectral / "best.safetensors")
    mean, std = corpus.statistics(corpus.table.rows("Train"))
    config = checkpoint.config
    assert (config.mean, config.std, config.eps) == (mean, std, 1e-6)
    assert (config.region_count, config.normalization) == (8, "corpus")
    assert config.weights_licence == "CC0-1.0"


def test_learning_curve_is_a_picture(spectral: Path) -> None:
    path = spectral / "learning-curve.png"
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    picture = matplotlib.image.imread(path)
    assert picture.shape[:2] == (height, width)
    assert width > height > 200
    assert picture.std() > 0.05


def test_every_weight_is_trained(spectral: Path) -> None:
    torch.manual_seed(7)
    start = build_model("spectral").state_dict()
    learnt = last_of(spectral)["model"]
    assert set(start) == set(learnt)
    assert all(not torch.equal(start[k], learnt[k]) for k in start)


def test_evaluation_says_what_training_said(
    spectral: Path, labels: Path, clips: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(labels), "--audio", str(clips), "--cache", str(cache), "--evaluate",
               str(spectral / "best.safetensors"), "--split", "Development"]  # fmt: skip
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    best = best_of(spectral)
    assert said.pop("split") == "Development"
    assert said["ccc"] == pytest.approx(best["ccc"], abs=1e-6)
    assert {k: v for k, v in said.items() if k != "ccc"} == {
        k: v for k, v in best.items() if k != "ccc"
    }
    assert main(command) == 0
    line = capsys.readouterr().out
    assert line.startswith("Development: CCC ")
    assert all(f"{name} {value:.3f}" in line for name, value in best["ccc"].items())
    assert "(8 utterances)" in line
    assert main([*command[:-1], "Test1"]) == 0
    assert "(5 utterances)" in capsys.readouterr().out


def test_evaluation_is_that_of_its_formula(spectral: Path, corpus: Corpus) -> None:
    checkpoint = load_checkpoint(spectral / "best.safetensors")
    config = checkpoint.config
    predicted, head, truth = [], [], []
    for row in corpus.table.rows("Development"):
        x = (corpus.raw(row) - np.float32(config.mean)) / np.float32(config.std + config.eps)
        vad, logits = run_one(checkpoint.model, torch.from_numpy(x))
        predicted.append(vad[0].tolist())
        head.append(int(logits.argmax()))
        a, d, v = corpus.table.scores[row] >= 4
        truth.append({(1, 1): 0, (0, 1): 1, (0, 0): 2, (1, 0): 3}[int(a), int(v)] + 4 * (not d))
    target = (corpus.table.scores[corpus.table.rows("Development")] - 1) / 6
    best = best_of(spectral)
    assert list(best["ccc"].values()) == pytest.approx(ccc(predicted, target), abs=1e-5)
    assert best["region_head"] == np.mean(np.equal(head, truth))


def test_resumed_run_gives_the_same_weights(spectral: Path, train: Train, tmp_path: Path) -> None:
    out = tmp_path / "resumed"
    common = ("--encoder", "spectral", "--licence", "CC0-1.0")
    assert train(out, *common, "--epochs", "1") == 0
    assert len(history_of(out)) == 1
    assert train(out, *common, "--epochs", "2", "--resume") == 0
    assert history_of(out) == history_of(spectral)
    assert same_weights(weights_of(out), weights_of(spectral))
    assert same_weights(last_of(out)["model"], last_of(spectral)["model"])


def test_interrupted_run_gives_the_same_weights(corpus: Corpus, tmp_path: Path) -> None:
    """With everything that has a state of its own: schedule, average, crops, projection."""
    config = TrainConfig(
        encoder="spectral", epochs=2, batch_size=6, accumulate=2, learning_rate=1e-3,
        schedule="cosine", crop_seconds=1.0, ema=0.8, device="cpu",
    )  # fmt: skip
    # frames as far apart as the student's, of another width
    teacher = random_joint(joint_config("spectral"))
    mean, std = corpus.statistics(corpus.table.rows("Train"))
    teacher.config = replace(teacher.config, mean=mean, std=std)
    Trainer(config, corpus, tmp_path / "whole", teacher, say=lambda _: None).run()

    def interrupt(line: str) -> None:
        if line.startswith("epoch 2/"):  # the state on disk is that of the first epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(config, corpus, tmp_path / "cut", teacher, say=interrupt).run()
    assert len(history_of(tmp_path / "cut")) == 1
    Trainer(config, corpus, tmp_path / "cut", teacher, resume=True, say=lambda _: None).run()
    assert history_of(tmp_path / "cut") == history_of(tmp_path / "whole")
    whole, cut = last_of(tmp_path / "whole"), last_of(tmp_path / "cut")
    for part in ("model", "average", "projection"):
        assert same_weights(cut[part], whole[part]), part
    assert not same_weights(whole["model"], whole["average"])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("--seed", "8"), "seed = 7"),
        (("--batch-size", "4"), "batch_size = 8"),
        (("--encoder", "wavlm-tiny"), "encoder = spectral"),
        (("--no-bfloat16",), "bfloat16 = True"),
        (("--learning-rate", "1e-4"), "learning_rate = 0.0003"),
    ],
)
def test_resume_with_other_settings_is_refused(
    spectral: Path, train: Train, capsys: pytest.CaptureFixture[str],
    changed: tuple[str, ...], named: str,
) -> None:  # fmt: skip
    before = {p.name: p.read_bytes() for p in spectral.iterdir()}
    common = ("--encoder", "spectral", "--licence", "CC0-1.0", "--epochs", "3", "--resume")
    assert train(spectral, *common, *changed) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert named in message
    assert {p.name: p.read_bytes() for p in spectral.iterdir()} == before


def test_a_run_is_not_overwritten(
    spectral: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name: p.read_bytes() for p in spectral.iterdir()}
    assert train(spectral, "--encoder", "spectral", "--epochs", "2") == 2
    assert "--resume" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in spectral.iterdir()} == before


def test_nothing_to_resume_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "run", "--encoder", "spectral", "--resume") == 2
    assert "last.pt" in capsys.readouterr().err


class Hostile:
    """Unpickles by creating a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("damage", ["truncated", "hostile"])
def test_damaged_state_is_refused(
    spectral: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    out = tmp_path / "run"
    shutil.copytree(spectral, out)
    marker = tmp_path / "it-ran"
    if damage == "truncated":
        content = (out / "last.pt").read_bytes()
        (out / "last.pt").write_bytes(content[: len(content) // 2])
    else:
        (out / "last.pt").write_bytes(pickle.dumps(Hostile(marker)))
    common = ("--encoder", "spectral", "--licence", "CC0-1.0", "--epochs", "2", "--resume")
    assert train(out, *common) == 2
    assert "last.pt" in capsys.readouterr().err
    assert not marker.exists()


def test_the_best_epoch_is_kept_and_reported(
    clips: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = split_rows(clips)
    for row in rows:
        if row["Split_Set"] == "Development":  # the opposite of what is learnt
            for column in COLUMNS[1:4]:
                row[column] = f"{8 - float(row[column]):.4f}"
    table = write_labels(tmp_path / "labels.csv", rows)
    out = tmp_path / "run"
    settings = ("--encoder", "spectral", "--epochs", "5")
    assert train(out, *settings, table=table) == 0
    totals = [sum(h["development"]["ccc"].values()) for h in history_of(out)]
    assert totals[-1] < max(totals) - 0.2, "the run should learn, and so get worse here"
    best = best_of(out)

    def reported() -> bool:
        lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("best on Dev")]
        assert len(lines) == 1
        return all(f"{name} {value:.3f}" in lines[0] for name, value in best["ccc"].items())

    assert reported()
    kept = weights_of(out)
    assert not same_weights(kept, last_of(out)["average"])
    # nothing is left to train: the same epoch is the best one still
    assert train(out, *settings, "--resume", table=table) == 0
    assert same_weights(weights_of(out), kept)
    assert reported()


def test_raw_waveform_preset_with_stem_and_teacher(
    spectral: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wavlm"
    teacher = str(spectral / "best.safetensors")
    more = ("--stem-steps", "2", "--teacher", teacher, "--crop-seconds", "1", "--half")
    assert train(out, "--encoder", "wavlm-tiny", "--epochs", "1", *more) == 0
    assert "after 2 steps" in capsys.readouterr().out
    history = history_of(out)
    assert len(history) == 1
    assert np.isfinite([history[0]["ccc_loss"], history[0]["region_loss"]]).all()
    checkpoint = load_checkpoint(out / "best.safetensors")
    assert checkpoint.half
    assert checkpoint.config.encoder.kind == "wavlm"
    outputs = run_one(checkpoint.model, noise(9000))
    assert all(torch.isfinite(o).all() for o in outputs)
    assert last_of(out)["projection"]["weight"].shape == (128, 128)


def test_resume_without_the_teacher_is_refused(
    spectral: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ("--teacher", str(spectral / "best.safetensors"))
    common = ("--encoder", "spectral", "--epochs")
    assert train(tmp_path / "with", *common, "1", *teacher) == 0
    assert train(tmp_path / "without", *common, "1") == 0
    capsys.readouterr()
    assert train(tmp_path / "with", *common, "2", "--resume") == 2
    assert "eacher" in capsys.readouterr().err
    assert train(tmp_path / "without", *common, "2", "--resume", *teacher) == 2
    assert "eacher" in capsys.readouterr().err


def test_student_starts_from_the_teacher() -> None:
    teacher = random_joint(joint_config("spectral"), seed=1)
    student = random_joint(joint_config("wavlm-layer"), seed=2)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    copied = start_from_teacher(student, teacher)
    for part in ("pooling", "vad_head", "region_head"):
        ours, theirs = getattr(student, part).state_dict(), getattr(teacher, part).state_dict()
        assert same_weights(ours, theirs), part
    assert same_weights(teacher.state_dict(), before)
    heads = sum(len(getattr(teacher, p).state_dict()) for p in ("pooling", "vad_head"))
    heads += len(teacher.region_head.state_dict())
    layers = len(teacher.encoder.layers.state_dict()) + len(teacher.encoder.norm.state_dict())
    assert copied == heads + layers
    # without a position bias, the student's layers are the teacher's
    x = torch.randn(1, 11, 32, generator=torch.Generator().manual_seed(0))
    form = DeploymentEncoder(student.encoder)
    nothing = torch.zeros(1, 1, 1, 11)
    with torch.inference_mode():
        ours = x
        for layer, attend in zip(form.encoder.layers, form.attentions, strict=True):
            ours = ours + attend(layer.layer_norm(ours), nothing, nothing)
            ours = ours + layer.feed_forward(layer.final_layer_norm(ours))
        theirs = x
        for layer in teacher.encoder.layers:
            theirs = layer(theirs, nothing)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_student_of_another_width_keeps_its_own_weights() -> None:
    teacher = random_joint(joint_config("spectral"), seed=1)
    wide = encoder_config("wavlm-layer", hidden_size=48, num_attention_heads=6)
    student = random_joint(joint_config(wide), seed=2)
    before = {k: v.clone() for k, v in student.state_dict().items()}
    copied = start_from_teacher(student, teacher)
    changed = [k for k, v in student.state_dict().items() if not torch.equal(v, before[k])]
    assert len(changed) == copied == 0


def test_stem_steps_need_a_raw_waveform_encoder(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(out, "--encoder", "spectral", "--epochs", "1", "--stem-steps", "2") == 2
    assert "--stem-steps" in capsys.readouterr().err


def test_teacher_with_more_frames_than_the_student(corpus: Corpus, tmp_path: Path) -> None:
    mean, std = corpus.statistics(corpus.table.rows("Train"))
    teacher = random_joint(joint_config("wavlm-layer"))
    teacher.config = replace(teacher.config, mean=mean, std=std)
    config = TrainConfig(encoder="spectral", epochs=1, batch_size=8, accumulate=1, device="cpu")
    Trainer(config, corpus, tmp_path / "run", teacher, say=lambda _: None).run()
    assert np.isfinite(history_of(tmp_path / "run")[0]["ccc_loss"])


def test_teacher_of_another_corpus_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher.safetensors"
    save_checkpoint(random_joint(joint_config("wavlm-layer")), teacher)
    out = tmp_path / "run"
    assert train(out, "--encoder", "spectral", "--epochs", "1", "--teacher", str(teacher)) == 2
    assert "--teacher: expected a model trained on samples of mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [("--epochs", "0"), ("--batch-size", "0"), ("--accumulate", "0"), ("--stem-steps", "-1")],
)
def test_settings_without_sense_are_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
) -> None:
    assert train(tmp_path / "run", "--encoder", "spectral", *wrong) == 2
    assert wrong[0] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# --- published encoders


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny WavLM in Transformers' own format."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("encoder") / "wavlm"
    WavLMModel(wavlm_config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def published(encoder: Path, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "published"
    assert train(out, "--encoder", str(encoder), "--epochs", "1") == 0
    return out


def test_published_encoder_is_trained_but_for_its_front_end(encoder: Path, published: Path) -> None:
    before = WavLMModel.from_pretrained(encoder).state_dict()
    after = weights_of(published)
    prefix = "encoder.model."
    assert {k.removeprefix(prefix) for k in after if k.startswith(prefix)} == set(before)
    front = [k for k in before if k.startswith("feature_extractor.")]
    assert len(front) > 10
    for name, weight in before.items():
        kept = torch.equal(after[prefix + name], weight)
        assert kept == (name in front), name


def test_published_encoder_follows_the_seed(
    encoder: Path, published: Path, train: Train, tmp_path: Path
) -> None:
    """Everything random follows the seed: weights, order, dropout, and the encoder's masking."""
    np.random.seed(12345)
    assert train(tmp_path / "run", "--encoder", str(encoder), "--epochs", "1") == 0
    again = weights_of(tmp_path / "run")
    assert same_weights(again, weights_of(published))


def test_trained_published_encoder_can_be_loaded(published: Path) -> None:
    checkpoint = load_checkpoint(published / "best.safetensors")
    assert checkpoint.config.encoder.kind == "wavlm"
    assert run_one(checkpoint.model, noise(5000))[0].shape == (1, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask_time_prob": 0.0},
        {"apply_spec_augment": False},
        {"mask_time_prob": 0.0, "mask_feature_prob": 0.1},
        {"max_bucket_distance": 20},
        {"conv_bias": True},
        {"layer_norm_eps": 1e-3},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["wavlm-layer", "wavlm-group", "wav2vec2"])
def test_models_around_published_encoders_survive_saving(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    """Otherwise a long training would end in a checkpoint that cannot be loaded."""
    if kind == "wav2vec2":
        shared = wavlm_config("group", **changes).to_dict()
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                 "conv_dim", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
                 *changes)  # fmt: skip
        source: Any = Wav2Vec2Model(Wav2Vec2Config(**{n: shared[n] for n in names}))
    else:
        source = WavLMModel(wavlm_config(kind.removeprefix("wavlm-"), **changes))
    source.save_pretrained(tmp_path / "encoder")
    model = build_model(str(tmp_path / "encoder")).eval()
    save_checkpoint(model, tmp_path / "best.safetensors")
    x = noise(9000)
    expected = run_one(model, x)
    found = run_one(load_checkpoint(tmp_path / "best.safetensors").model, x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "changes", [{"hidden_act": "relu"}, {"feat_extract_activation": "relu"}, {"add_adapter": True}],
    ids=str,
)  # fmt: skip
def test_encoders_that_cannot_be_exported_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    WavLMModel(wavlm_config(**changes)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError):
        build_model(str(tmp_path))


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_encoder_that_would_start_in_part_at_random_is_refused(
    encoder: Path, tmp_path: Path, change: str
) -> None:
    shutil.copytree(encoder, tmp_path / "encoder")
    file = tmp_path / "encoder" / "model.safetensors"
    state = load_file(file)
    name = "encoder.layers.1.attention.k_proj.weight"
    state[name] = torch.zeros(3, 3)
    if change == "missing":
        del state[name]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"k_proj|size mismatch"):
        build_model(str(tmp_path / "encoder"))


@pytest.mark.parametrize("name", ["nonsense/nothing-of-this-name", "directory"])
def test_nonsense_encoder_is_refused_at_once(
    labels: Path, clips: Path, cache: Path, corpus: Corpus, tmp_path: Path, name: str
) -> None:
    if name == "directory":
        (tmp_path / name).mkdir()
        name = str(tmp_path / name)
    command = ["train", str(labels), "--audio", str(clips), "--cache", str(cache),
               "-o", str(tmp_path / "run"), "--encoder", name]  # fmt: skip
    # in a process of its own, which Transformers is told from the start to stay offline in
    code = "import sys; from edge_ser.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"edge-ser: error: {name}: expected a preset")
    assert not done.stdout
    assert not (tmp_path / "run").exists()
