"""No command writes over what it reads, into a bundle, or over what no command writes."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser.cli import COMMANDS, build_parser
from edge_ser.cli.outputs import Output, names_path, refuse_overwriting
from edge_ser.data import sample_utterances

Cli = Callable[..., Any]

# Of every command: its arguments that are read, each with a file of the fixture `given`, and those
# that say where it writes. What is new in a command must be written down here.
READ: dict[str, dict[str, str]] = {
    "export": {
        "checkpoint": "m.safetensors", "--checkpoint": "", "--parity-audio": "a.wav",
        "--calibration": "labels.csv", "--audio": "",
    },
    "build": {"bundle": "bundle"},
    "sign": {"bundle": "bundle", "--key": "key.pem"},
    "verify": {
        "bundle": "bundle", "--reference": "m.safetensors", "--parity-audio": "a.wav",
        "--trusted-key": "key.pem", "--against": "",
    },
    "predict": {
        "inputs": "a.wav", "--bundle": "bundle", "--turns": "turns.csv", "--baseline": "a.wav",
    },
    "evaluate": {
        "bundle": "bundle", "labels": "labels.csv", "--audio": "", "--answers": "answers.csv",
    },
    "stress": {
        "bundle": "bundle", "--audio": "run", "--groups": "answers.csv", "--labels": "labels.csv",
        "--against": "",
    },
    "inspect": {"bundle": "bundle"},
    "report": {"subjects": "run.json", "--bench": "speed.jsonl"},
    "bench": {
        "bundles": "bundle", "--checkpoint": "m.safetensors", "--audio": "a.wav",
        "--compare": "speed.jsonl",
    },
    "doctor": {"bundles": "bundle"},
    "listen": {"inputs": "bundle"},
    "train": {
        "labels": "labels.csv", "--audio": "", "--teacher": "run/best.safetensors",
        "--evaluate": "",
    },
    "completion": {},
}  # fmt: skip
WRITTEN = {
    "export": ["--out"],
    "verify": ["--report"],
    "predict": ["--out", "--plot"],
    "evaluate": ["--save-answers", "--plot", "--calibrate"],
    "stress": ["--report", "--json"],
    "report": ["--out"],
    "listen": ["--counters"],
    "bench": ["--json", "--csv", "--markdown", "--plot"],
    "train": ["--out", "--cache"],
}
FILES = [
    (c, o)
    for c, options in WRITTEN.items()
    for o in options
    if c not in ("export", "train") and o != "--calibrate"
]
# A history is continued, not replaced.
SHARED = {("bench", "--json", "--compare")}


def label(action: argparse.Action) -> str:
    return max(action.option_strings, key=len) if action.option_strings else action.dest


@pytest.fixture
def given(tmp_path: Path, bundle_dir: Path) -> Path:
    """A folder with a file for every kind of input; the bundle is beside them."""
    shutil.copy(sample_utterances()[0], tmp_path / "a.wav")
    (tmp_path / "run").mkdir()
    for name, content in {
        "m.safetensors": b"weights", "key.pem": b"-----BEGIN PRIVATE KEY-----\n",
        "turns.csv": b"speaker,start,end\n", "labels.csv": b"FileName\n", "run.json": b"{}",
        "answers.csv": b"source\n", "speed.jsonl": b"", "run/best.safetensors": b"weights",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    assert bundle_dir == tmp_path / "bundle"
    return tmp_path


def words_of(command: str, given: Path) -> list[str]:
    """A command line with everything that the command reads."""
    words = [command]
    for name, file in READ[command].items():
        if file:
            words += [name] if name.startswith("--") else []
            words.append(str(given / file))
    return words


def state(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(cli: Cli, given: Path, *words: object) -> str:
    before = state(given)
    error: str = cli(*words).error()
    assert state(given) == before
    assert "; choose another place for " in error
    return error


def test_every_argument_is_known_to_be_read_or_written() -> None:
    parsers = build_parser().commands()
    assert set(parsers) == set(COMMANDS) == set(READ)
    for command, parser in parsers.items():
        paths = [a for a in parser.actions() if names_path(a)]
        outputs = [label(a) for a in paths if isinstance(a, Output)]
        assert outputs == WRITTEN.get(command, []), command
        assert {label(a) for a in paths} - {*outputs} == set(READ[command]), command


@pytest.mark.parametrize(("command", "option"), FILES)
def test_no_input_is_replaced(command: str, option: str, cli: Cli, given: Path) -> None:
    words = words_of(command, given)
    for name, file in READ[command].items():
        source = given / file
        if not file or source.is_dir() or (command, option, name) in SHARED:
            continue
        soft, hard = given / f"soft{source.suffix}", given / f"hard{source.suffix}"
        soft.unlink(missing_ok=True)
        hard.unlink(missing_ok=True)
        soft.symlink_to(source)
        os.link(source, hard)
        for path in (source, soft, hard, given / "run" / ".." / file):
            error = refused(cli, given, *words, option, path)
            assert error.startswith(
                f"{path}: expected a file that the command does not read, found its "
            ), (name, error)
            assert "which would be replaced" in error


@pytest.mark.parametrize(("command", "option"), FILES)
def test_nothing_is_written_into_a_bundle(
    command: str, option: str, cli: Cli, given: Path, zip_bundle: Callable[..., Path]
) -> None:
    zipped = zip_bundle(given / "bundle", given / "b.zip")
    (given / "bundle" / "sub").mkdir()
    link = given / "link"
    link.symlink_to(given / "bundle")
    places = [folder / name for folder in (given / "bundle", link)
              for name in ("manifest.json", "parity.json", "new.html", "sub/new.html")]  # fmt: skip
    for path in [*places, zipped]:
        error = refused(cli, given, *words_of(command, given), option, path)
        assert error.startswith(f"{path}: expected a file outside the bundle, found a place in ")


@pytest.mark.parametrize(("command", "option"), FILES)
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("new.wav", b"", "a recording"),
        ("new.txt", b"RIFF\x24\0\0\0WAVEfmt ", "a recording"),
        ("new.csv", b"ID3\x04", "a recording"),
        ("new.onnx", b"", "a model"),
        ("new.pt", b"", "a model"),
        ("new.safetensors", b"x", "a model"),
        ("new.key", b"secret", "a key"),
        ("new.html", b"-----BEGIN PRIVATE KEY-----\n", "a key"),
        ("new.json", b"\x80\x04\x95", "no text"),
        ("new.md", b"text\0", "no text"),
        ("new.png", b"%PDF-1.7\xff", "no text"),
    ],
)
def test_what_no_command_writes_is_not_replaced(
    command: str, option: str, name: str, content: bytes, words: str, cli: Cli, given: Path
) -> None:
    path = given / name
    path.write_bytes(content)
    error = refused(cli, given, *words_of(command, given), option, path)
    assert error.startswith(f"{path}: expected a new file, or one that a command wrote, found ")
    assert words in error and error.endswith(", or remove it")


def test_two_outputs_are_two_files(cli: Cli, given: Path) -> None:
    (given / "link").symlink_to(given / "out.csv")
    words = words_of("bench", given)
    error = refused(cli, given, *words, "--csv", given / "out.csv", "--markdown", given / "link")
    assert "expected another file than for --csv, found the same" in error


def test_files_of_a_checkpoint_and_of_a_corpus_are_inputs_too(cli: Cli, given: Path) -> None:
    config = given / "run" / "config.json"
    config.write_text("{}")
    table = given / "corpus" / "Labels" / "labels_consensus.csv"
    table.parent.mkdir(parents=True)
    table.write_text("FileName\n")
    bundle, corpus = given / "bundle", given / "corpus"
    assert "does not read, found its --reference" in refused(
        cli, given, "verify", bundle, "--reference", given / "run", "--report", config
    )
    assert "does not read, found its LABELS.csv" in refused(
        cli, given, "evaluate", bundle, corpus, "--save-answers", table
    )


def test_a_run_does_not_replace_its_teacher(cli: Cli, given: Path) -> None:
    error = refused(cli, given, *words_of("train", given), "-o", given / "run")
    assert "best.safetensors: expected a file that the command does not read" in error
    # evaluating leaves the run as it is
    parser = build_parser("train")
    best = given / "run" / "best.safetensors"
    words = ["train", "labels.csv", "--evaluate", str(best), "-o", str(given / "run")]
    refuse_overwriting(parser.commands()["train"].actions(), parser.parse_args(words))


def test_folders_are_not_made_in_bundles_or_of_files(cli: Cli, given: Path) -> None:
    inside = given / "bundle" / "new"
    for words in (("export", "spectral"), words_of("train", given)):
        assert "expected a file outside the bundle" in refused(cli, given, *words, "-o", inside)
        error = refused(cli, given, *words, "-o", given / "a.wav")
        assert "a.wav: expected a new directory, found a file" in error


def test_what_a_command_wrote_is_replaced_by_the_next(cli: Cli, given: Path) -> None:
    out, page = given / "out.csv", given / "page.html"
    for path in (out, page, given / "link"):
        path.write_text("old\n", encoding="utf-8")
    (given / "link").unlink()
    (given / "link").symlink_to(out)
    for path in (out, given / "link"):
        assert cli("predict", given / "a.wav", "--format", "csv", "-o", path).code == 0
        assert out.read_text(encoding="utf-8").startswith("source,seconds")
    assert cli("report", given / "bundle", "--no-run", "-o", page).code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_not_read_to_see_what_it_holds(given: Path) -> None:
    pipe = given / "pipe.csv"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "edge_ser", "predict", str(given / "a.wav"), "-o", str(pipe)]
    with subprocess.Popen(command) as process:
        assert pipe.read_text(encoding="utf-8").startswith("file ")
        assert process.wait(60) == 0
