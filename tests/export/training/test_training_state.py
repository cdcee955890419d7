"""The state of a run, `last.pt`: whatever is wrong with it is one line, and nothing is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_runs import last_of

from edge_ser.errors import CheckpointError
from edge_ser_export.training.config import TrainConfig
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.train import Trainer

State = dict[str, Any]


def _wide(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: torch.cat([v, v]) if v.ndim else v for k, v in tensors.items()}


def _optimizer(state: State, change: Callable[[State], object]) -> State:
    change(state["optimizer"])
    return state["optimizer"]


def _wide_moments(optimizer: State) -> None:
    for moments in optimizer["state"].values():
        moments["exp_avg"] = torch.zeros(3, 3, 3)


DAMAGE: dict[str, Callable[[State], object]] = {
    "a list": lambda s: [s],
    "no epoch": lambda s: {k: v for k, v in s.items() if k != "epoch"},
    "epoch in words": lambda s: {**s, "epoch": "two"},
    "another epoch": lambda s: {**s, "epoch": 10**30},
    "best in words": lambda s: {**s, "best": "1.0"},
    "config of a list": lambda s: {**s, "config": [1]},
    "setting of a tensor": lambda s: {**s, "config": {**s["config"], "seed": torch.zeros(2)}},
    "corpus of a tensor": lambda s: {**s, "corpus": torch.zeros(2)},
    "history of numbers": lambda s: {**s, "history": [1, 2]},
    "history without results": lambda s: {**s, "history": [{"epoch": 0}, {"epoch": 1}]},
    "no history": lambda s: {**s, "history": []},
    "model of numbers": lambda s: {**s, "model": dict.fromkeys(s["model"], 1)},
    "no model": lambda s: {**s, "model": {}},
    "wider model": lambda s: {**s, "model": _wide(s["model"])},
    "no average": lambda s: {**s, "average": None},
    "empty average": lambda s: {**s, "average": {}},
    "wider average": lambda s: {**s, "average": _wide(s["model"])},
    "empty optimizer": lambda s: {**s, "optimizer": {}},
    "optimizer without groups": lambda s: {
        **s, "optimizer": _optimizer(s, lambda o: o["param_groups"].clear())},
    "optimizer of another model": lambda s: {**s, "optimizer": _optimizer(s, _wide_moments)},
    "betas in words": lambda s: {
        **s, "optimizer": _optimizer(s, lambda o: o["param_groups"][0].update(betas="ab"))},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_states_are_refused_in_one_line(
    spectral: Path, corpus: Corpus, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "run"
    shutil.copytree(spectral, out)
    state = last_of(out)
    config = TrainConfig(**{**state["config"], "ema": 0.9})
    state["config"]["ema"] = 0.9
    state["average"] = {k: v.clone() for k, v in state["model"].items()}
    torch.save(state, out / "last.pt")
    assert Trainer(config, corpus, out, resume=True).epoch == 2
    torch.save(DAMAGE[damage](state), out / "last.pt")
    with pytest.raises(CheckpointError) as caught:
        Trainer(config, corpus, out, resume=True)
    assert str(out / "last.pt") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(out)) + 400


def test_a_state_of_nothing_is_refused(spectral: Path, corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(spectral, out)
    config = TrainConfig(**last_of(out)["config"])
    for content in (b"", b"\0" * 1000, b"PK\x03\x04" + b"\0" * 100):
        (out / "last.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"last\.pt"):
            Trainer(config, corpus, out, resume=True)
