"""The gate in OpenVINO: which precision it settles on, what is recorded, and what is refused."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import GateError
from edge_ser_export.proof import provable
from edge_ser_export.proof.parity import Parity
from edge_ser_export.proof.runtime import parity_file, prove_in_runtime
from edge_ser_runtimes.onnxruntime.session import OrtSession
from edge_ser_runtimes.registry import RUNTIMES, Runtime

PARITY_FILE = "parity-openvino.json"


@dataclass
class Session:
    """In the precision that the manifest asks for, if this imagined processor has it."""

    precision: str
    closed: bool = False

    def run(self, samples: Any, lengths: Any) -> Outputs:
        return Outputs.of(np.zeros((len(lengths), 3), np.float32), None)

    def close(self) -> None:
        self.closed = True


def settle(folder: Path, has: set[str], passes: set[str], precision: str = "int8") -> Any:
    """The proof on a processor that has some precisions, of a bundle that passes in some."""
    manifest = replace(Bundle.open(DEFAULT_BUNDLE).manifest, precision=precision)
    sessions: list[Session] = []

    def opened(bundle: Bundle, runtime: str = "auto") -> Any:
        record = bundle.manifest.parity.runtimes.get("openvino")
        asked = "f32" if record is None else record.precision
        sessions.append(Session(asked if asked in has else "f32"))
        return sessions[-1]

    def judge(session: Any) -> Parity:
        lost = {"group": "single", "name": "one", "failure": "nothing", "vad_max": None}
        utterances = [] if session.precision in passes else [lost]
        return Parity(manifest.limits, {}, utterances)

    try:
        return prove_in_runtime("openvino", folder, manifest, judge, opened)
    finally:
        assert sessions and all(s.closed for s in sessions)


@pytest.mark.parametrize(
    ("has", "passes", "precision", "settled"),
    [
        ({"bf16", "f32"}, {"bf16", "f32"}, "int8", "bf16"),
        ({"bf16", "f32"}, {"f32"}, "int8", "f32"),
        ({"f32"}, {"f32", "bf16"}, "int8", "f32"),
        # what is float32 by name is never computed in less
        ({"bf16", "f32"}, {"bf16", "f32"}, "fp32", "f32"),
    ],
)
def test_the_faster_precision_that_passes(
    tmp_path: Path, has: set[str], passes: set[str], precision: str, settled: str
) -> None:
    proof = settle(tmp_path, has, passes, precision)
    record = proof.manifest.parity.runtimes["openvino"]
    assert record.precision == settled
    assert record.passed is True and record.times_onnx > 0
    assert f"computed in {settled}" in proof.words
    evidence = json.loads((tmp_path / PARITY_FILE).read_text())
    assert evidence["passed"] is True and "utterances" not in evidence
    assert Manifest.from_json(proof.manifest.to_json(), "there and back") == proof.manifest


def test_nothing_passes(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"in openvino.*no answer to 1.*without --runtime openvino"):
        settle(tmp_path, {"bf16", "f32"}, set())
    assert not list(tmp_path.iterdir())


def test_an_export_is_proved_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert main(["export", "--runtime", "openvino", "-o", str(bundle)]) == 0
    assert "openvino: parity passed, the rest computed in f32; " in capsys.readouterr().out
    record = Bundle.open(bundle).manifest.parity.runtimes["openvino"]
    assert record.utterances >= 25 and record.vad_max < 1e-4
    assert (bundle / PARITY_FILE).is_file()
    assert main(["inspect", str(bundle)]) == 0
    assert "in openvino    passed, VAD within " in capsys.readouterr().out
    assert main(["verify", str(bundle), "--runtime", "openvino"]) == 0
    assert "verified" in capsys.readouterr().out


class OtherSession(OrtSession):
    """A runtime that another package registers; it computes by ONNX Runtime here."""


def test_an_export_is_proved_in_any_registered_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = f"{__name__}:{OtherSession.__name__}"
    other = Runtime("other", session, words="", kinds=("onnx",), libraries=("onnxruntime",))
    monkeypatch.setitem(RUNTIMES, "other", other)
    bundle = tmp_path / "bundle"
    asked = ["--runtime", "other", "--runtime", "openvino"]
    assert main(["export", *asked, "-o", str(bundle)]) == 0
    assert "other: parity passed, the rest computed in f32; " in capsys.readouterr().out
    proofs = Bundle.open(bundle).manifest.parity.runtimes
    assert sorted(proofs) == ["openvino", "other"]
    assert all(p.passed and p.utterances >= 25 for p in proofs.values())
    for name in proofs:
        assert json.loads((bundle / parity_file(name)).read_text())["passed"] is True
    assert main(["verify", str(bundle), "--runtime", "other"]) == 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--runtime", "trt", "--target", "trt-fp16", "--device", "sm86"],
         "--runtime: expected openvino (onnx is always used), found 'trt'"),
        (["--runtime", "tflite"], "--runtime: expected openvino (onnx is always used), found"),
        (["--runtime", "openvino", "--target", "trt-fp16", "--device", "sm86"],
         "--runtime openvino: expected an ONNX target beside it, found --target trt-fp16"),
        (["--runtime", "openvino", "--target", "onnx-int8", "--recipe", "dynamic"],
         "--runtime openvino: expected --recipe static or auto"),
    ],
)  # fmt: skip
def test_refusals(
    arguments: list[str], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "-o", str(tmp_path / "bundle"), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and found in error[0]
    assert not list(tmp_path.iterdir())


def test_openvino_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provable, "is_installed", lambda module: False)
    assert main(["export", "--runtime", "openvino", "-o", str(tmp_path / "b")]) == 2
    assert "pip install 'edge-ser[openvino]'" in capsys.readouterr().err
