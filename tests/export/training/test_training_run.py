"""Real runs of the training command: what they write, evaluate, resume and refuse."""

import json
import pickle
import shlex
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from helpers.tiny_models import joint_config, random_joint, run_one
from helpers.training_runs import (
    COLUMNS,
    Train,
    best_of,
    history_of,
    last_of,
    same_weights,
    split_rows,
    weights_of,
    write_labels,
)

from edge_ser.cli import main
from edge_ser.fidelity.metrics import ccc
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.training import train as training
from edge_ser_export.training.build import build_model
from edge_ser_export.training.curves import learning_curve
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.train import TrainConfig, Trainer


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
    assert not same_weights(kept, last_of(out)["model"])
    # nothing is left to train: the same epoch is the best one still
    assert train(out, *settings, "--resume", table=table) == 0
    assert same_weights(weights_of(out), kept)
    assert reported()


def test_a_bundle_evaluates_as_its_checkpoint(
    spectral: Path,
    labels: Path,
    clips: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights, bundle = str(spectral / "best.safetensors"), str(tmp_path / "bundle")
    assert main(["export", weights, "-o", bundle]) == 0
    common = [str(labels), "--audio", str(clips), "--split", "Development", "--json"]
    capsys.readouterr()
    assert main(["train", "--evaluate", weights, "--cache", str(cache), *common]) == 0
    checkpoint = json.loads(capsys.readouterr().out)
    assert main(["evaluate", bundle, *common]) == 0
    device = json.loads(capsys.readouterr().out)
    assert device["count"] == checkpoint["count"] == 8
    for name, value in checkpoint["ccc"].items():
        assert device["dimensions"][name]["ccc"] == pytest.approx(value, abs=1e-5)
    assert device["geometric"]["accuracy"] == checkpoint["region_geometric"]
    assert device["head"]["accuracy"] == checkpoint["region_head"]


def record(epoch: int, *ccc: float) -> dict[str, Any]:
    development = {
        "count": 8,
        "ccc": dict(zip(("arousal", "dominance", "valence"), ccc, strict=True)),
        "region_head": 0.3,
        "region_geometric": 0.2,
    }
    losses = {"ccc_loss": 2.0, "region_loss": 2.0, "region_weight": 1.0}
    return {"epoch": epoch, **losses, "development": development}


def test_the_curve_shows_scores_below_zero_and_the_epoch_that_is_kept() -> None:
    history = [record(0, -0.2, 0.0, 0.1), record(1, 0.5, 0.4, 0.3), record(2, 0.6, 0.3, 0.2)]
    _, right = learning_curve(history).axes
    assert right.get_ylim()[0] < -0.2
    marks = [line for line in right.lines if line.get_label() == "epoch kept: 2"]
    assert len(marks) == 1
    assert list(marks[0].get_xdata()) == [2, 2]
    _, above = learning_curve(history[1:]).axes
    assert above.get_ylim() == (0, 1)


def test_an_interrupted_run_says_the_command_that_goes_on(
    spectral: Path,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "a run"
    draw = training.plot_history

    def interrupt(history: list[dict[str, Any]], path: Path) -> None:
        draw(history, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "plot_history", interrupt)  # when an epoch is on the disk
    settings = ("--encoder", "spectral", "--licence", "CC0-1.0", "--epochs", "2")
    assert train(out, *settings) == 130
    *_, note, last = capsys.readouterr().err.splitlines()
    assert last == "edge-ser: error: interrupted"
    begin, _, command = note.partition("go on with: ")
    assert begin == "edge-ser: 1 of 2 epochs are kept; "
    program, *words = shlex.split(command)
    assert program == "edge-ser" and words[-1] == "--resume" and str(out) in words
    monkeypatch.undo()
    assert main(words) == 0
    assert history_of(out) == history_of(spectral)
    assert same_weights(weights_of(out), weights_of(spectral))


def test_a_run_interrupted_before_its_first_epoch_has_nothing_to_go_on_with(
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "score_split", interrupt)
    assert train(tmp_path / "run", "--encoder", "spectral", "--epochs", "1") == 130
    assert "no epoch was finished: the same command starts the run again" in capsys.readouterr().err
