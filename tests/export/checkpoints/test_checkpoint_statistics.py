"""The pickled statistics of a run directory: two finite numbers, or refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import MEAN, STD

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.safe_pickle import load_statistics


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
@pytest.mark.parametrize("container", [tuple, list])
def test_statistics(tmp_path: Path, protocol: int, kind: Any, container: Any) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    pair = container([kind(MEAN), kind(STD)])
    path.write_bytes(pickle.dumps(pair, protocol))
    assert load_statistics(path) == (float(pair[0]), float(pair[1]))


def test_statistics_with_the_module_names_of_numpy_1(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    for protocol in (2, 4):
        new = pickle.dumps((np.float64(MEAN), np.float64(STD)), protocol)
        name = b"numpy._core.multiarray"
        assert name in new
        old = new.replace(b"\x8c\x16" + name, b"\x8c\x15numpy.core.multiarray")
        old = old.replace(b"c" + name, b"cnumpy.core.multiarray")
        if protocol == 4:  # without its frame, whose size has changed
            old = old[:2] + old[11:]
        path.write_bytes(old)
        assert load_statistics(path) == (MEAN, STD)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "content",
    [
        np.array([MEAN, STD]),
        (np.array(MEAN), np.array(STD)),
        (np.array([MEAN]), np.array([STD])),
        ("0.0", "1.0"),
        "ab",
        b"ab",
        (MEAN, STD, 1.0),
        (MEAN,),
        (),
        {"mean": MEAN, "std": STD},
        None,
        STD,
        (MEAN, None),
        (MEAN, 1j),
        (MEAN, np.complex128(1)),
        (NAN, STD),
        (MEAN, NAN),
        (MEAN, INF),
        (-INF, STD),
        (np.float32(MEAN), np.float32(NAN)),
        (MEAN, 0.0),
        (MEAN, -STD),
        (MEAN, np.float64(0)),
        (MEAN, 10**400),
    ],
    ids=lambda v: f"{v!r:.40}",
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_statistics_are_refused(tmp_path: Path, content: object, protocol: int) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(CheckpointError, match=r"train_norm_stat\.pkl"):
        load_statistics(path)


def test_tensors_are_no_statistics(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps((torch.tensor(MEAN), torch.tensor(STD))))
    with pytest.raises(CheckpointError, match="calls torch"):
        load_statistics(path)


def test_huge_statistics_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps((MEAN, STD)) + bytes(5000))
    with pytest.raises(CheckpointError, match="bytes"):
        load_statistics(path)


@pytest.mark.parametrize("keep", range(0, 40, 3))
def test_truncated_statistics_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    content = pickle.dumps((np.float64(MEAN), np.float64(STD)), 2)
    path.write_bytes(content[:keep])
    with pytest.raises(CheckpointError):
        load_statistics(path)
