"""Answers against the neutral speech of a speaker or microphone."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_noise

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.baseline import Baseline
from edge_ser.errors import AudioError, UsageError

RATE = 16_000


def scores(emotion: edge_ser.Emotion | None) -> np.ndarray:
    assert emotion is not None
    return np.array([emotion.arousal, emotion.dominance, emotion.valence])


def test_what_is_answered_as_the_baseline_is_neutral(
    ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    first, second = (ser.with_baseline([path]) for path in utterances[:2])
    at_first = first(utterances[0])
    np.testing.assert_allclose(scores(at_first), 4, atol=1e-5)
    assert at_first.sphere is not None and at_first.sphere.radius < 1e-5
    # the vector is moved, as far as it does not leave the scale
    own = [scores(ser(path)) for path in utterances[:2]]
    expected = np.clip(own[1] + 4 - own[0], 1, 7)
    np.testing.assert_allclose(scores(first(utterances[1])), expected, atol=1e-5)
    both = ser.with_baseline(utterances[:2])
    np.testing.assert_allclose(
        scores(both(utterances[1])), np.clip(own[1] + 4 - np.mean(own, 0), 1, 7), atol=1e-5
    )
    assert both.baseline is not None and both.baseline.utterances == 2
    # anew, and not on top of the other
    again = first.with_baseline([utterances[1]])
    assert again.baseline == second.baseline
    assert scores(ser(utterances[0])).tolist() == own[0].tolist(), "and ser is as it was"


def test_the_region_follows_the_point_and_the_classifier_does_not(
    ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    docile, bored = utterances[1:3]
    own, against = ser(docile), ser.with_baseline([bored])(docile)
    assert (str(own.region), str(against.region)) == ("VI docile", "I exuberant")
    assert own.region_probabilities == against.region_probabilities
    assert own.region_head == against.region_head


def test_segments_their_mean_and_streams_are_against_it_too(
    ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    samples = decode_file(utterances[0], RATE)[: 2 * RATE]
    speech = np.concatenate([samples, samples])
    neutral = ser.with_baseline([samples], RATE)
    index = neutral.segments(speech, RATE, window=2)
    for segment in index:
        np.testing.assert_allclose(scores(segment.emotion), 4, atol=1e-5)
    np.testing.assert_allclose(scores(index.overall.emotion), 4, atol=1e-5)
    with neutral.stream(RATE, window=2, hop=2) as stream:
        estimates = [*stream.push(speech), *stream.flush()]
    assert len(estimates) == 2
    for estimate in estimates:
        np.testing.assert_allclose(scores(estimate.emotion), 4, atol=1e-5)


def test_it_goes_with_a_recogniser_to_another_process(utterances: list[Path]) -> None:
    with edge_ser.load(threads=1) as ser:
        neutral = ser.with_baseline(utterances[:1])
        there = pickle.loads(pickle.dumps(neutral))
        np.testing.assert_allclose(scores(there(utterances[0])), 4, atol=1e-5)
        assert repr(neutral).startswith("Recognizer(emosphere-spectral, onnx-fp32, against arousal")
        neutral.close()
        assert ser(utterances[0]).arousal is not None, "it only borrowed the model"


def test_what_is_no_baseline(ser: edge_ser.Recognizer, utterances: list[Path]) -> None:
    with pytest.raises(UsageError, match="expected at least one neutral utterance, found none"):
        ser.with_baseline([])
    with pytest.raises(UsageError, match="expected a list of neutral utterances"):
        ser.with_baseline(str(utterances[0]))
    with pytest.raises(AudioError, match=r"samples\[1\]: expected a signal, found 16000"):
        ser.with_baseline([make_noise(1, RATE), np.zeros(RATE, np.float32)], RATE)
    categories = edge_ser.Outputs({"category_logits": np.zeros((1, 4), np.float32)})
    with pytest.raises(UsageError, match="expected a model of arousal, dominance and valence"):
        Baseline.of([categories])
