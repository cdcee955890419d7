"""The state of a run, `last.pt`: read as a stranger's file, for disks and copies damage it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from edge_ser.errors import CheckpointError, EdgeSerError
from edge_ser_export.bounds import shown
from edge_ser_export.checkpoints.safe_pickle import load_torch
from edge_ser_export.training.evaluate import SplitScores

_KINDS: dict[str, tuple[type, ...]] = {
    "config": (dict,),
    "epoch": (int,),
    "best": (float,),
    "history": (list,),
    "model": (dict,),
    "average": (dict, type(None)),
    "optimizer": (dict,),
    "projection": (dict, type(None)),
}
_SETTING = (str, int, float, bool, type(None))


def read_state(path: Path) -> dict[str, Any]:
    """What `last.pt` holds, each part of its kind, and an evaluation for every epoch.

    Raises:
        CheckpointError: damaged, unsafe, or something else.
    """
    state = load_torch(path)
    if not isinstance(state, dict) or not set(_KINDS) <= set(state):
        raise _damaged(path, "something else")
    for name, kinds in _KINDS.items():
        if not isinstance(state[name], kinds):
            raise _damaged(path, f"{name} {shown(state[name])}")
    settings = {**state["config"], **{k: state.get(k) for k in ("teacher", "corpus")}}
    for name, value in settings.items():
        if not isinstance(name, str) or not isinstance(value, _SETTING):
            raise _damaged(path, f"setting {shown(name)} {shown(value)}")
    with applying(path):
        for epoch in state["history"]:
            SplitScores.from_dict(epoch["development"])
    if state["epoch"] != len(state["history"]):
        raise _damaged(path, f"epoch {shown(state['epoch'])} of {len(state['history'])}")
    return state


@contextlib.contextmanager
def applying(path: Path) -> Iterator[None]:
    """Turn what torch raises over parts that do not fit into one line."""
    try:
        yield
    except (EdgeSerError, MemoryError):
        raise
    except Exception as error:  # torch raises whatever the parts of a damaged state lead it to
        raise _damaged(path, f"{' '.join(repr(error).split()):.200}") from error


def check_alike(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Require the same names, shapes and types.

    Raises:
        ValueError: others.
    """
    if {k: (v.shape, v.dtype) for k, v in tensors.items()} != {
        k: (v.shape, v.dtype) for k, v in expected.items()
    }:
        raise ValueError("tensors of another model")


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, which it would only find to be another's in its next step.

    Raises:
        ValueError: of other parameters or settings.
    """
    settings = [_settings(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    if [_settings(group) for group in optimizer.param_groups] != settings:
        raise ValueError("an optimizer with other settings")
    for parameter, moments in optimizer.state.items():
        for moment in moments.values():
            if moment.ndim and moment.shape != parameter.shape:
                raise ValueError("an optimizer of another model")


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    # the rate is set for every step, and others are of torch's version
    return {name: group.get(name) for name in ("betas", "eps", "weight_decay")}


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        expected="the state of a run",
        found=found,
        advice="remove it and train again, or copy the run again",
    )
