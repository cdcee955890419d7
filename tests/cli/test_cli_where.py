"""`edge-ser verify --where`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE

Cli = Callable[..., Any]
SCALE = "encoder.layers.1.attention_norm.weight"
ONE = ("--threads", "1")


@pytest.fixture
def damaged(bundle_dir: Path) -> Path:
    """The default bundle with another weight in its middle, and hashes that fit it."""
    model = onnx.load(bundle_dir / "model.onnx")
    (weight,) = (w for w in model.graph.initializer if w.name == SCALE)
    values = numpy_helper.to_array(weight) + np.float32(0.5)
    weight.CopyFrom(numpy_helper.from_array(values, SCALE))
    onnx.save(model, bundle_dir / "model.onnx")
    seal(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    return bundle_dir


def test_nothing_differs_in_a_sound_bundle(cli: Cli) -> None:
    done = cli("verify", "--where", *ONE)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == (
        "where    emosphere-spectral in onnx, against the same in onnx without optimisations"
    )
    assert lines[1].endswith("one differs from 0.001 of its largest magnitude on")
    assert lines[2].startswith("where    none differs; the farthest is ")
    assert "--reference CKPT or --against BUNDLE" in lines[3]
    assert lines[-1].startswith("verified: ")


def test_the_layer_of_a_damaged_weight_is_named(damaged: Path, cli: Cli) -> None:
    done = cli("verify", damaged, "--where", "--against", DEFAULT_BUNDLE, *ONE)
    assert done.code == 1
    lines = done.out.splitlines()
    (marked,) = (line for line in lines if line.startswith("> "))
    assert marked.split()[2:4] == ["layer_norm_2", "LayerNormalization"]
    named = [line for line in lines if line.startswith("first ")]
    assert named[0].startswith("first    layer_norm_2 (LayerNormalization node_layer_norm_2): ")
    assert SCALE in named[1]
    assert "expected the reference's answers" in done.err


def test_a_failed_verification_says_what_would_tell_more(damaged: Path, cli: Cli) -> None:
    done = cli("verify", damaged, *ONE)
    assert done.code == 1
    assert done.err.rstrip().endswith("--where names the tensor that differs")


def test_json_has_every_tensor(damaged: Path, cli: Cli) -> None:
    done = cli("verify", damaged, "--where", "--against", DEFAULT_BUNDLE, "--json", *ONE)
    assert done.code == 1
    where = json.loads(done.out)["where"]
    assert where["first"] == "layer_norm_2" and len(where["tensors"]) > 200
    assert {"tensor", "operator", "reads", "difference"} <= set(where["tensors"][0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--against", DEFAULT_BUNDLE), "--against: expected --where beside it, found none"),
        (("--where", "--against", DEFAULT_BUNDLE, "--reference", "spectral"),
         "--against: expected it or --reference, found both"),
        (("--where", "--runtime", "trt"),
         "--where: expected a runtime that computes the graph: onnx or openvino, found trt"),
        (("--where", "--against", "gone"), "gone: expected a bundle, found no such file"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(
    options: tuple[object, ...], words: str, cli: Cli
) -> None:
    assert cli("verify", *options).error().startswith(words)


def test_bundles_of_two_checkpoints_are_told(cli: Cli, bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    checkpoint = replace(manifest.provenance.checkpoint, sha256="f" * 64)
    other = replace(manifest.provenance, checkpoint=checkpoint)
    seal(bundle_dir, manifest.with_parts(provenance=other))
    done = cli("verify", DEFAULT_BUNDLE, "--where", "--against", bundle_dir, *ONE)
    assert "was made from another checkpoint than" in done.err and "ffffffffffffffff..." in done.err
