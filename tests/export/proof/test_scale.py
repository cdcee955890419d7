"""A head that was trained on another scale is an error, not a bundle of sevens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.export_sessions import Speech, open_session
from helpers.tiny_models import Published, published_audeering, save_safetensors

from edge_ser.cli import main
from edge_ser.errors import CheckpointError
from edge_ser.load import load
from edge_ser_export.pipeline import ExportOptions, export
from edge_ser_export.proof.scale import check_scale

LAST = "classifier.out_proj"


def trained(scale: float, offset: float) -> Published:
    """A model whose head gives `scale * y + offset` for y around 0.5, as trained on such labels."""
    model = published_audeering()
    weight = model.state[f"{LAST}.weight"] / 10
    bias = torch.full((3,), 0.5)
    state = model.state | {f"{LAST}.weight": scale * weight, f"{LAST}.bias": scale * bias + offset}
    return Published(model.config, state, model.answer)


def test_a_head_trained_on_one_to_seven_is_refused_and_told_what_to_do(
    tmp_path: Path, speech: Speech, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained(6.0, 1.0).save(tmp_path / "w2v2", save_safetensors)
    out = tmp_path / "out"
    assert main(["export", str(path), "-o", str(out), "--parity-audio", str(speech[0])]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "error: the checkpoint's answers to speech: expected numbers around 0..1" in err
    assert "found medians arousal " in err
    assert "needs weight / 6 and (bias - 1) / 6" in err
    assert not out.exists()


def test_the_advice_makes_it_right(tmp_path: Path, speech: Speech) -> None:
    """The same answers as the model that was trained on 0..1."""
    wrong = trained(6.0, 1.0)
    state = dict(wrong.state)
    state[f"{LAST}.weight"] = state[f"{LAST}.weight"] / 6
    state[f"{LAST}.bias"] = (state[f"{LAST}.bias"] - 1) / 6
    scores = []
    for name, model in (
        ("advised", Published(wrong.config, state, wrong.answer)),
        ("right", trained(1.0, 0.0)),
    ):
        path = model.save(tmp_path / name, save_safetensors)
        options = ExportOptions(str(path), out=tmp_path / f"{name}-bundle", speech=speech)
        emotion = load(export(options, open_session).path)(speech[0])
        scores.append([emotion.arousal, emotion.dominance, emotion.valence])
    assert np.allclose(*scores, atol=1e-4, rtol=0)
    assert all(1 < score < 7 for score in scores[0])


@pytest.mark.parametrize(
    ("low", "high", "right"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), True),
        ((-0.5, 0.2, 0.2), (0.2, 0.8, 1.8), True),  # a model that is hardly trained
        ((3.0, 0.2, 0.2), (5.0, 0.8, 0.8), False),  # one dimension alone
        ((1.0, 2.0, 1.0), (5.0, 5.0, 5.0), False),  # 1..5
        ((1.6, 1.8, 2.0), (3.2, 3.0, 3.2), False),  # 1..5, of calm speech
        ((2.0, 3.0, 2.0), (6.0, 6.0, 6.0), False),  # 1..7
        ((20.0, 30.0, 20.0), (80.0, 80.0, 70.0), False),  # 0..100
        ((-9.0, -3.0, 0.0), (-2.0, 3.0, 0.0), False),
    ],
    ids=str,
)
def test_scales(low: tuple[float, ...], high: tuple[float, ...], right: bool) -> None:
    vad = np.linspace(low, high, 9, dtype=np.float32)
    if right:
        check_scale(vad)
        return
    with pytest.raises(CheckpointError, match="found medians arousal"):
        check_scale(vad)


def test_one_strange_answer_says_nothing_about_the_scale() -> None:
    vad = np.full((9, 3), 0.5, np.float32)
    vad[4] = 50.0
    check_scale(vad)
