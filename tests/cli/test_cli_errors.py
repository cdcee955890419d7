"""Every wrong use: exit code 2, one line that says expected and found, nothing written."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_ser.cli import build_parser

Cli = Callable[..., Any]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


@pytest.fixture
def bad(tmp_path: Path, noise: np.ndarray, bundle_dir: Path) -> Path:
    """A folder of everything that cannot be used, beside a sound `bundle`."""
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "nothing.wav", np.zeros((0, 1)), 16_000)
    soundfile.write(tmp_path / "click.wav", noise[:399], 16_000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    broken = noise.copy()
    broken[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", noise, 16_000)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text('{"schema": 99}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "@none.wav"], "none.wav: expected an audio file, found no such file"),
        (["predict", "@empty-folder"], "empty-folder: expected a folder with audio files, found"),
        (["predict", "@text.wav"], "text.wav: expected audio that libsndfile reads"),
        (["predict", "@empty.wav"], "empty.wav: expected an audio file, found an empty file"),
        (["predict", "@nothing.wav"], "nothing.wav: expected samples, found"),
        (["predict", "@click.wav"], "click.wav: expected at least 400 samples (25 ms)"),
        (["predict", "@silence.wav"], "silence.wav: expected a signal, found"),
        (["predict", "@nan.wav"], "nan.wav: expected finite samples, found 1 NaN"),
        (["predict", "@good.wav", "--runtime", "cuda"], "runtime: expected auto or one of"),
        (["predict", "@good.wav", "--threads", "0"], "threads: expected at least 1, found 0"),
        (["predict", "@good.wav", "--threads", "-2"], "threads: expected at least 1, found -2"),
        (["predict", "@good.wav", "--batch-size", "0"], "--batch-size: expected at least 1"),
        (["predict", "-", "-"], "-: expected stdin once, found twice"),
        (["predict", ""], "command line: expected a path or a name, found an empty argument"),
        (["export", ""], "command line: expected a path or a name, found an empty argument"),
        (["inspect", ""], "command line: expected a path or a name, found an empty argument"),
        (["predict", "--bundle", "@nowhere"], "nowhere: expected a bundle, found no such"),
        (["predict", "--bundle", "@empty-folder"], "expected a bundle with manifest.json, found"),
        (["predict", "--bundle", "@text.zip"], "text.zip: expected a bundle"),
        (["predict", "--bundle", "@good.wav"], "good.wav: expected a bundle"),
        (["predict", "@old", "@good.wav"], "expected manifest schema 2, found schema 99; upgrade"),
        (["predict", "@broken", "@good.wav"], "manifest.json: expected JSON, found"),
        (["predict", "@bundle", "@none.wav"], "none.wav: expected an audio file"),
        (["predict", "@good.wav", "@bundle"], "command line: expected the bundle first, found"),
        (["verify", "@nowhere"], "nowhere: expected a bundle, found no such"),
        (["verify", "@empty-folder"], "expected a bundle with manifest.json, found none"),
        (["verify", "@good.wav"], "good.wav: expected a bundle"),
        (["verify", "@old"], "expected manifest schema 2, found schema 99"),
        (["verify", "--runtime", "cuda"], "runtime: expected auto or one of"),
        (["verify", "--threads", "0"], "threads: expected at least 1, found 0"),
        (["verify", "--threads", "-2"], "threads: expected at least 1, found -2"),
        (["verify", "--parity-audio", "@nowhere"], "--parity-audio: expected --reference beside"),
        (["verify", "--epoch", "best"], "--epoch: expected --reference beside it, found none"),
        (["verify", "--neutral-radius", "0"], "--neutral-radius: expected --reference beside it"),
        (["inspect", "@nowhere"], "nowhere: expected a bundle, found no such"),
        (["inspect", "@empty-folder"], "expected a bundle with manifest.json, found none"),
        (["inspect", "@text.zip", "--json"], "text.zip: expected a bundle"),
        (["inspect", "@broken", "--json"], "expected JSON, found"),
        (["export", "one", "--checkpoint", "two"], "checkpoint: expected one, found two"),
        # before the checkpoint is looked for
        (["export", "none", "-o", "@good.wav/x"], "x: expected a folder that can be written, fo"),
        (["export", "none", "-o", "@good.wav"], "good.wav: expected a new directory, found"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_wrong_use_is_one_line(arguments: list[str], words: str, cli: Cli, bad: Path) -> None:
    before = snapshot(bad)
    done = cli(*(str(bad / a[1:]) if a.startswith("@") else a for a in arguments))
    line = done.error()
    assert words in line
    assert "expected" in line and "found" in line
    assert done.out == ""
    assert snapshot(bad) == before


@pytest.mark.parametrize("data", [b"", b"no audio"])
def test_stdin_that_is_no_audio(data: bytes, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert "<stdin>: expected audio" in cli("predict", "-").error()


def test_a_name_with_a_line_break_stays_on_one_line(cli: Cli, tmp_path: Path) -> None:
    line = cli("predict", tmp_path / "two\nlines.wav").error()
    assert "found no such file" in line


def test_a_name_that_is_too_long(cli: Cli) -> None:
    assert "long" in cli("predict", "long" * 100 + ".wav").error().lower()


def test_a_bad_file_prints_no_header_alone(cli: Cli, tmp_path: Path) -> None:
    assert cli("predict", tmp_path / "none.wav").out == ""
    assert cli("predict", "--json", tmp_path / "none.wav").out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "command line: expected COMMAND, found none; see edge-ser --help"),
        (["frobnicate"], "COMMAND: expected one of export, "),
        (
            ["predict", "--batch-size", "many"],
            "--batch-size: expected a whole number, found 'many'",
        ),
        (["predict", "--threads", "1.5"], "--threads: expected a whole number, found '1.5'"),
        (["verify", "--neutral-radius", "x"], "--neutral-radius: expected a number, found 'x'"),
        (
            ["predict", "--format", "xml"],
            "--format: expected one of table, json, csv, rttm, found 'xml'",
        ),
        (
            ["predict", "--no-such-option"],
            "expected an option of edge-ser predict, found --no-such-option; see edge-ser predict",
        ),
        (["predict", "--runtme", "onnx"], "found --runtme; did you mean --runtime? see edge-ser"),
        (["export", "--traget=onnx-int8"], "found --traget; did you mean --target? see edge-ser"),
        (["verfy"], "train, completion, found 'verfy'; did you mean verify? see edge-ser --hel"),
        (["--json", "predict"], "expected COMMAND before --json, found none; see edge-ser --help"),
        (["--jsn", "predict"], "expected an option of edge-ser, found --jsn; see edge-ser --help"),
        (["verify", "b", "json"], "beside BUNDLE, found json; did you mean --json? see edge-ser v"),
        (["predict", "--format", "jsn"], "found 'jsn'; did you mean json? see edge-ser predict"),
        (["predict", "--b", "x"], "expected one of --bundle, --baseline, --batch-size, found --b"),
        (["predict", "--bundle"], "--bundle: expected BUNDLE, found none; see edge-ser predict"),
        (["predict", "--json=3"], "--json: expected no value, found '3'; see edge-ser predict"),
        (["predict", "--bundle", "--json"], "--bundle: expected BUNDLE, found none; see edge-ser"),
        (["verify", "one", "two"], "expected nothing beside BUNDLE, found two; see edge-ser ver"),
        (["inspect", "one", "two\nlines {what}"], "found two\\nlines {what}; see"),
        (["train"], "expected LABELS.csv, found none; see edge-ser train --help"),
        (["evaluate"], "expected BUNDLE, LABELS.csv, found none; see edge-ser evaluate --help"),
        (["evaluate", "l.csv", "--audio", "x"], "expected LABELS.csv, found BUNDLE l.csv alone; "),
        (["export", "--short", "maybe"], "--short: expected one of refuse, pad, found 'maybe'"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_what_the_parser_refuses_is_one_line_too(
    arguments: list[str], words: str, cli: Cli
) -> None:
    done = cli(*arguments)
    line = done.error()
    assert words in line
    assert "usage:" not in line
    assert done.out == ""


def test_a_file_that_may_not_be_read_is_one_line(cli: Cli, bad: Path) -> None:
    if os.geteuid() == 0:  # root may read everything: a loop of links is as unreadable
        (bad / "loop.wav").symlink_to(bad / "loop.wav")
        path = bad / "loop.wav"
    else:
        path = bad / "good.wav"
        path.chmod(0)
    assert path.name in cli("predict", path).error()


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("inspect @bundel", "@bundle"),
        ("verify @bundel", "@bundle"),
        ("bench @Bundle2", "@bundle"),
        ("report @bundl -o report.html", "@bundle"),
        ("build @bundl", "@bundle"),
        ("predict --runtime onxx", "onnx"),
        ("verify --runtime openvin", "openvino"),
        ("bench --runtime tourch", "torch"),
        ("bench --budget latency=3", "latency_ms"),
        ("export --target onnx-int", "onnx-int8"),
        ("export --recipe static8", "static"),
        ("export --cpu x86-vni", "x86-vnni"),
        ("export --trt-backend tensort", "tensorrt"),
        ("export --runtime openvin", "openvino"),
        ("export spectrl", "spectral"),
        ("completion bsh", "bash"),
        ("evaluate @bundle labels.csv --min-ccc valens=0.5", "valence"),
    ],
)
def test_a_name_that_is_nearly_one_is_asked_for(
    words: str, near: str, cli: Cli, bundle_dir: Path
) -> None:
    folder = f"{bundle_dir.parent}{os.sep}"
    more = ["--device", "t4", "--target", "trt-fp16"] if "--trt-backend" in words else []
    if "--recipe" in words or "--cpu" in words:
        more = ["--target", "onnx-int8"]
    done = cli(*words.replace("@", folder).split(), *more)
    assert f"; did you mean {near.replace('@', folder)}?" in done.error()


def test_the_help_says_which_commands_have_a_default(cli: Cli, tmp_path: Path) -> None:
    help_text = " ".join(build_parser().format_help().split())
    said = help_text.split("Where ")[1].split(" are given no BUNDLE, and export no CKPT")[0]
    defaulted = set(said.replace(" and ", ", ").split(", "))
    for name, parser in build_parser().commands().items():
        named = [a for a in parser.actions() if "BUNDLE" in str(a.metavar) and not a.option_strings]
        if not named:
            assert name not in defaulted
        elif name in defaulted:
            assert named[0].nargs in ("?", "*")
            assert "default" in f"{named[0].help} {parser.description}", name
        else:
            needed = {"report": ["-o", tmp_path / "r.html"], "sign": ["--key", tmp_path / "k.pem"],
                      "stress": ["--audio", tmp_path]}  # fmt: skip
            assert "BUNDLE" in cli(name, *needed.get(name, [])).error()
