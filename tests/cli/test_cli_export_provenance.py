"""What a manifest says of how its bundle was made is what was asked, and what was used."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from helpers.tiny_models import encoder_config, joint_config, random_joint, random_run

from edge_ser.audio.sound import SoundLimits
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import build_parser, main
from edge_ser.cli.export import read_options
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.command import spell_command

pytestmark = pytest.mark.usefixtures("traced_once")
# What a command does not say: where the bundle goes, another way to name the checkpoint, and how
# its end is told.
# the commit that was fetched is told instead of what was asked for
UNTOLD = {"out", "named", "help", "verbose", "quiet", "json", "revision"}
COMMANDS = (
    "export runs/a --target onnx-fp32 --epoch final --neutral-radius 0.25 --max-seconds 2.5 "
    "--short pad --min-speech 0.3 --parity-audio SPEECH SPEECH/00.flac --runtime openvino "
    "--keep-failed",
    "export a.pt --target onnx-int8 --calibration my/table.csv --audio my/clips --split Train "
    "--recipe static --cpu x86 --sensitivity --force",
    "export wavlm-tiny --target onnx-fp16 --fp16-form compute --calibration 'with space' "
    "--name front-door --licence 'CC BY 4.0'",
    "export spectral --target trt-fp16 --device rtx-4090 t4 --profile 1x0.5s:1x3s:8x12s "
    "--profile 1x1s:1x1s:1x1s --trt-backend rtx",
)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twenty clips, four more than lengths and files are made from."""
    folder = tmp_path_factory.mktemp("audio") / "callers"
    folder.mkdir()
    clips = sorted(default_calibration_samples().glob("*.flac"))
    for number in range(20):
        shutil.copy(clips[number % len(clips)], folder / f"{number:02}.flac")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_spelled_is_the_command(command: str, speech: Path) -> None:
    words = shlex.split(command.replace("SPEECH", str(speech)))
    options = read_options(build_parser("export").parse_args(words))
    spelled = spell_command(options, names_only=False)
    again = shlex.split(spelled)
    assert again[:2] == ["edge-ser", "export"]
    assert read_options(build_parser("export").parse_args(again[1:])) == options
    named = shlex.split(spell_command(options))
    assert not [word for word in named if "/" in word], "no folder of this machine is told"
    assert len(named) == len(again)


def test_no_option_is_left_untold() -> None:
    parser = build_parser("export")
    told: set[str] = set()
    empty = vars(parser.parse_args(["export"]))
    for command in COMMANDS:
        given = vars(parser.parse_args(shlex.split(command)))
        told |= {name for name, value in given.items() if value != empty[name]}
    assert set(empty) - told - UNTOLD == {"command", "run"}


def test_options_and_files_of_a_float32_export(
    tmp_path: Path,
    speech: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    run, out = tmp_path / "runs" / "a", tmp_path / "bundle"
    random_run().save(run, "final")
    options = ["--epoch", "final", "--max-seconds", "2", "--short", "pad", "--min-speech", "0.3"]
    command = ["export", str(run), *options, "--parity-audio", str(speech), "-o", str(out)]
    assert main(command) == 0
    captured = capsys.readouterr()
    told = json.loads((out / "manifest.json").read_text())["provenance"]
    assert told["command"] == (
        "edge-ser export a --target onnx-fp32 --parity-audio callers --epoch final "
        "--max-seconds 2.0 --min-speech 0.3 --short pad"
    )
    assert told["date"] == "2023-11-14T22:13:20Z"
    asked = told["options"]
    assert (asked["epoch"], asked["max_seconds"], asked["short"]) == ("final", 2.0, "pad")
    assert asked["min_speech"] == 0.3
    assert Bundle.open(out).manifest.sound == SoundLimits(min_speech=0.3)
    assert (asked["parity_audio"], asked["speech_given"]) == ("callers", 20)
    # the files that were used, which are not the first ones
    lengths = json.loads((out / "parity.json").read_text())["speech"]["lengths"]["files"]
    assert asked["speech"] == [name for name, _ in lengths]
    assert len(asked["speech"]) == 16 and asked["speech"][-1] == "19.flac"
    assert "note     of 20 files of speech 16 were used for lengths" in captured.out
    # what the checkpoint does not say is told now, not to who reads the bundle alone
    assumed = told["checkpoint"]["assumed"]
    assert "max_bucket_distance 800" in assumed[0]
    for note in assumed:
        assert f"warning: the checkpoint does not say, and it was assumed: {note}" in captured.err
    assert main(["inspect", str(out)]) == 0
    assert "2023-11-14T22:13:20Z" in capsys.readouterr().out


def test_options_of_a_lower_precision(
    tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_config("spectral", num_hidden_layers=1, hidden_size=64)
    checkpoint, out = tmp_path / "tiny.safetensors", tmp_path / "bundle"
    save_checkpoint(random_joint(joint_config(encoder)), checkpoint)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    options = ["--target", "onnx-fp16", "--fp16-form", "compute", "--force"]
    command = ["export", str(checkpoint), *options, "--calibration", str(speech), "-o", str(out)]
    assert main([*command, "--max-seconds", "4"]) == 0
    told = Bundle.open(out).manifest.provenance
    assert told.command == (
        "edge-ser export tiny.safetensors --target onnx-fp16 --calibration callers "
        "--max-seconds 4.0 --fp16-form compute --force"
    )
    assert told.options["calibration"] == "callers"
    assert told.options["precision"] == {
        "recipe": "auto", "cpu": "auto", "half_form": "compute", "sensitivity": False,
        "force": True,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["yesterday", "1.5", "99999999999999999999", ""])
def test_a_date_that_is_none(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    assert main(["export", "-o", str(tmp_path / "bundle")]) == 2
    line = capsys.readouterr().err
    assert line == (
        "edge-ser: error: SOURCE_DATE_EPOCH: expected whole seconds since 1970, found "
        f"{value!r:.40}; set it to a number, or unset it\n"
    )
    assert not list(tmp_path.iterdir())
