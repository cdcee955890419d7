"""Settings of training: what they do, what is refused, and what a run can be resumed with."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.training_runs import (
    Row,
    Train,
    best_epoch,
    history_of,
    last_of,
    same_weights,
    split_rows,
    weights_of,
    write_labels,
)

from edge_ser.errors import UsageError
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.labels import read_training_labels
from edge_ser_export.training.train import TrainConfig, Trainer


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--epochs", ["0"]),
        ("--batch-size", ["-1", "0", "1"]),
        ("--accumulate", ["0"]),
        ("--learning-rate", ["0", "-1e-3", "nan", "inf"]),
        ("--clip-norm", ["-1", "nan", "inf"]),
        ("--crop-seconds", ["-1", "0.0499", "nan", "inf"]),
        ("--auxiliary-floor", ["-0.1", "1.1", "nan"]),
        ("--ema", ["-0.1", "1", "nan"]),
        ("--stem-steps", ["-1"]),
        ("--distillation", ["-1", "nan", "inf"]),
        ("--threads", ["-1", "0"]),
        ("--seed", ["-1", "4294967296"]),
    ],
)
def test_settings_without_sense_are_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    option: str, values: list[str],
) -> None:  # fmt: skip
    for value in values:
        assert train(tmp_path / "run", "--encoder", "spectral", f"{option}={value}") == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert message.startswith(f"edge-ser: error: {option}: expected ")
        assert ", found " in message
    assert not (tmp_path / "run").exists()


def test_a_weight_of_a_teachers_loss_needs_a_teacher(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("1", "0"):
        assert train(tmp_path / "run", "--encoder", "spectral", "--distillation", value) == 2
        message = capsys.readouterr().err
        assert "--distillation: expected --teacher beside it" in message
    assert not (tmp_path / "run").exists()


def test_crops_may_be_shorter_without_bfloat16(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ((), ("--no-bfloat16",)):
        assert train(tmp_path / "run", "--encoder", "spectral", "--crop-seconds=0.0249", *more) == 2
        words = "expected 0, or 0.05 up (0.025, one frame, with --no-bfloat16), found 0.0249"
        assert words in capsys.readouterr().err


def test_the_shortest_crop_in_bfloat16_has_gradients(train: Train, tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ("--epochs", "1", "--crop-seconds=0.05")
    assert train(out, "--encoder", "spectral", *more) == 0
    assert all(torch.isfinite(v).all() for v in last_of(out)["model"].values())


def test_settings_at_their_limits_are_trained_with(train: Train, tmp_path: Path) -> None:
    out = tmp_path / "run"
    limits = ("--batch-size=2", "--crop-seconds=0.025", "--auxiliary-floor=1", "--ema=0.999",
              "--clip-norm=0", "--seed=3999999", "--no-bfloat16")  # fmt: skip
    assert train(out, "--encoder", "spectral", "--epochs", "1", *limits) == 0
    history = history_of(out)
    assert np.isfinite([history[0]["ccc_loss"], history[0]["region_loss"]]).all()


@pytest.mark.parametrize("split", ["Train", "Development"])
def test_split_of_one_row_is_refused(
    clips: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    rows = [r for r in split_rows(clips) if r["Split_Set"] != split]
    table = write_labels(tmp_path / "labels.csv", [*rows, {**rows[0], "Split_Set": split}])
    assert train(tmp_path / "run", "--encoder", "spectral", table=table) == 2
    assert f"at least 2 rows with Split_Set = {split}, found 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_batch_has_a_correlation(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen rows by five would leave one alone, whose CCC is undefined."""
    config = TrainConfig(encoder="spectral", epochs=1, batch_size=5, accumulate=2, device="cpu")
    trainer = Trainer(config, corpus, tmp_path / "run", say=lambda _: None)
    seen: list[int] = []
    steps: list[float] = []
    loss, update = trainer._loss, trainer._update
    monkeypatch.setattr(trainer, "_loss", lambda r, *a: (seen.append(len(r)), loss(r, *a))[1])
    monkeypatch.setattr(trainer, "_update", lambda r: (steps.append(r), update(r))[1])
    trainer.run()
    assert sorted(seen) == [5, 5, 6]
    assert len(steps) == 2  # after two batches, and after the last one


def test_weights_are_averaged_only_where_asked(
    spectral: Path, train: Train, tmp_path: Path
) -> None:
    """The same steps: what is averaged does not change what is learnt."""
    out = tmp_path / "run"
    common = ("--encoder", "spectral", "--licence", "CC0-1.0", "--epochs", "2")
    assert train(out, *common, "--ema", "0.9") == 0
    with_average, without = last_of(out), last_of(spectral)
    assert without["average"] is None
    assert same_weights(with_average["model"], without["model"])
    assert same_weights(with_average["average"], weights_of(out)) == (best_epoch(out) == 1)
    assert same_weights(without["model"], weights_of(spectral)) == (best_epoch(spectral) == 1)
    assert not same_weights(with_average["average"], with_average["model"])


