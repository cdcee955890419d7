"""The checkpoints and audio that come with the package: small, sound, and as the card says."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio.files import decode_file
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import sha256
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE, sample_utterances
from edge_ser.emotion.scale import unit_from_scores
from edge_ser.fidelity.metrics import ccc
from edge_ser_export.builtin import default_calibration_samples, installed_checkpoints
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.proof.reference import Reference

ROOT = Path(__file__).resolve().parents[3]
BUILTIN = installed_checkpoints()
CLIPS = default_calibration_samples()
RESULTS = ROOT / "benchmarks" / "results" / "default-checkpoints.json"


@pytest.mark.parametrize("name", BUILTIN)
def test_hears_the_prosody_of_the_sample_clips(name: str) -> None:
    """Sixteen clips, eight octants by two voices of a synthesiser it was not evaluated on."""
    checkpoint = load_checkpoint(name)
    preprocessing, reference = checkpoint.config.preprocessing(), Reference(checkpoint.model)
    with (CLIPS / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [[float(r[c]) for c in ("EmoAct", "EmoDom", "EmoVal")] for r in rows]
    clips = [decode_file(CLIPS / r["FileName"], 16_000, 12.0) for r in rows]
    given = [reference.one(preprocessing.apply(x)).vad[0] for x in clips]
    assert (ccc(given, unit_from_scores(truth)) > 0.5).all()


@pytest.mark.parametrize("name", BUILTIN)
def test_card_and_results_agree(name: str) -> None:
    results = json.loads(RESULTS.read_text())["results"][name]
    card = (ROOT / "docs" / "model-card.md").read_text()
    for split in ("Test1", "Test2"):
        record = results[split]
        figures = [*record["ccc"].values(), record["region_geometric"], record["region_head"]]
        row = f"| `{name}` | {split} | " + " | ".join(f"{f:.3f}" for f in figures) + " |"
        assert row in card


def test_embedded_bundle_is_made_from_the_embedded_checkpoint() -> None:
    provenance = Bundle.open(DEFAULT_BUNDLE).manifest.provenance
    assert provenance.checkpoint.sha256 == sha256(BUILTIN["spectral"])


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN)
def test_exports_and_verifies_against_itself(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert main(["export", "--checkpoint", name, "-o", str(bundle)]) == 0
    assert main(["verify", str(bundle), "--reference", name]) == 0
    assert main(["verify", str(bundle)]) == 0
    assert "parity passed" in capsys.readouterr().out


def test_checkpoints_and_audio_stay_small() -> None:
    files = [*BUILTIN.values(), *sample_utterances(), *CLIPS.iterdir()]
    assert sum(f.stat().st_size for f in files) <= 6_000_000


def test_golden_answers_of_the_embedded_bundle_are_the_checkpoints() -> None:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    checkpoint = load_checkpoint("spectral")
    preprocessing, reference = bundle.manifest.preprocessing, Reference(checkpoint.model)
    golden = bundle.golden()
    for samples, vad in zip(golden.samples, golden.reference.vad, strict=True):
        x = preprocessing.normalize(samples.astype(np.float32) / np.float32(32768))
        assert reference.one(x).vad[0] == pytest.approx(vad, abs=1e-6)
