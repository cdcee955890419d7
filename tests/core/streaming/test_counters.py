"""What a device counts."""

import json

import numpy as np
import pytest
from helpers.signals import make_noise, make_syllables

import edge_ser
from edge_ser.emotion.scale import scores_from_unit
from edge_ser.streaming.counters import Counters, Histogram

RATE = 16_000


def test_values_are_counted_where_they_lie() -> None:
    histogram = Histogram(1.0, 7.0, 12)
    for value in (1.0, 1.49, 1.5, 4.0, 7.0, 0.5, 9.0):
        histogram.add(value)
    counted = histogram.to_dict()
    assert counted["counts"] == [3, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2]
    assert counted["mean"] == pytest.approx(np.mean([1.0, 1.49, 1.5, 4.0, 7.0, 0.5, 9.0]))
    assert Histogram(0, 1, 3).to_dict() == {"low": 0, "high": 1, "counts": [0, 0, 0], "mean": None}


def test_a_stream_is_counted(ser: edge_ser.Recognizer) -> None:
    with edge_ser.load(threads=1, on_poor="refuse") as refusing:
        stream, counters = refusing.stream(RATE), Counters()
        signal = np.concatenate(
            [make_syllables(6, RATE), np.zeros(4 * RATE, np.float32), make_noise(5, RATE) / 9]
        )
        estimates = stream.push(signal) + stream.flush()
        for estimate in estimates:
            counters.add(estimate)
        counters.add_utterances(s.end - s.start for s in stream.ended_utterances())
        data = counters.to_dict(refusing.bundle, stream.seconds, stream.clock)
    assert json.loads(json.dumps(data)) == data
    answered = [e.emotion for e in estimates if e.emotion is not None]
    assert (data["windows"], data["answered"]) == (len(estimates), len(answered))
    assert sum(data["refusals"].values()) == len(estimates) - len(answered)
    assert set(data["refusals"]) == {
        "expected a signal", "expected a recording that the model can judge",
    }  # fmt: skip
    assert sum(data["scores"]["valence"]["counts"]) == len(answered)
    assert data["scores"]["arousal"]["mean"] == pytest.approx(
        np.mean([e.arousal for e in answered])
    )
    assert sum(data["regions"].values()) == len(answered)
    assert data["seconds"] == 15 and data["utterances"] >= 1
    assert 4 < data["spoken_seconds"] < 8
    assert data["fingerprint"] == ser.bundle.fingerprint


def test_the_reference_is_what_the_bundle_has(ser: edge_ser.Recognizer) -> None:
    data = Counters().to_dict(ser.bundle, 0.0, ser.stream(RATE).clock)
    recorded = scores_from_unit(ser.bundle.golden().reference.vad)
    reference = data["reference"]["recorded_answers"]
    assert sum(reference["arousal"]["counts"]) == len(recorded)
    assert reference["valence"]["mean"] == pytest.approx(recorded[:, 2].mean())
    assert data["reference"]["calibration"] is None, "a float32 bundle needed none"
