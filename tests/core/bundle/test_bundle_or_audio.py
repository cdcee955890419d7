"""A bundle is a directory or a .zip: what is called audio is audio, whatever lies behind it."""

import os
import shutil
from pathlib import Path

import pytest
from helpers.bundle_files import ZipBundle

from edge_ser.bundle.bundle import Bundle, is_bundle
from edge_ser.bundle.writing import new_bundle
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, UsageError


@pytest.fixture
def packed(zip_bundle: ZipBundle, tmp_path: Path) -> Path:
    return zip_bundle(DEFAULT_BUNDLE, tmp_path / "model.zip")


def test_a_recording_with_a_zip_behind_it_is_a_recording(
    packed: Path, utterances: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile

    samples, rate = soundfile.read(utterances[0])
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, rate)
    assert main(["predict", str(path)]) == 0
    expected = capsys.readouterr().out
    path.write_bytes(path.read_bytes() + packed.read_bytes())
    assert not is_bundle(path)
    assert main(["predict", str(path), str(path)]) == 0
    row = expected.splitlines()[-1]
    assert capsys.readouterr().out.splitlines()[1:] == [row, row]


@pytest.mark.parametrize("name", ["a.wav", "model", "model.onnx"])
def test_a_bundle_of_another_name_is_none_unless_it_is_named_as_one(
    name: str, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(packed, tmp_path / name))
    assert is_bundle(packed) and not is_bundle(path)
    assert main(["predict", str(path)]) == 2
    assert "error" in capsys.readouterr().err
    assert Bundle.open(path).manifest.name, "where a bundle is asked for, it is one"


def test_a_pipe_is_refused_and_not_waited_for(bundle_dir: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    assert not is_bundle(tmp_path / "pipe.zip")
    with pytest.raises(BundleError):
        Bundle.open(tmp_path / "pipe.zip")
    for name in ("manifest.json", "golden.npz"):
        folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / name))
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(BundleError):
            Bundle.open(folder)


@pytest.mark.parametrize("method", [1, 12, 14, 99])
def test_a_broken_zip_in_the_way_is_left_alone(method: int, packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    position = 0
    while (position := data.find(b"PK\x01\x02", position)) >= 0:
        data[position + 10] = method
        position += 4
    packed.write_bytes(data)
    with (
        pytest.raises(UsageError, match="expected a new directory, found something else there"),
        new_bundle(packed),
    ):
        raise AssertionError("never written")
    assert packed.read_bytes() == data
