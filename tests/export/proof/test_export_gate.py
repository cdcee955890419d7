"""A gate that closes when it must, and what is refused before any work."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.export_sessions import Speech, Speechless, open_session, sabotaged
from helpers.tiny_models import MEAN, STD, encoder_config, joint_config, random_joint
from numpy.typing import NDArray
from torch import nn

from edge_ser.audio import Preprocessing
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import MANIFEST, PARITY
from edge_ser.cli import main
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError, DataError, GateError, UsageError
from edge_ser.fidelity.limits import FP32_LIMITS
from edge_ser.session import Session
from edge_ser_export import pipeline
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.proof.cases import build_cases
from edge_ser_export.proof.parity import parity_steps, run_parity
from edge_ser_export.proof.reference import Reference, reference_answers
from edge_ser_export.trace.capture import trace

REFUSED = {"bundle.refused.html", "bundle.refused.json"}

# --- what is refused before any work


def test_unknown_target_is_refused(tmp_path: Path, speech: Speech) -> None:
    options = pipeline.ExportOptions("spectral", target="coreml", out=tmp_path / "x", speech=speech)
    with pytest.raises(UsageError, match="onnx-fp32"):
        pipeline.export(options, open_session)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["photo.jpg", MANIFEST])  # others have manifests, too
def test_foreign_directory_is_left_alone(
    plain: Path, tmp_path: Path, speech: Speech, name: str
) -> None:
    out = tmp_path / "holiday"
    out.mkdir()
    (out / name).write_bytes(b"{}")
    with pytest.raises(UsageError, match="holiday"):
        pipeline.export(pipeline.ExportOptions(str(plain), out=out, speech=speech), open_session)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday"]
    assert [p.name for p in out.iterdir()] == [name]
    assert (out / name).read_bytes() == b"{}"


def test_too_short_a_longest_utterance_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--max-seconds"):
        trace(load_checkpoint(plain).model, tmp_path / "x.onnx", 16_000, 400)
    assert not list(tmp_path.iterdir())


# --- what is told of a bundle that passed


@pytest.mark.slow
def test_a_replaced_bundle_is_told(
    plain: Path, speech: Speech, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, own = tmp_path / "bundle", tmp_path / "own"
    out.mkdir()
    (out / MANIFEST).write_text('{"schema": 1, "graph": "model.onnx", "files": []}')
    own.mkdir()
    shutil.copy(speech[0], own)
    command = ["export", str(plain), "-o", str(out), "--parity-audio", str(own)]
    assert main([*command, "--max-seconds", "2"]) == 0
    last, proof, fingerprint, following = capsys.readouterr().out.splitlines()
    assert proof.startswith("proof: ") and fingerprint.startswith("fingerprint ")
    assert following == f"next: edge-ser predict {out} speech.wav"
    assert last.startswith(f"{out}: onnx-fp32, ")
    assert last.endswith("; parity passed (replaced the bundle that was there)")
    assert Bundle.open(out).manifest.parity.passed is True


# --- the gate


def test_gate_closes_and_leaves_no_bundle(plain: Path, tmp_path: Path, speech: Speech) -> None:
    options = pipeline.ExportOptions(str(plain), out=tmp_path / "bundle", speech=speech)
    with pytest.raises(GateError) as caught:
        pipeline.export(options, sabotaged)
    error = caught.value
    assert error.exit_code == 1
    message = str(error)
    assert "single: VAD differs by 2.0" in message
    assert "files: VAD differs by 1.0" in message
    assert "limit 1e-04" in message
    assert "worst utterance: speech 7.3 s (" in message
    assert "no bundle was written" in message
    assert "\n" not in message
    assert {p.name for p in tmp_path.iterdir()} == REFUSED


def test_failed_bundle_is_kept_when_asked(kept: Path) -> None:
    bundle = Bundle.open(kept)  # replaces what was there, complete and with its hashes
    assert bundle.manifest.parity.passed is False
    assert bundle.manifest.parity.vad_max == pytest.approx(2e-3, rel=0.05)
    report = json.loads((kept / PARITY).read_text())
    assert report["passed"] is False
    groups = ["single", "padded", "files", "recorded", "batched"]
    assert [f.split(":")[0] for f in report["failures"]] == groups
    assert not [p for p in kept.parent.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("keep", [False, True])
def test_a_candidate_that_gives_nan_fails_the_gate(
    plain: Path, tmp_path: Path, speech: Speech, keep: bool
) -> None:
    out = tmp_path / "bundle"
    options = pipeline.ExportOptions(str(plain), out=out, speech=speech, keep_failed=keep)
    with pytest.raises(GateError) as caught:
        pipeline.export(options, lambda bundle: Speechless(open_session(bundle), 116_800))
    assert caught.value.exit_code == 1
    message = str(caught.value)
    reason = "model.onnx: expected finite numbers, found NaN or infinity"
    assert f"single: no answer to 1 of the utterances, the first speech 7.3 s ({reason})" in message
    assert "padded: no answer to 2 of the utterances" in message  # its neighbour's, too
    assert "worst utterance: speech 7.3 s (single, no answer)" in message
    assert "/exporting" not in message
    if not keep:
        assert {p.name for p in tmp_path.iterdir()} == REFUSED
        return
    assert Bundle.open(out).manifest.parity.passed is False
    report = json.loads((out / PARITY).read_text(), parse_constant=pytest.fail)  # no NaN in JSON
    assert report["passed"] is False
    assert [f.split(":")[0] for f in report["failures"]] == ["single", "padded"]
    lost = [u for u in report["utterances"] if "failure" in u]
    assert {u["name"] for u in lost if u["group"] == "single"} == {"speech 7.3 s"}
    assert all((u["failure"], u["vad_max"], u["logits_max"]) == (reason, None, None) for u in lost)
    assert report["groups"]["single"]["count"] == len(build_cases(Preprocessing(), [*speech])) - 1
    assert report["groups"]["files"]["vad_max"] < FP32_LIMITS.vad  # what is answered is compared


# --- the gate's cases, without an export


@pytest.mark.parametrize("seconds", [1.25, 2.0, 5.0, 12.0, 30.0])
@pytest.mark.parametrize("short", ["refuse", "pad"])
def test_cases_are_no_longer_than_the_model_takes(
    speech: Speech, seconds: float, short: str
) -> None:
    preprocessing = Preprocessing(max_seconds=seconds, short=short, mean=MEAN, std=STD)
    cases = build_cases(preprocessing, list(speech))
    sizes = [c.samples.size for c in cases]
    assert min(sizes) == preprocessing.min_samples
    assert max(sizes) <= preprocessing.max_samples, "a session refuses longer ones"
    assert all(c.samples.dtype == np.float32 and np.isfinite(c.samples).all() for c in cases)
    assert len({c.name for c in cases if "speech" in c.name}) >= 4


def test_cases_reach_from_one_frame_to_the_longest(speech: Speech) -> None:
    cases = build_cases(Preprocessing(mean=MEAN, std=STD), list(speech))
    assert {c.samples.size for c in cases} >= {400, 8000, 16_000, 48_000, 116_800, 192_000}
    assert {c.name for c in cases} >= {p.name for p in speech}  # each file by itself, too
    silence = [c for c in cases if "silence" in c.name]
    assert len(silence) == 2
    for case in silence:  # no more than the last of 16 bits
        raw = case.samples.astype(np.float64) * (STD + 1e-6) + MEAN
        assert np.abs(raw).max() < 1.001 / 32768


def test_gate_needs_speech() -> None:
    with pytest.raises(DataError, match="audio"):
        build_cases(Preprocessing(), [])


class InTorch:
    """A session that runs a module as it is, batch and all."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        with torch.inference_mode():
            vad, logits = self.module(torch.from_numpy(samples), torch.from_numpy(lengths))
        return Outputs.of(vad.numpy(), logits.numpy())


