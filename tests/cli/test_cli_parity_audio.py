"""Which words after `--parity-audio` are speech, and which are the command's own."""

import shutil
from pathlib import Path

import pytest

from edge_ser.cli import build_parser, main
from edge_ser.cli.export import read_options
from edge_ser_export.contents import place_name


@pytest.fixture
def place(tmp_path: Path, utterances: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of speech, a file beside them, and a run that has recordings in it."""
    for name in ("callers", "drivers", "run"):
        (tmp_path / name).mkdir()
        shutil.copy(utterances[0], tmp_path / name / f"{name}{utterances[0].suffix}")
    (tmp_path / "run" / "config.json").write_text("{}")
    shutil.copy(utterances[1], tmp_path / "one.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "run --parity-audio callers drivers one.wav",
        "--parity-audio callers drivers one.wav run",
        "--parity-audio callers --parity-audio drivers one.wav callers run",
    ],
)
def test_files_and_folders_of_speech_are_taken_and_no_checkpoint(words: str, place: Path) -> None:
    options = read_options(build_parser("export").parse_args(["export", *words.split()]))
    assert options.source == "run"
    names = [path.stem for path in options.speech]
    assert names == ["callers", "drivers", "one"], "each once"
    assert [place_name(p) for p in options.parity_audio][:3] == ["callers", "drivers", "one.wav"]


def test_verify_leaves_the_bundle(place: Path, bundle_dir: Path) -> None:
    words = ["verify", "--reference", "spectral", "--parity-audio", "callers", str(bundle_dir)]
    read = build_parser("verify").parse_args(words)
    assert (read.bundle, read.parity_audio) == (str(bundle_dir), (Path("callers"),))


def test_one_that_is_not_there_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--parity-audio", "callers", "none.wav", "-o", "out"]) == 2
    assert "none.wav: expected audio or a folder of it, found nothing there" in (
        capsys.readouterr().err
    )
    assert not (place / "out").exists()
