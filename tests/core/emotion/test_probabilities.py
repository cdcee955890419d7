"""Probabilities by the name of the region."""

import json
import pickle

import numpy as np
import pytest

from edge_ser import RegionProbabilities
from edge_ser.emotion.decode import Outputs, decode
from edge_ser.emotion.sphere import Partition

P = RegionProbabilities(["I", "II", "neutral"], [0.5, 0.125, 0.375])


def test_a_region_has_its_share() -> None:
    assert (P["I"], P["II"], P["neutral"]) == (0.5, 0.125, 0.375)
    assert dict(P) == {"I": 0.5, "II": 0.125, "neutral": 0.375}
    assert (len(P), max(P, key=P.__getitem__), "III" in P) == (3, "I", False)
    with pytest.raises(KeyError, match="III"):
        P["III"]


def test_an_array_of_them_is_in_the_order_of_the_regions() -> None:
    assert np.asarray(P).tolist() == [0.5, 0.125, 0.375]
    assert (np.asarray(P).dtype, np.asarray(P, np.float32).dtype) == (np.float64, np.float32)
    assert np.stack([P, P]).shape == (2, 3)
    with pytest.raises(ValueError, match="always a copy"):
        P.__array__(copy=False)


def test_they_are_values() -> None:
    same = RegionProbabilities(["I", "II", "neutral"], [0.5, 0.125, 0.375])
    assert same == P == dict(P) and hash(same) == hash(P)
    assert RegionProbabilities(["I", "II", "neutral"], [0.5, 0.375, 0.125]) != P
    assert pickle.loads(pickle.dumps(P)) == P
    assert json.loads(json.dumps(dict(P))) == P
    assert repr(P) == "RegionProbabilities({'I': 0.500, 'II': 0.125, 'neutral': 0.375})"
    with pytest.raises(ValueError, match="argument"):
        RegionProbabilities(["I"], [0.5, 0.5])


@pytest.mark.parametrize("partition", [Partition(), Partition(45, 90, 0.2)])
def test_names_are_those_of_the_models_regions(partition: Partition) -> None:
    count = len(partition.regions)
    logits = np.arange(count, dtype=np.float32)[None]
    (emotion,) = decode(
        Outputs.of(np.full((1, 3), 0.4, np.float32), logits), partition, [1.0], ["a.wav"]
    )
    found = emotion.region_probabilities
    assert found is not None
    assert [*found] == [region.name for region in partition.regions]
    assert np.asarray(found) == pytest.approx(np.exp(logits[0]) / np.exp(logits[0]).sum(), rel=1e-6)
    assert hash(emotion) == hash(pickle.loads(pickle.dumps(emotion)))