def gate(model: JointModel, session: Session, speech: Speech, words: list[str]) -> list[str]:
    config = model.config
    preprocessing = Preprocessing(mean=config.mean, std=config.std, eps=config.eps)
    expected = reference_answers(Reference(model), preprocessing, list(speech), words.append)
    parity = run_parity(expected, session, Partition(), FP32_LIMITS, words.append)
    assert parity.passed == (not parity.failures)
    return parity.failures


def test_gate_finds_padding_that_leaks_into_a_batch(speech: Speech) -> None:
    model = random_joint(joint_config("wavlm-group"))
    words: list[str] = []
    assert gate(model, InTorch(DeploymentModel(model)), speech, words) == []
    assert len(words) == parity_steps(speech)
    failures = gate(model, InTorch(model), speech, [])
    assert failures
    assert all(f.startswith("padded: ") for f in failures)


def test_gate_finds_a_row_that_is_not_finite(speech: Speech) -> None:
    model = random_joint(joint_config(encoder_config("spectral", num_hidden_layers=1)))
    failures = gate(model, Speechless(InTorch(model), 116_800, refuses=False), speech, [])
    reason = "(outputs: expected finite numbers, found NaN or infinity)"
    assert failures == [
        f"{group}: no answer to 1 of the utterances, the first speech 7.3 s {reason}"
        for group in ("single", "padded")
    ]


class Mute:
    """A session that answers nothing."""

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        raise BundleError("output vad", expected="finite numbers", found="NaN or infinity")


def test_gate_can_judge_a_candidate_that_answers_nothing(speech: Speech) -> None:
    model = random_joint(joint_config(encoder_config("spectral", num_hidden_layers=1)))
    expected = reference_answers(Reference(model), Preprocessing(), list(speech))
    parity = run_parity(expected, Mute(), Partition(), FP32_LIMITS)
    assert [f.split(" (")[0].split(" the ")[0] for f in parity.failures] == [
        f"{group}: no answer to {count} of"
        for group, count in (("single", len(expected.cases)), ("padded", len(expected.cases)),
                             ("files", len(expected.files)))
    ]  # fmt: skip
    assert not parity.passed and parity.groups == {}
    assert parity.worst["name"] == expected.cases[0].name
    assert parity.summary().vad_max is None
    json.dumps(parity.to_dict(), allow_nan=False)
    assert "limits" in parity.table()


@pytest.mark.parametrize("part", ["vad_head.out.0.bias", "region_head.out.0.bias"])
def test_gate_finds_one_weight_that_differs(speech: Speech, part: str) -> None:
    config = joint_config(encoder_config("spectral", num_hidden_layers=1))
    model, other = random_joint(config), random_joint(config)
    dict(other.named_parameters())[part][1] += 2e-3
    words = {f.split(" differ")[0].split(": ")[1] for f in gate(model, InTorch(other), speech, [])}
    assert words == ({"VAD"} if part.startswith("vad") else {"region logits"})
