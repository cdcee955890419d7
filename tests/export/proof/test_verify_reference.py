"""`edge-ser verify --reference`: with the checkpoint of a bundle, and with another."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import sha256
from edge_ser.bundle.provenance import CheckpointOrigin, Provenance
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.data import sample_utterances
from edge_ser_export.builtin import find_checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.joint import JointModel

Verify = Callable[..., tuple[int, str, list[str]]]
MADE_FROM = sha256(find_checkpoint("spectral"))


@pytest.fixture
def bundle(bundle_dir: Path) -> Path:
    """The default bundle, for short utterances, so that the reference need not run for long."""
    manifest = Bundle.open(bundle_dir).manifest
    seal(
        bundle_dir, replace(manifest, preprocessing=replace(manifest.preprocessing, max_seconds=2))
    )
    return bundle_dir


@pytest.fixture
def verify(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Runs the command; exit code, stdout and the lines of stderr."""
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "a.flac").symlink_to(sample_utterances()[0])

    def run(reference: object, *more: str) -> tuple[int, str, list[str]]:
        command = ["verify", str(bundle), "--reference", str(reference), "--threads", "1"]
        code = main([*command, "--parity-audio", str(tmp_path / "speech"), *more])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


def saved(path: Path, change: Callable[[JointModel], None] = lambda _: None) -> Path:
    """The default checkpoint in another file."""
    model = load_checkpoint("spectral").model
    change(model)
    save_checkpoint(model, path)
    return path


def other_bias(model: JointModel) -> None:
    with torch.no_grad():
        dict(model.named_parameters())["vad_head.out.0.bias"][1] += 0.02


def other_mean(model: JointModel) -> None:
    model.config = replace(model.config, mean=0.5)


def warning(path: Path) -> str:
    return (
        f"edge-ser: warning: wrong checkpoint? emosphere-spectral was made from another than "
        f"{path}: expected sha256 {MADE_FROM[:16]}..., found {sha256(path)[:16]}..."
    )


def test_its_own_checkpoint(verify: Verify) -> None:
    code, out, err = verify("spectral")
    assert (code, err) == (0, [])
    assert out.endswith("verified: this device gives the checkpoint's answers\n")


def test_another_checkpoint_with_the_same_answers(verify: Verify, tmp_path: Path) -> None:
    path = saved(tmp_path / "copy.pt")
    code, out, err = verify(path, "--report", str(tmp_path / "r.html"))
    assert (code, err) == (0, [warning(path)])
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"the checkpoint sha256 {sha256(path)}, here and now" in html
    assert f"edge-ser, sha256 {MADE_FROM}" in html
    assert "limits" in out
    assert out.endswith("verified: this device gives the checkpoint's answers\n")


def test_another_checkpoint_with_other_answers(verify: Verify, tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pt", other_bias)
    code, out, err = verify(path)
    assert (code, out) == (1, "")
    assert err[0] == warning(path)
    (line,) = err[1:]
    assert line.startswith(
        "edge-ser: error: verification of emosphere-spectral: expected the checkpoint that it was "
        "made from, found another one, which differs: VAD off by 2.00e-02 ("
    )
    assert line.endswith("); give the checkpoint that it was made from")
    assert line.count("differ") == 1, "the worst difference only"
    code, out, err = verify(path, "--json")
    assert code == 1 and len(err) == 2
    assert len(json.loads(out)["failures"]) >= 3  # for machines all of them


def test_another_checkpoint_that_prepares_audio_otherwise(verify: Verify, tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pt", other_mean)
    code, out, err = verify(path)
    assert (code, out) == (1, "")
    assert err[0] == warning(path)
    assert "found another one, which differs: another pre-processing; give the" in err[1]


@pytest.mark.parametrize("provenance", [Provenance(), Provenance(CheckpointOrigin("x"))])
def test_a_bundle_that_does_not_say_what_it_was_made_from(
    provenance: Provenance, bundle: Path, verify: Verify, tmp_path: Path
) -> None:
    manifest = Bundle.open(bundle).manifest
    seal(bundle, manifest.with_parts(provenance=provenance))
    code, out, err = verify(saved(tmp_path / "other.pt", other_mean))
    assert (code, out) == (1, "")
    (line,) = err
    assert "pre-processing of emosphere-spectral: expected the checkpoint's: Preproc" in line
    assert "do not ship this bundle for this checkpoint" in line


def test_the_layer_that_is_not_the_checkpoints_is_named(bundle: Path, verify: Verify) -> None:
    manifest = Bundle.open(bundle).manifest
    model, name = onnx.load(bundle / "model.onnx"), "encoder.layers.1.attention_norm.weight"
    (weight,) = (w for w in model.graph.initializer if w.name == name)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(0.5), name))
    onnx.save(model, bundle / "model.onnx")
    seal(bundle, manifest)
    code, out, err = verify("spectral", "--where")
    assert code == 1 and len(err) == 1
    lines = out.splitlines()
    assert lines[0].endswith("against the checkpoint spectral in onnx without optimisations")
    (marked,) = (line for line in lines if line.startswith("> "))
    assert marked.split()[2:4] == ["layer_norm_2", "LayerNormalization"]
    assert any(line.startswith("first ") and name in line for line in lines)
