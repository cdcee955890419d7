"""What a run gives: arrays by the names of the graph's outputs."""

import pickle

import numpy as np
import pytest

from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import concatenate

VAD = np.arange(6, dtype=np.float32).reshape(2, 3)
LOGITS = np.arange(16, dtype=np.float32).reshape(2, 8)


def test_arrays_by_name() -> None:
    outputs = Outputs({"vad": VAD, "region_logits": LOGITS, "dialect": VAD + 1})
    assert outputs.vad is VAD and outputs.region_logits is LOGITS
    assert list(outputs.arrays) == ["vad", "region_logits", "dialect"]
    assert list(Outputs.of(VAD, LOGITS).arrays) == ["vad", "region_logits"]


def test_without_a_region_head() -> None:
    assert Outputs.of(VAD).region_logits is None
    assert list(Outputs.of(VAD, None).arrays) == ["vad"]


def test_rows_and_runs_of_every_output() -> None:
    outputs = Outputs({"vad": VAD, "region_logits": LOGITS, "dialect": VAD + 1})
    first, second = outputs.rows(slice(0, 1)), outputs.rows(slice(1, 2))
    assert second.arrays["dialect"].tolist() == [[4.0, 5.0, 6.0]]
    again = concatenate([first, second])
    assert list(again.arrays) == list(outputs.arrays)
    for name, array in outputs.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_outputs_pickle() -> None:
    again = pickle.loads(pickle.dumps(Outputs.of(VAD, LOGITS)))
    np.testing.assert_array_equal(again.vad, VAD)


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="vad"):
        _ = Outputs({"dialect": VAD}).vad
