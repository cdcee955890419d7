"""From a model's numbers to an emotion."""

import dataclasses
import json

import numpy as np
import pytest

from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.heads import softmax
from edge_ser.emotion.sphere import Partition
from edge_ser.session import pad_batch


def outputs(vad: list[list[float]], logits: list[list[float]] | None = None) -> Outputs:
    return Outputs.of(
        np.array(vad, np.float32), None if logits is None else np.array(logits, np.float32)
    )


def one(vad: list[float], logits: list[float] | None = None, **partition: float) -> Emotion:
    result = outputs([vad], None if logits is None else [logits])
    return decode(result, Partition(**partition), [1.5], ["a.wav"])[0]  # type: ignore[arg-type]


def test_softmax_of_known_values() -> None:
    shares = softmax(np.log(np.array([[1, 2, 5], [4, 4, 8]], np.float32)))
    np.testing.assert_allclose(shares, [[0.125, 0.25, 0.625], [0.25, 0.25, 0.5]], rtol=1e-6)
    assert shares.dtype == np.float64


def test_softmax_of_large_logits_stays_finite() -> None:
    shares = softmax(np.array([[1e4, -1e4, 1e4], [-3e38, -3e38, -3e38]], np.float32))
    np.testing.assert_allclose(shares, [[0.5, 0, 0.5], [1 / 3] * 3])


def test_outputs_are_arousal_dominance_valence() -> None:
    e = one([1.0, 0.0, 0.75])
    assert (e.arousal, e.dominance, e.valence) == (7.0, 1.0, 5.5)
    assert str(e.region) == "V dependent"  # aroused, pleasant, submissive
    assert (e.seconds, e.source) == (1.5, "a.wav")


def test_scores_are_clipped_and_the_sphere_is_that_of_the_clipped_scores() -> None:
    e = one([1.4, -0.3, 0.5])
    assert (e.arousal, e.dominance, e.valence) == (7.0, 1.0, 4.0)
    assert e.sphere.radius == pytest.approx(np.sqrt(2))
    assert e.sphere.polar == pytest.approx(3 * np.pi / 4)
    assert e.sphere.azimuth == 0


def test_neutral_is_the_origin() -> None:
    e = one([0.5, 0.5, 0.5])
    assert (e.sphere.radius, e.sphere.polar, e.sphere.azimuth) == (0, 0, 0)
    assert str(e.region) == "I exuberant" and e.boundary_margin == 0
    assert str(one([0.5, 0.5, 0.5], neutral_radius=0.2).region) == "neutral"


def test_margin_is_the_distance_to_the_nearest_plane() -> None:
    assert one([0.9, 0.2, 0.45]).boundary_margin == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(("best", "agree"), [(0, True), (6, False)])
def test_the_head_names_its_most_probable_region(best: int, agree: bool) -> None:
    logits = np.zeros(8)
    logits[best] = 3
    e = one([0.9, 0.9, 0.9], logits.tolist())
    assert e.region.index == 0
    assert e.region_head is not None and e.region_head.index == best
    assert e.regions_agree is agree
    assert e.region_probabilities is not None and len(e.region_probabilities) == 8
    assert sum(e.region_probabilities.values()) == pytest.approx(1)
    assert max(e.region_probabilities.values()) == e.region_probabilities[e.region_head.name]


def test_without_a_head_nothing_is_said_of_it() -> None:
    e = one([0.9, 0.9, 0.9])
    assert e.region_head is e.region_probabilities is e.regions_agree is None
    assert "region_head" not in repr(e)


def test_rows_stay_in_order() -> None:
    vad = [[0.9, 0.9, 0.9], [0.1, 0.1, 0.1], [0.9, 0.1, 0.1]]
    logits = np.eye(8)[:3].tolist()
    emotions = decode(outputs(vad, logits), Partition(), [1, 2, 3], ["a", "b", "c"])
    assert [str(e.region) for e in emotions] == ["I exuberant", "VII bored", "VIII anxious"]
    assert [e.region_head and e.region_head.index for e in emotions] == [0, 1, 2]
    assert [(e.seconds, e.source) for e in emotions] == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("logits", [None, [0.5, -1.0, 2.0, 0, 0, 0, 0, 0]])
def test_to_dict_is_plain_json(logits: list[float] | None) -> None:
    e = one([0.2, 0.7, 0.4], logits)
    back = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert back["arousal"] == e.arousal
    assert back["sphere"] == e.sphere.to_dict()
    assert back["region"] == {
        "name": e.region.name, "temperament": e.region.temperament, "index": e.region.index,
    }  # fmt: skip
    assert back["boundary_margin"] == e.boundary_margin
    assert back["regions_agree"] == e.regions_agree
    assert back["source"] == "a.wav" and back["seconds"] == 1.5
    if logits is None:
        assert back["region_head"] is None and back["region_probabilities"] is None
    else:
        assert back["region_head"]["index"] == 2
        assert back["region_probabilities"] == dict(e.region_probabilities or {})
        assert [*back["region_probabilities"]] == [r.name for r in Partition().regions]


def test_to_dict_leaves_nothing_out() -> None:
    arrays = Outputs.of(np.array([[0.2, 0.7, 0.4]], np.float32)).arrays
    both = Outputs({**arrays, "category_logits": np.zeros((1, 2), np.float32)})
    (e,) = decode(both, Partition(), [1.5], ["a.wav"], categories=("sad", "happy"))
    assert {f.name for f in dataclasses.fields(e)} <= set(e.to_dict())


def test_repr_is_one_short_line() -> None:
    logits = [0.0] * 7 + [2.0]
    assert repr(one([0.9, 0.75, 0.25], logits)) == (
        "Emotion(arousal=6.40, dominance=5.50, valence=2.50, region='IV hostile', "
        "boundary_margin=0.500, region_head='VIII anxious')"
    )


def test_an_emotion_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        one([0.2, 0.7, 0.4]).arousal = 3.0  # type: ignore[misc]


def test_pad_batch() -> None:
    rows = [np.ones(3, np.float32), np.full(5, 2, np.float32), np.zeros(1, np.float32)]
    samples, lengths = pad_batch(rows)
    assert samples.tolist() == [[1, 1, 1, 0, 0], [2] * 5, [0] * 5]
    assert lengths.tolist() == [3, 5, 1]
    assert samples.dtype == np.float32 and lengths.dtype == np.int64
