"""Checkpoints that are refused, whatever their kind."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import (
    WEIGHTS,
    WIDTH,
    Published,
    Run,
    State,
    bert,
    joint_config,
    published_audeering,
    random_joint,
    save_bin,
    save_safetensors,
)
from safetensors.torch import load_file, save_file

from edge_ser.cli import main
from edge_ser.errors import CheckpointError, MissingPathError, UsageError
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint


@dataclass
class Laid:
    """A checkpoint on disk, the file that holds the encoder's tensors, and its prefix there."""

    path: Path
    file: Path
    prefix: str

    def read(self) -> State:
        if self.file.suffix == ".safetensors":
            return load_file(self.file)
        content = torch.load(self.file, weights_only=True)
        return content.get("state_dict", content)

    def write(self, state: State) -> None:
        if self.file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(self.file, framework="pt") as old:
                metadata = old.metadata()
            save_file(state, self.file, metadata=metadata)
            return
        content = torch.load(self.file, weights_only=True)
        nested = "state_dict" in content
        torch.save({**content, "state_dict": state} if nested else state, self.file)


@pytest.fixture(
    params=["run", "baseline.safetensors", "baseline.bin", "audeering", "own.pt", "own.safetensors"]
)
def laid(request: pytest.FixtureRequest, tmp_path: Path, run: Run, baseline: Published) -> Laid:
    kind, _, suffix = request.param.partition(".")
    if kind == "run":
        run.save(tmp_path)
        return Laid(tmp_path, tmp_path / "best_ssl.pt", "")
    if kind == "own":
        path = tmp_path / f"x.{suffix}"
        save_checkpoint(random_joint(joint_config("wavlm-layer")), path)
        return Laid(path, path, "encoder.model.")
    if kind == "baseline":
        baseline.save(tmp_path, WEIGHTS[suffix])
        file = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[suffix]
        return Laid(tmp_path, tmp_path / file, "ssl_model.")
    published_audeering().save(tmp_path, save_bin)
    return Laid(tmp_path, tmp_path / "pytorch_model.bin", "wav2vec2.")


def refused(laid: Laid) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(laid.path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_laid_out_checkpoints_are_right_to_begin_with(laid: Laid) -> None:
    assert load_checkpoint(laid.path).model.vad_head is not None


def test_missing_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    names = ["encoder.layers.1.final_layer_norm.bias", "encoder.layers.0.attention.k_proj.weight"]
    for name in names:
        del state[laid.prefix + name]
    laid.write(state)
    message = refused(laid)
    assert "2 missing" in message
    assert all(name in message for name in names)


def test_unexpected_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    state[laid.prefix + "encoder.layers.0.attention.gate.weight"] = torch.zeros(2, 2)
    laid.write(state)
    message = refused(laid)
    assert "1 unexpected" in message
    assert "encoder.layers.0.attention.gate.weight" in message


def test_misshapen_tensors_are_listed(laid: Laid) -> None:
    state = laid.read()
    name = "encoder.layers.0.attention.k_proj.weight"
    state[laid.prefix + name] = torch.zeros(WIDTH - 1, WIDTH)
    laid.write(state)
    message = refused(laid)
    assert name in message
    assert f"[{WIDTH - 1}, {WIDTH}] instead of [{WIDTH}, {WIDTH}]" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(laid: Laid, value: float) -> None:
    state = laid.read()
    name = laid.prefix + "encoder.layers.1.feed_forward.output_dense.weight"
    state[name] = state[name].clone()
    state[name][3, 3] = value
    laid.write(state)
    message = refused(laid)
    assert "finite" in message
    assert "encoder.layers.1.feed_forward.output_dense.weight" in message


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool])
def test_integer_weights_are_refused(laid: Laid, dtype: torch.dtype) -> None:
    state = laid.read()
    name = laid.prefix + "encoder.layer_norm.weight"
    state[name] = state[name].to(dtype)
    laid.write(state)
    assert "encoder.layer_norm.weight" in refused(laid)


def test_another_architecture_is_refused(laid: Laid) -> None:
    laid.write(bert())
    refused(laid)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(laid: Laid, keep: float) -> None:
    content = laid.file.read_bytes()
    laid.file.write_bytes(content[: int(keep * len(content))])
    assert laid.file.name in refused(laid)


def test_files_of_noise_are_refused(laid: Laid) -> None:
    laid.file.write_bytes(np.random.default_rng(0).bytes(5000))
    assert laid.file.name in refused(laid)


@pytest.mark.parametrize("option", ["--epoch", "--neutral-radius"])
def test_options_of_run_directories_are_refused_beside_others(
    laid: Laid, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"--epoch": ("best", None), "--neutral-radius": (None, 0.3)}[option]
    if laid.file.name == "best_ssl.pt":
        if option == "--epoch":
            assert load_checkpoint(laid.path, *values).kind == "emosphere-run"
        return
    with pytest.raises(UsageError, match=f"{option}: expected none, as only run directories"):
        load_checkpoint(laid.path, *values)
    value = str(values[0] or values[1])
    for command in (["export", str(laid.path)], ["verify", "--reference", str(laid.path)]):
        assert main([*command, option, value]) == 2
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert out == "" and line.startswith(f"edge-ser: error: {option}: expected none")
        assert f"found {value} for {laid.path.name}; drop {option}" in line


@pytest.mark.parametrize("with_run", [False, True])
def test_configuration_of_another_architecture_is_refused(
    baseline: Published, run: Run, tmp_path: Path, with_run: bool
) -> None:
    baseline.save(tmp_path, save_safetensors)
    if with_run:
        run.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 768}))
    with pytest.raises(CheckpointError, match="bert"):
        load_checkpoint(tmp_path)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="spectral"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="nothing"):
        load_checkpoint(tmp_path)
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(CheckpointError, match=r"notes\.txt"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "notes.txt")
