"""`preprocessor_config.json`: samples are prepared as the model's own library prepares them."""

import json
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from helpers.export_sessions import Speech, open_session
from helpers.tiny_models import (
    MEAN,
    STD,
    Published,
    Run,
    noise,
    published_audeering,
    run_one,
    save_safetensors,
)
from transformers import Wav2Vec2FeatureExtractor

from edge_ser.emotion.scale import scores_from_unit
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import CheckpointError
from edge_ser.fidelity.limits import FP32_LIMITS
from edge_ser.load import load
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.preprocessor import feature_extractor
from edge_ser_export.pipeline import ExportOptions, export
from edge_ser_export.proof.parity import run_parity
from edge_ser_export.proof.reference import Reference, reference_answers

OWN: dict[str, Any] = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 16_000,
}


@pytest.fixture(scope="module")
def audeering() -> Published:
    return published_audeering()


def saved(model: Published, path: Path, **changes: Any) -> Path:
    model.save(path, save_safetensors)
    fields = {k: v for k, v in (OWN | changes).items() if v != "absent"}
    (path / "preprocessor_config.json").write_text(json.dumps(fields))
    return path


def recording() -> np.ndarray:
    """Neither of zero mean nor of unit variance, as a microphone gives it."""
    samples: np.ndarray = (0.05 * noise(9000) + 0.02).numpy()
    return samples


@pytest.mark.parametrize("normalizes", [True, False])
def test_samples_are_normalised_as_the_feature_extractor_does(
    audeering: Published, tmp_path: Path, normalizes: bool
) -> None:
    path = saved(audeering, tmp_path, do_normalize=normalizes)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(path)
    right = torch.from_numpy(extractor(recording(), sampling_rate=16_000).input_values[0])
    checkpoint = load_checkpoint(path)
    ours = torch.from_numpy(checkpoint.config.preprocessing().apply(recording()))
    assert torch.allclose(ours, right, atol=1e-5, rtol=0)
    answers = run_one(checkpoint.model, ours)[0]
    assert torch.allclose(answers, audeering.answer(right), atol=1e-5, rtol=0)
    assert checkpoint.prepare is not None
    assert np.array_equal(checkpoint.prepare(recording()), right.numpy())
    other = audeering.answer(torch.from_numpy(recording()) if normalizes else _unit(right))
    assert not torch.allclose(answers, other, atol=1e-2, rtol=0)  # the field matters
    assert not any("utterance" in note for note in checkpoint.notes)


def _unit(samples: torch.Tensor) -> torch.Tensor:
    return (samples - samples.mean()) / samples.std(correction=0)


def test_without_the_file_the_kind_decides_and_it_is_said(
    audeering: Published, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(audeering.save(tmp_path, save_safetensors))
    assert checkpoint.config.normalization == "utterance"
    assert "each utterance normalised to zero mean and unit variance" in checkpoint.notes


REFUSED = [
    ({"sampling_rate": 8000}, "expected sampling_rate 16000, found 8000"),
    ({"feature_size": 80}, "expected feature_size 1, found 80"),
    ({"feature_extractor_type": "ASTFeatureExtractor"}, "found 'ASTFeatureExtractor'"),
    ({"num_mel_bins": 80}, "the fields of a Wav2Vec2FeatureExtractor, found num_mel_bins"),
    ({"do_normalize": "yes"}, "do_normalize true or false, found 'yes'"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=str)
def test_other_preparations_are_refused(
    audeering: Published, baseline: Published, run: Run, tmp_path: Path,
    changes: dict[str, Any], words: str,
) -> None:  # fmt: skip
    paths = [saved(audeering, tmp_path / "w2v2", **changes)]
    paths.append(saved(baseline, tmp_path / "ser", **{"do_normalize": False, **changes}))
    run.save(tmp_path / "run")
    (tmp_path / "run" / "preprocessor_config.json").write_text(json.dumps(changes))
    for path in (*paths, tmp_path / "run"):
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        assert words in str(caught.value) and "preprocessor_config.json" in str(caught.value)


@pytest.mark.parametrize("kind", ["wav2vec2", "ser"])
def test_the_rate_may_be_said_in_the_configuration(
    audeering: Published, baseline: Published, tmp_path: Path, kind: str
) -> None:
    model = audeering if kind == "wav2vec2" else baseline
    for rate in (16_000, 8_000):
        told = Published(model.config | {"sampling_rate": rate}, model.state, model.answer)
        path = told.save(tmp_path / str(rate), save_safetensors)
        if rate == 16_000:
            assert load_checkpoint(path).kind == kind
            continue
        with pytest.raises(CheckpointError, match=r"config\.json: expected sampling_rate 16000"):
            load_checkpoint(path)


def test_two_normalisations_at_once_are_refused(
    baseline: Published, run: Run, tmp_path: Path
) -> None:
    run.save(tmp_path / "run")
    (tmp_path / "run" / "preprocessor_config.json").write_text(json.dumps(OWN))
    for path in (saved(baseline, tmp_path / "ser"), tmp_path / "run"):
        with pytest.raises(CheckpointError, match="expected do_normalize false beside the mean"):
            load_checkpoint(path)
    for told in (False, "absent"):
        checkpoint = load_checkpoint(saved(baseline, tmp_path / f"{told}", do_normalize=told))
        assert (checkpoint.config.mean, checkpoint.config.std) == (MEAN, STD)


def test_the_bundle_answers_as_the_model_does_with_its_own_library(
    audeering: Published, tmp_path: Path, speech: Speech
) -> None:
    """Not normalised: from the file on a device to the scores, against a forward by hand."""
    path = saved(audeering, tmp_path / "w2v2", do_normalize=False)
    options = ExportOptions(str(path), out=tmp_path / "bundle", speech=speech)
    exported = export(options, open_session)
    emotion = load(exported.path)(speech[0])
    samples, _ = librosa.load(speech[0], sr=16_000)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(path)
    prepared = extractor(samples[: 12 * 16_000], sampling_rate=16_000).input_values[0]
    right = scores_from_unit(audeering.answer(torch.from_numpy(prepared)))[0]
    found = [emotion.arousal, emotion.dominance, emotion.valence]
    assert np.allclose(found, right, atol=1e-3, rtol=0)


def test_the_gate_compares_with_the_preparation_of_the_checkpoint(
    audeering: Published, tmp_path: Path, speech: Speech
) -> None:
    """A bundle that normalises where the model's own library does not is not the model."""
    checkpoint = load_checkpoint(saved(audeering, tmp_path))
    preprocessing = checkpoint.config.preprocessing()
    reference = Reference(checkpoint.model)
    for prepare, passes in ((checkpoint.prepare, True), (feature_extractor(False), False)):
        expected = reference_answers(
            Reference(checkpoint.model, prepare), preprocessing, list(speech)
        )
        parity = run_parity(expected, reference, Partition(), FP32_LIMITS)
        assert parity.passed == passes
        assert {f.split(":")[0] for f in parity.failures} == (set() if passes else {"files"})


def test_hash_follows_the_file(audeering: Published, tmp_path: Path) -> None:
    first = load_checkpoint(saved(audeering, tmp_path)).sha256
    assert load_checkpoint(saved(audeering, tmp_path, do_normalize=False)).sha256 != first
