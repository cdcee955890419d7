"""Training with a teacher: what a student starts from and learns, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import encoder_config, joint_config, noise, random_joint, run_one
from helpers.training_runs import Train, history_of, last_of, same_weights

from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.distill import start_from_teacher
from edge_ser_export.training.train import TrainConfig, Trainer


def test_raw_waveform_preset_with_stem_and_teacher(
    spectral: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wavlm"
    teacher = str(spectral / "best.safetensors")
    more = ("--stem-steps", "2", "--teacher", teacher, "--crop-seconds", "1", "--half",
            "--distillation", "0")  # fmt: skip
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
    assert "expected the run's teacher, found none; resume" in capsys.readouterr().err
    assert train(tmp_path / "without", *common, "2", "--resume", *teacher) == 2
    assert "expected no teacher, found another teacher; resume" in capsys.readouterr().err


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
