"""Pickles of a few hundred bytes that describe more than anybody can go through."""

import io
import pickle
import struct
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.safe_pickle import load_torch

PROTOCOL, STOP = b"\x80\x02", b"."
DOUBLED = b"q\x00h\x00\x86"  # remember it, take it again, make a tuple of the two


def tuples(depth: int) -> bytes:
    """A tuple of 2^depth parts."""
    return b")" + DOUBLED * depth


def lists(depth: int) -> bytes:
    """Lists, each in the next one twice, and all empty when they are put there."""
    made = b"".join(b"]q" + bytes([n]) for n in range(depth))
    filled = b"".join(
        b"h" + bytes([n]) + b"h" + bytes([n - 1]) + b"ah" + bytes([n - 1]) + b"a"
        for n in reversed(range(1, depth))
    )
    return made + filled


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


BOMBS = {
    "a key": b"}" + tuples(30) + b"Ns",
    "several keys": b"}(" + tuples(30) + b"NNNu",
    "many keys": b"}" + tuples(15) + b"q\x01Ns" + b"h\x01Ns" * 1000,
    "called": tuples(30) + b")R",
    "a list called": lists(30) + b")R",
    "made anew": tuples(30) + b")\x81",
    "a counter of keys": b"ccollections\nCounter\n(" + tuples(30) + b"ttR",
    "a storage": b"(X\x07\x00\x00\x00storage" + tuples(30) + b"NNNtQ",
    "a state": b"ccollections\nOrderedDict\n)R}" + tuples(30) + b"Nsb",
}


def written(folder: Path, content: bytes, is_old: bool) -> Path:
    path = folder / "model.pt"
    if is_old:
        head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        start = b"".join(pickle.dumps(part, 2) for part in head)
        path.write_bytes(start + PROTOCOL + content + STOP + pickle.dumps([], 2))
        return path
    plain = io.BytesIO()
    torch.save({}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as out:
        for name in source.namelist():
            is_pickle = name.endswith("data.pkl")
            out.writestr(name, PROTOCOL + content + STOP if is_pickle else source.read(name))
    return path


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("place", BOMBS)
def test_what_is_endless_once_written_out_is_refused(
    place: str, is_old: bool, tmp_path: Path
) -> None:
    path = written(tmp_path, BOMBS[place], is_old)
    started = time.process_time()
    with pytest.raises(CheckpointError, match=r"parts of|calls what has no name"):
        load_torch(path)
    assert time.process_time() - started < 2


def test_a_pickle_that_is_itself_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, b"}" + number(1) + b"Ns", is_old=False)
    assert load_torch(path) == {1: None}
    bound = "edge_ser_export.checkpoints.written_out.PICKLE_BYTES"
    monkeypatch.setattr(bound, type("Few", (), {"largest": 10, "reason": "few"}))
    with pytest.raises(CheckpointError, match="bytes of pickle up to 10"):
        load_torch(path)


@pytest.mark.parametrize("is_old", [False, True])
def test_what_checkpoints_hold_is_read(is_old: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    tensor = torch.arange(6.0).reshape(2, 3)
    content = {
        "model": OrderedDict((f"layer.{n}.weight", tensor + n) for n in range(500)),
        "history": [{"epoch": n, "loss": 0.5, "sizes": (n, n)} for n in range(100)],
        "tied": (tensor, tensor),
        "name": "é",
        "big": 2**70,
        "set": {1, 2},
    }
    torch.save(content, path, _use_new_zipfile_serialization=not is_old)
    read = load_torch(path)
    assert read["history"] == content["history"] and read["big"] == 2**70 and read["set"] == {1, 2}
    assert all(torch.equal(read["model"][k], v) for k, v in content["model"].items())  # type: ignore[attr-defined]
