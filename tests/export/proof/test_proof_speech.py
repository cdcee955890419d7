"""Export and verify judge a bundle on the same speech, and say whose it was."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Calibration, Lowering
from edge_ser.bundle.files import PARITY
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.data import sample_utterances
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError
from edge_ser.fidelity.compare import Fidelity, compare
from edge_ser.fidelity.limits import FP32_LIMITS, INT8_LIMITS
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import draw
from edge_ser_export.proof.margins import near_limits
from edge_ser_export.proof.speech import (
    CLIPS,
    SAMPLES,
    ProofSpeech,
    SpeechSet,
    find_speech,
    recorded_speech,
)


@pytest.fixture
def own(tmp_path: Path, clips: Path) -> list[Path]:
    """A user's folder: sixteen recordings that are not this package's."""
    folder = tmp_path / "callers"
    folder.mkdir()
    for source in sorted(clips.glob("*.flac")):
        # bytes after the last frame change the hash, and no sample
        (folder / source.name).write_bytes(source.read_bytes() + b"\0")
    return sorted(folder.iterdir())


# --- whole commands


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["static", "dynamic"])
def test_export_and_both_verifications_agree(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    command = ["export", "wavlm-tiny", "--target", "onnx-int8", "--force", "-o", str(out)]
    assert main([*command, "--recipe", recipe]) == 0
    assert "agreement judged on 8 of the package's calibration clips" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    assert main(["verify", str(out), "--reference", "wavlm-tiny", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    there = json.loads((out / PARITY).read_text())
    assert here["fingerprint"] == Bundle.open(out).fingerprint
    assert list(here["groups"]) == [
        "single", "padded", "files", "recorded", "batched", "speech"
    ]  # fmt: skip
    for key in ("limits", "judged", "speech", "failures", "not_judged"):
        assert here[key] == there[key], key
    # the export judged this graph in this runtime, so that the comparisons are the same ones
    assert here["groups"]["speech"]["ccc"] == pytest.approx(there["groups"]["speech"]["ccc"])
    # what such a verification used to be judged by breaks a limit that the export does not ask for
    assert here["groups"]["single"]["angle_mean_degrees"] > INT8_LIMITS.angle_mean_degrees


@pytest.mark.slow
def test_a_users_speech(
    own: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "bundle", own[0].parent
    command = ["export", "wavlm-tiny", "--target", "onnx-int8", "--force", "--recipe", "static"]
    assert main([*command, "-o", str(out), "--calibration", str(folder)]) == 0
    assert "agreement judged on 8 of callers, lengths" in capsys.readouterr().out
    assert str(folder) not in (out / PARITY).read_text()
    verify = ["verify", str(out), "--reference", "wavlm-tiny"]
    assert main(verify) == 0
    told = capsys.readouterr().out
    assert (
        "speech: agreement as a whole not judged: the export judged it on 8 files of callers, "
        "which are not here (name their folder with --parity-audio)" in told
    )
    assert main([*verify, "--parity-audio", str(folder), "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    there = json.loads((out / PARITY).read_text())
    assert here["speech"]["agreement"] == there["speech"]["agreement"]
    assert here["not_judged"] == there["not_judged"]


# --- which files


def test_the_packages_speech_is_always_found(clips: Path) -> None:
    files = sorted(clips.glob("*.flac"))[::2]
    recorded = ProofSpeech.of(sample_utterances(), files)
    assert recorded.agreement is not None
    assert (recorded.lengths.source, recorded.agreement.source) == (SAMPLES, CLIPS)
    speech = find_speech(recorded)
    assert SpeechSet.of(speech.speech) == recorded.lengths
    assert SpeechSet.of(speech.agreement) == recorded.agreement
    assert speech.missing == ""


def test_other_speech_of_the_users_is_judged_as_a_whole(own: list[Path], clips: Path) -> None:
    judged = sorted(clips.glob("*.flac"))[::2]
    speech = find_speech(ProofSpeech.of(sample_utterances(), judged), own)
    assert (speech.speech, speech.agreement) == (own, own)
    # the export's own proof speech, given again: the same judges
    speech = find_speech(ProofSpeech.of(own, judged), own)
    assert speech.speech == own and SpeechSet.of(speech.agreement) == SpeechSet.of(judged)
    # what agreement was judged on, among more
    speech = find_speech(ProofSpeech.of(sample_utterances(), own[3:6]), own)
    assert (speech.speech, speech.agreement) == (own, own[3:6])


def test_a_users_speech_that_was_changed_is_not_found(own: list[Path]) -> None:
    recorded = ProofSpeech.of(sample_utterances(), own[:6])
    own[2].write_bytes(own[2].read_bytes() + b"\0")
    assert "on 6 files of callers, which are not here" in find_speech(recorded).missing


def test_targets_that_are_exact_have_no_speech_of_their_own(own: list[Path]) -> None:
    recorded = ProofSpeech.of(sample_utterances())
    speech = find_speech(recorded, own)
    assert (speech.speech, speech.agreement, speech.missing) == (own, [], "")
    assert recorded.words == f"judged on {SAMPLES}"
    assert find_speech(None).speech == sample_utterances()


# --- the record


def resealed(bundle: Bundle, report: object, **lowered: Any) -> Bundle:
    """The bundle with another `parity.json` and another record of its calibration."""
    (bundle.root / PARITY).write_text(json.dumps(report))
    calibration = replace(Calibration(source="calls", judge=7, fingerprint=""), **lowered)
    manifest = bundle.manifest.with_parts(lowered=Lowering(calibration=calibration))
    return Bundle(bundle.root, seal(bundle.root, manifest))


def test_bundles_that_record_no_files_tell_by_their_fingerprint(bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    rules, partition = bundle.manifest.preprocessing, bundle.manifest.partition
    drawn = draw(None, rules, Regions(partition), lambda _: np.zeros(3))
    report = {"groups": {"speech": {}}}
    recorded = recorded_speech(resealed(bundle, report, fingerprint=drawn.fingerprint))
    assert recorded is not None
    assert recorded.agreement == SpeechSet.of([u.path for u in drawn.judge])
    assert not find_speech(recorded).missing
    recorded = recorded_speech(resealed(bundle, report))
    assert recorded is not None
    assert "on 7 files of calls, which are not here" in find_speech(recorded).missing
    assert recorded_speech(resealed(bundle, {"groups": {"single": {}}})) is None


@pytest.mark.parametrize("record", [7, {}, {"lengths": {"source": "x"}, "agreement": None}])
def test_a_damaged_record_is_refused(record: object, bundle_dir: Path) -> None:
    bundle = resealed(Bundle.open(bundle_dir), {"groups": {}})
    (bundle.root / PARITY).write_text(json.dumps({"groups": {}, "speech": record}))
    with pytest.raises(BundleError, match=r"parity.json: speech.*; export again"):
        recorded_speech(bundle)


# --- margins


def moved(by: float) -> Fidelity:
    rng = np.random.default_rng(3)
    vad = rng.uniform(0.2, 0.8, (9, 3)).astype(np.float32)
    return compare(Outputs.of(vad, None), Outputs.of(vad + np.float32(by), None), Partition(), 0.05)


@pytest.mark.parametrize("share", [0.89, 0.91])
def test_a_limit_that_is_nearly_reached_is_told(share: float) -> None:
    value = share * FP32_LIMITS.vad
    near = near_limits(moved(value), FP32_LIMITS)
    assert near == ([] if share < 0.9 else [f"VAD {value:.3g} of 0.0001"])


def test_agreement_that_is_nearly_lost_is_told() -> None:
    result = replace(
        moved(0.0),
        ccc={"arousal": 0.9956, "dominance": 0.9954, "valence": 1.0},
        angle_mean_degrees=1.95,
        vad_p99=0.044,
    )
    assert near_limits(result, INT8_LIMITS) == [
        "mean angle in degrees 1.95 of 2",
        "CCC of dominance 0.99540, limit 0.995",
    ]
    assert near_limits(replace(result, judged=7), INT8_LIMITS) == [], "not judged"
