"""Models that tell categories apart, alone and beside dimensions and regions, lowered."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.export_sessions import open_session

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.heads import HEADS
from edge_ser.verify import verify
from edge_ser_export import pipeline
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.joint import JointModel
from edge_ser_export.options import PrecisionOptions

NAMES = ("exuberant", "relaxed", "disdainful", "hostile", "dependent", "docile", "bored", "anxious")
Twin = Callable[[bool], Path]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """The trained model with what its region head says as categories: alone, or beside all else."""
    trained = load_checkpoint("spectral").model
    folder = tmp_path_factory.mktemp("twins")

    def make(with_points: bool) -> Path:
        regions = trained.config.region_count if with_points else 0
        config = replace(
            trained.config, has_dimensions=with_points, region_count=regions, categories=NAMES
        )
        model = JointModel(config).eval()
        state = trained.state_dict()
        heads = {k.replace("region_", "category_"): v for k, v in state.items() if "region_" in k}
        places = set(model.state_dict())
        model.load_state_dict({k: v for k, v in (state | heads).items() if k in places})
        save_checkpoint(model, folder / f"{'all' if with_points else 'alone'}.safetensors")
        return folder / f"{'all' if with_points else 'alone'}.safetensors"

    return make


def speech() -> tuple[Path, ...]:
    return tuple(sorted(default_calibration_samples().glob("*.flac"))[::5])


def test_eight_bits_are_calibrated_over_categories(twin: Twin, tmp_path: Path) -> None:
    options = pipeline.ExportOptions(
        str(twin(False)), target="onnx-int8", out=tmp_path / "b", speech=speech(),
        precision=PrecisionOptions(recipe="dynamic"),
    )  # fmt: skip
    made = pipeline.export(options, open_session)
    assert made.parity.passed
    lowered = made.manifest.lowered
    assert lowered is not None and lowered.calibration is not None
    assert len(lowered.calibration.regions) > 4
    assert set(lowered.calibration.regions) <= set(NAMES)
    assert lowered.integer_share is not None and lowered.integer_share.encoder > 0.95
    judged = made.parity.groups["speech"]
    assert judged.vad_max is None
    assert 1e-4 < judged.probability_p99 < 0.05
    assert 0 < judged.divergence_mean < 0.015
    assert made.parity.labels is None
    bundle = Bundle.open(tmp_path / "b")
    with open_session(bundle) as session:
        assert verify(bundle, session).passed


def test_categories_beside_dimensions_and_regions(twin: Twin, tmp_path: Path) -> None:
    options = pipeline.ExportOptions(
        str(twin(True)), target="onnx-fp16", out=tmp_path / "b", speech=speech()
    )
    made = pipeline.export(options, open_session)
    assert [head.kind for head in made.manifest.heads] == ["dimensions", "regions", "categories"]
    judged = made.parity.groups["speech"]
    assert judged.vad_max > 0 and judged.probability_max > 0 and judged.logits_max > 0
    table = made.parity.table()
    assert "VAD max" in table and "probability max" in table
    assert "; probabilities 5e-03" in table
    with edge_ser.load(tmp_path / "b", threads=1) as ser:
        emotion = ser(speech()[0])
    fields = [field for kind in HEADS.values() for field in kind.fields]
    assert None not in [getattr(emotion, field) for field in fields]
    # both heads have the same weights here
    np.testing.assert_allclose(
        np.asarray(emotion.categories), np.asarray(emotion.region_probabilities), atol=1e-6
    )
    assert set(emotion.to_dict()) >= {"sphere", "region_head", "category", "entropy"}
