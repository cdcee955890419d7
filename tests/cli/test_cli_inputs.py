"""Words that people give `predict` in a bundle's place: one line with the way on, and no answer."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_ser.data import DEFAULT_BUNDLE

Cli = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, noise: np.ndarray, zip_bundle: Callable[..., Path]) -> Path:
    """A sound bundle `v1.2` and `whole.zip`, what is left of others, and speech."""
    root = tmp_path / "place"
    root.mkdir()
    (root / "v1.2").symlink_to(DEFAULT_BUNDLE)
    whole = zip_bundle(DEFAULT_BUNDLE, root / "whole.zip")
    (root / "trunc.zip").write_bytes(whole.read_bytes()[:1000])
    (root / "empty.zip").touch()
    (root / "int8").mkdir()
    (root / "int8" / "model.onnx").write_bytes(b"\x08\x09")
    (root / "docs").mkdir()
    (root / "docs" / "a.md").write_text("text")
    (root / "model.onnx").write_bytes(b"\x08\x09")
    (root / "ts.pt").write_bytes(b"PK\x03\x04")
    (root / "notes").write_text("text")
    soundfile.write(root / "a.wav", noise, 16_000)
    soundfile.write(root / "speech.raw.x", noise, 16_000, format="WAV")
    return root


NEW = "make one: edge-ser export CKPT"
CASES = {
    "a.wav v1.2": "command line: expected the bundle first, found @v1.2 after the audio; "
    "run: edge-ser predict @v1.2 @a.wav",
    "a.wav whole.zip": "run: edge-ser predict @whole.zip @a.wav",
    "v1.2 whole.zip a.wav": "expected one bundle, found two, @v1.2 and @whole.zip; run one after",
    "v1.2/model.onnx": "found a file of the bundle @v1.2; give the bundle itself: @v1.2",
    "v1.2/model.onnx a.wav": "give the bundle itself: @v1.2",
    "v1.2/manifest.json a.wav": "give the bundle itself: @v1.2",
    "v1.2 v1.2/golden.npz": "@v1.2/golden.npz: expected a bundle or audio, found a file of the",
    "model.onnx a.wav": f"found an ONNX graph without its bundle; give the folder with its "
    f"manifest.json, or {NEW}",
    "int8/model.onnx a.wav": f"found an ONNX graph without its bundle; give the folder with its "
    f"manifest.json, or {NEW}",
    "int8 a.wav": "@int8: expected a bundle or audio, found model.onnx without a manifest.json "
    "beside it; copy the whole bundle",
    "ts.pt": "@ts.pt: expected a bundle or audio, found a checkpoint; make a bundle of it: "
    "edge-ser export @ts.pt",
    "ts.pt a.wav": "make a bundle of it: edge-ser export @ts.pt",
    "a.wav ts.pt": "make a bundle of it: edge-ser export @ts.pt",
    "trunc.zip a.wav": "found a damaged or incomplete zip file; copy it again",
    "empty.zip a.wav": "found a damaged or incomplete zip file; copy it again",
    "none.zip a.wav": "@none.zip: expected a bundle, an audio file or a folder, found nothing the",
    "v1.3 a.wav": "found nothing there; did you mean @v1.2?",
    "docs": "@docs: expected a folder with audio files, found none in it",
    "docs a.wav": "@docs: expected a folder with audio files, found none in it",
    "notes a.wav": "@notes: expected a bundle or an audio file, found neither",
    "--bundle trunc.zip a.wav": "found a damaged or incomplete zip file; copy it again",
    "--bundle ts.pt a.wav": "found a checkpoint; make a bundle of it: edge-ser export @ts.pt",
    "--bundle v1.2 whole.zip": "expected one bundle, found two, @v1.2 and @whole.zip",
    "a.wav -o docs": "@docs: expected a file to write, found a directory",
    "a.wav -o none/a.csv": "@none/a.csv: expected an existing folder, found no folder @none",
}


def given(case: str, place: Path) -> list[str]:
    return [w if w.startswith("-") else str(place / w) for w in case.split()]


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_before_anything_is_answered(case: str, cli: Cli, place: Path) -> None:
    before = sorted(place.rglob("*"))
    done = cli("predict", *given(case, place))
    assert CASES[case].replace("@", f"{place}/") in done.error()
    assert done.out == ""
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "case", ["a.wav", "v1.2 a.wav", "whole.zip a.wav", "speech.raw.x", "v1.2 speech.raw.x"]
)
def test_what_is_right_is_answered(case: str, cli: Cli, place: Path) -> None:
    done = cli("predict", "--json", "--threads", 1, *given(case, place))
    assert (done.code, done.err, len(done.out.splitlines())) == (0, "", 1)


@pytest.mark.parametrize("command", ["verify", "inspect", "doctor"])
@pytest.mark.parametrize("word", ["v1.2/model.onnx", "ts.pt", "trunc.zip", "int8"])
def test_other_commands_say_the_same(command: str, word: str, cli: Cli, place: Path) -> None:
    done = cli(command, place / word)
    assert done.code == 2
    said = CASES[word if word in CASES else f"{word} a.wav"].split("found ")[1]
    assert said.replace("@", f"{place}/") in done.err


@pytest.mark.parametrize("data", [b"", None])
def test_nothing_on_stdin(data: bytes | None, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with io.BytesIO(b"") if data is not None else Path(os.devnull).open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        line = cli("predict", "-").error()
    assert line == (
        "<stdin>: expected audio, found an empty stream; "
        "send it a file, such as: edge-ser predict - < speech.wav"
    )


def test_an_empty_pipe_on_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(reader, "rb")))
    assert "found an empty stream" in cli("predict", "-").error()
