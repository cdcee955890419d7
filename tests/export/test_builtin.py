"""The export side's files are a package of their own: missing, they are asked for in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.cli import main
from edge_ser.errors import MissingExtraError
from edge_ser_export import builtin
from edge_ser_export.checkpoints.load import load_checkpoint

DATA = Path(builtin.__file__).parent.parent / "edge_ser_export_data"
INSTALL = "pip install ./export/edge_ser_export_data"


@pytest.fixture
def without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edge_ser_export_data", None)


def test_the_files_are_found() -> None:
    files = builtin.installed_checkpoints()
    assert tuple(files) == builtin.CHECKPOINT_NAMES
    assert all(file.is_file() for file in files.values())
    assert len(list(builtin.default_calibration_samples().glob("*.flac"))) == 16
    assert builtin.find_checkpoint("some/where.pt") == Path("some/where.pt")


def test_a_built_in_checkpoint_is_asked_for(
    without_data: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert builtin.installed_checkpoints() == {}
    out = tmp_path / "bundle"
    assert main(["export", "wavlm-tiny", "-o", str(out)]) == 2
    line = capsys.readouterr().err.strip().splitlines()
    assert len(line) == 1
    assert "the checkpoint wavlm-tiny" in line[0]
    assert INSTALL in line[0]
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_told_of_the_extra_first(
    without_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingExtraError) as caught:
        builtin.find_checkpoint("spectral")
    assert "edge-ser[export]" not in caught.value.advice
    monkeypatch.setattr(builtin, "is_installed", {"torch": False}.get)
    with pytest.raises(MissingExtraError) as caught:
        builtin.find_checkpoint("spectral")
    assert caught.value.advice == (
        "give the path of another, or run `pip install 'edge-ser[export]'`, then "
        f"`{INSTALL}` in edge-ser's source tree"
    )


def test_built_in_clips_are_asked_for_before_any_work(
    without_data: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = DATA / "checkpoints" / "spectral.safetensors", tmp_path / "bundle"
    assert main(["export", str(checkpoint), "--target", "onnx-int8", "-o", str(out)]) == 2
    line = capsys.readouterr().err.strip().splitlines()
    assert len(line) == 1
    assert "calibration clips" in line[0]
    assert "--calibration DIR" in line[0]
    assert INSTALL in line[0]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_by_path_needs_no_package(without_data: None) -> None:
    loaded = load_checkpoint(DATA / "checkpoints" / "spectral.safetensors")
    assert loaded.name == "emosphere-checkpoints-spectral"
    with pytest.raises(MissingExtraError):
        load_checkpoint("spectral")


def test_nothing_imports_the_package_before_it_is_needed() -> None:
    modules = "edge_ser_export.pipeline", "edge_ser_export.calibration.draw"
    code = f"import sys, {', '.join(modules)}; sys.exit('edge_ser_export_data' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
