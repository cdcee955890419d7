"""The pickled statistics of a run directory: two finite numbers, or refused."""

import base64
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import MEAN, STD

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.safe_pickle import load_statistics

PROTOCOLS = range(6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
@pytest.mark.parametrize("container", [tuple, list])
def test_statistics(tmp_path: Path, protocol: int, kind: Any, container: Any) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    pair = container([kind(MEAN), kind(STD)])
    path.write_bytes(pickle.dumps(pair, protocol))
    assert load_statistics(path) == (float(pair[0]), float(pair[1]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_statistics_in_arrays(tmp_path: Path, protocol: int, kind: str) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    both = np.array([MEAN, STD], kind)
    for pair in (both, tuple(both), [both[:1], both[1:]], (both[0, ...], both[1, ...])):
        path.write_bytes(pickle.dumps(pair, protocol))
        assert load_statistics(path) == tuple(both.tolist())


# (float32(-8e-05), float32(0.085)), as numpy 1.26.4 pickles them.
WRITTEN_BY_NUMPY_1 = {
    "scalars, protocol 0": (
        "KGNudW1weS5jb3JlLm11bHRpYXJyYXkKc2NhbGFyCnAwCihjbnVtcHkKZHR5cGUKcDEKKFZmNApwMgpJMDAKSTAx"
        "CnRwMwpScDQKKEkzClY8CnA1Ck5OTkktMQpJLTEKSTAKdHA2CmJjX2NvZGVjcwplbmNvZGUKcDcKKFasxae4CnA4"
        "ClZsYXRpbjEKcDkKdHAxMApScDExCnRwMTIKUnAxMwpnMAooZzQKZzcKKFZ7FK49CnAxNApnOQp0cDE1ClJwMTYK"
        "dHAxNwpScDE4CnRwMTkKLg=="
    ),
    "scalars, protocol 2": (
        "gAJjbnVtcHkuY29yZS5tdWx0aWFycmF5CnNjYWxhcgpxAGNudW1weQpkdHlwZQpxAVgCAAAAZjRxAomIh3EDUnEE"
        "KEsDWAEAAAA8cQVOTk5K/////0r/////SwB0cQZiY19jb2RlY3MKZW5jb2RlCnEHWAgAAADCrMOFwqfCuHEIWAYA"
        "AABsYXRpbjFxCYZxClJxC4ZxDFJxDWgAaARoB1gFAAAAexTCrj1xDmgJhnEPUnEQhnERUnEShnETLg=="
    ),
    "scalars, protocol 4": (
        "gASVdgAAAAAAAACMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMBnNjYWxhcpSTlIwFbnVtcHmUjAVkdHlwZZSTlIwC"
        "ZjSUiYiHlFKUKEsDjAE8lE5OTkr/////Sv////9LAHSUYkMErMWnuJSGlFKUaAJoCEMEexSuPZSGlFKUhpQu"
    ),
    "arrays, protocol 2": (
        "gAJjbnVtcHkuY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxAGNudW1weQpuZGFycmF5CnEBSwCFcQJjX2Nv"
        "ZGVjcwplbmNvZGUKcQNYAQAAAGJxBFgGAAAAbGF0aW4xcQWGcQZScQeHcQhScQkoSwEpY251bXB5CmR0eXBlCnEK"
        "WAIAAABmNHELiYiHcQxScQ0oSwNYAQAAADxxDk5OTkr/////Sv////9LAHRxD2KJaANYCAAAAMKsw4XCp8K4cRBo"
        "BYZxEVJxEnRxE2JoAGgBSwCFcRRoB4dxFVJxFihLASloDYloA1gFAAAAexTCrj1xF2gFhnEYUnEZdHEaYoZxGy4="
    ),
    "arrays, protocol 5": (
        "gAWVkAAAAAAAAACMEm51bXB5LmNvcmUubnVtZXJpY5SMC19mcm9tYnVmZmVylJOUKJYEAAAAAAAAAKzFp7iUjAVu"
        "dW1weZSMBWR0eXBllJOUjAJmNJSJiIeUUpQoSwOMATyUTk5OSv////9K/////0sAdJRiKYwBQ5R0lFKUaAIolgQA"
        "AAAAAAAAexSuPZRoCSloDHSUUpSGlC4="
    ),
}


@pytest.mark.parametrize("written", WRITTEN_BY_NUMPY_1)
def test_statistics_that_numpy_1_wrote(tmp_path: Path, written: str) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(base64.b64decode(WRITTEN_BY_NUMPY_1[written]))
    assert load_statistics(path) == (float(np.float32(-8e-05)), float(np.float32(0.085)))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "content",
    [
        np.array([MEAN, STD, 1.0]),
        np.array([[MEAN, STD]]),
        np.array([MEAN, STD], np.float16),
        np.array([0, 1]),
        np.array(STD),
        (np.array([MEAN, STD]), np.array([MEAN, STD])),
        (np.int64(0), np.int64(1)),
        (np.float16(MEAN), np.float16(STD)),
        (np.longdouble(MEAN), np.longdouble(STD)),
        (False, True),
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


def _mutations(count: int) -> Iterator[bytes]:
    rng = random.Random(7)
    pair = (np.float64(MEAN), np.float64(STD))
    arrays = (np.array(MEAN), np.array(STD))
    seeds = [pickle.dumps(form, p) for form in ((MEAN, STD), pair, arrays) for p in PROTOCOLS]
    seeds += [base64.b64decode(text) for text in WRITTEN_BY_NUMPY_1.values()]
    for _ in range(count):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            where, what = rng.randrange(len(content)), rng.random()
            if what < 0.6:
                content[where] = rng.randrange(256)
            elif what < 0.8:
                del content[where : where + rng.randint(1, 8)]
            else:
                other = rng.choice(seeds)
                content[where:where] = other[rng.randrange(len(other)) :][:12]
            content = content or bytearray(b".")
        yield bytes(content)


def test_damaged_statistics_are_numbers_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    refused = 0
    for content in _mutations(5000):
        path.write_bytes(content)
        try:
            mean, std = load_statistics(path)
        except CheckpointError as error:
            refused += 1
            assert len(str(error)) < len(str(path)) + 300
        else:
            assert np.isfinite([mean, std]).all()
            assert std > 0
    assert refused > 1000


# A type whose state claims another width, whose numpy twin would read beyond its bytes; names and
# numbers that stand for each other; tuples whose parts are shared,
# two hundred levels deep.
_SHARED = b"\x80\x04)\x94" + b"".join(b"h%ch%c\x86\x94" % (i, i) for i in range(200))
CONTRIVED = {
    "wide type": pickle.dumps((np.float32(1), np.float32(1)), 2).replace(
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xff", b"J\x08\x00\x00\x00J\x08\x00\x00\x00"
    ),
    "no order": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R.",
    "short data": pickle.dumps((np.float64(1), np.float64(2)), 3).replace(b"C\x08", b"C\x02", 1),
    "state of a float": b"\x80\x02K\x01}b.",
    "called number": b"\x80\x02K\x01K\x02\x85R.",
    "shared name": _SHARED + b"h\xc8\x93.",
    "shared type": _SHARED + b"cnumpy\ndtype\nh\xc8\x85R.",
    "shared pair": _SHARED + b".",
    "integer of 4000 digits": b"(L" + b"9" * 4000 + b"L\nI1\nt.",
}


@pytest.mark.parametrize("contrived", CONTRIVED)
def test_contrived_statistics_are_refused(tmp_path: Path, contrived: str) -> None:
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(CONTRIVED[contrived])
    with pytest.raises(CheckpointError) as caught:
        load_statistics(path)
    assert len(str(caught.value)) < len(str(path)) + 300


def test_only_the_last_numbers_count(tmp_path: Path) -> None:
    """What follows the end of a pickle is no part of it."""
    path = tmp_path / "train_norm_stat.pkl"
    path.write_bytes(pickle.dumps((MEAN, STD)) + b"anything")
    assert load_statistics(path) == (MEAN, STD)