def test_clipping_bounds_the_gradient(corpus: Corpus, tmp_path: Path) -> None:
    found = {}
    for norm in (0.0, 1e-3):
        config = TrainConfig(encoder="spectral", clip_norm=norm, device="cpu", bfloat16=False)
        trainer = Trainer(config, corpus, tmp_path / str(norm))
        parameters = [p for g in trainer.optimizer.param_groups for p in g["params"]]
        for p in parameters:
            p.grad = torch.ones_like(p)
        trainer.optimizer.zero_grad = lambda: None  # they are looked at after the step
        trainer._update(1e-5)
        found[norm] = float(sum((p.grad**2).sum() for p in parameters) ** 0.5)
    assert found[0.0] == pytest.approx(sum(p.numel() for p in parameters) ** 0.5, rel=1e-4)
    assert found[1e-3] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("--seed", "8"), "expected --seed 7, found --seed 8"),
        (("--batch-size", "4"), "expected --batch-size 8, found --batch-size 4"),
        (("--encoder", "wavlm-tiny"), "expected --encoder spectral, found --encoder wavlm-tiny"),
        (("--no-bfloat16",), "expected bfloat16 on, found bfloat16 off"),
        (
            ("--learning-rate", "1e-4"),
            "expected --learning-rate 0.0003, found --learning-rate 0.0001",
        ),
        (("--clip-norm", "0"), "expected --clip-norm 1.0, found --clip-norm 0.0"),
        (
            ("--seed", "8", "--ema", "0.9"),
            "--ema 0.0, --seed 7, found --ema 0.9, --seed 8",
        ),
        (("--ema", "0.9"), "expected --ema 0.0, found --ema 0.9"),
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


def other_labels(rows: list[Row], audio: Path) -> None:
    rows[0]["EmoAct"] = f"{8 - float(rows[0]['EmoAct']):.4f}"


def other_splits(rows: list[Row], audio: Path) -> None:
    rows[-1]["Split_Set"] = "Test2"


def other_order(rows: list[Row], audio: Path) -> None:
    rows[0], rows[1] = rows[1], rows[0]


def other_length(rows: list[Row], audio: Path) -> None:
    samples, rate = soundfile.read(audio / rows[0]["FileName"])
    soundfile.write(audio / rows[0]["FileName"], samples[:-1], rate)


def other_loudness(rows: list[Row], audio: Path) -> None:
    samples, rate = soundfile.read(audio / rows[0]["FileName"])
    soundfile.write(audio / rows[0]["FileName"], samples * 0.5, rate)


def test_resume_with_another_corpus_is_refused(spectral: Path, clips: Path, tmp_path: Path) -> None:
    for change in (other_labels, other_splits, other_order, other_length, other_loudness):
        folder = tmp_path / change.__name__
        rows, audio = split_rows(clips), folder / "audio"
        shutil.copytree(clips, audio)
        change(rows, audio)
        found = Corpus(
            read_training_labels(write_labels(folder / "labels.csv", rows), audio),
            audio,
            folder / "cache",
        )
        config = TrainConfig(**last_of(spectral)["config"])
        with pytest.raises(
            UsageError, match=r"--resume of .*: expected the run's corpus, found another corpus; .*"
        ):
            Trainer(config, found, spectral, resume=True)


def test_a_run_and_its_corpus_can_be_moved(
    spectral: Path, clips: Path, corpus: Corpus, tmp_path: Path
) -> None:
    shutil.copytree(clips, tmp_path / "audio")
    table = write_labels(tmp_path / "labels.csv", split_rows(clips))
    moved = Corpus(
        read_training_labels(table, tmp_path / "audio"), tmp_path / "audio", tmp_path / "cache"
    )
    assert moved.fingerprint() == corpus.fingerprint() == last_of(spectral)["corpus"]


def test_run_of_an_earlier_version_can_be_resumed(
    spectral: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """Its state has no corpus and no norm of clipping, and an average that nobody asked for."""
    out = tmp_path / "run"
    shutil.copytree(spectral, out)
    state = last_of(out)
    config = TrainConfig(**state["config"])
    del state["corpus"], state["config"]["clip_norm"]
    state["average"] = state["model"]
    torch.save(state, out / "last.pt")
    trainer = Trainer(config, corpus, out, resume=True)
    assert trainer.epoch == 2
    assert trainer.average is None
