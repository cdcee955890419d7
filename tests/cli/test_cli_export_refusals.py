"""What `edge-ser export` refuses before it imports torch, which takes seconds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from edge_ser.data import DEFAULT_BUNDLE

PROGRAM = """
import contextlib, io, json, sys
from edge_ser.cli import main
said = []
for arguments in json.load(sys.stdin):
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = main(["export", *arguments])
    heavy = [m for m in ("torch", "transformers", "onnx", "librosa") if m in sys.modules]
    said.append((code, err.getvalue(), heavy))
print(json.dumps(said))
"""
ENGINE = "--target trt-fp16 --device orin"
CASES = {
    "--target onnx-int9": "--target: expected one of onnx-fp32, onnx-fp16, onnx-int8, trt-fp32",
    "--target onnx-int8 --calibration @none": "none: expected a folder of audio or a CSV table",
    "--target onnx-int8 --calibration @empty": "empty: expected audio files to calibrate on, fo",
    "--target onnx-int8 --calibration @a.csv": "a.csv: expected a column FileName",
    "--calibration @speech": "options of lower precision: expected a target of lower precision",
    "--target onnx-int8 --recipe odd": "--recipe: expected one of auto, dynamic, static, found",
    "--target onnx-int8 --cpu z80": "--cpu: expected one of auto, x86-vnni",
    "--target onnx-fp16 --fp16-form odd": "--fp16-form: expected one of weights, compute, found",
    "--parity-audio @none": "none: expected audio or a folder of it, found nothing there",
    "--parity-audio @empty": "empty: expected a folder with audio files, found none in it",
    "-o @a.csv/b": "b: expected a folder that can be written",
    "-o @speech": "speech: expected",
    "-o x.zip": "--out: expected a directory, found x.zip",
    "--max-seconds 0": "pre-processing: expected max_seconds in 0..300, found 0.0",
    "--runtime trt": "--runtime: expected openvino",
    "--target trt-fp16": "--target trt-fp16: expected --device beside it",
    f"{ENGINE} --profile x": "--profile: expected MIN:OPT:MAX",
    f"{ENGINE} --profile 1x30s": "--profile: expected",
    "@none": "none: expected a checkpoint, or one of spectral, wavlm-tiny, found no such path",
    "spectrl": "found no such path; did you mean spectral?",
    "@bundle": "bundle: expected a checkpoint, found a bundle, which is what an export makes",
    "@bundle.zip": "bundle.zip: expected a checkpoint, found a bundle, which is what an export",
    "one --checkpoint two": "checkpoint: expected one, found two",
}


@pytest.fixture(scope="module")
def said(
    tmp_path_factory: pytest.TempPathFactory, zip_bundle: Callable[..., Path]
) -> dict[str, tuple[int, str, list[str]]]:
    """Exit code, stderr and heavy modules of each case."""
    place = tmp_path_factory.mktemp("refusals")
    (place / "empty").mkdir()
    (place / "speech").mkdir()
    (place / "a.csv").write_text("name,score\n")
    soundfile.write(place / "speech" / "a.wav", [0.1, -0.1] * 8000, 16_000)
    (place / "bundle").symlink_to(DEFAULT_BUNDLE)
    zip_bundle(DEFAULT_BUNDLE, place / "bundle.zip")
    words = [[str(place / w[1:]) if w[0] == "@" else w for w in case.split()] for case in CASES]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(words), text=True, capture_output=True,
        check=True, cwd=place,
    )  # fmt: skip
    assert {p.name for p in place.iterdir()} == {
        "empty", "speech", "a.csv", "bundle", "bundle.zip",
    }  # fmt: skip
    return dict(zip(CASES, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_line_before_torch_is_imported(
    case: str, said: dict[str, tuple[int, str, list[str]]]
) -> None:
    code, err, heavy = said[case]
    (line,) = (line for line in err.splitlines() if ": warning: " not in line)
    assert (code, heavy) == (2, [])
    assert line.startswith("edge-ser: error: ") and CASES[case] in line
