"""Streams through the default model: the numbers of `segments`, whatever the blocks."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise, make_syllables

import edge_ser
from edge_ser.audio import resample
from edge_ser.audio.files import decode_file
from edge_ser.emotion.sphere import to_cartesian

RATE = 16_000
Blocks = Callable[[int], int]


@pytest.fixture(scope="module")
def speech(utterances: list[Path]) -> np.ndarray:
    """8.2 s: the sample utterances, one after the other."""
    return np.concatenate([decode_file(path, RATE) for path in utterances])


def streamed(
    ser: edge_ser.Recognizer, samples: np.ndarray, rate: float, size: Blocks, **options: float
) -> list[edge_ser.Estimate]:
    """All estimates of samples in blocks, whose sizes a function of their number tells."""
    stream, estimates, start, number = ser.stream(rate, **options), [], 0, 0
    while start < len(samples):
        end = start + size(number)
        estimates += stream.push(samples[start:end])
        start, number = end, number + 1
    return estimates + stream.flush()


def as_segments(estimates: list[edge_ser.Estimate]) -> list[edge_ser.Segment]:
    return [edge_ser.Segment(e.start, e.end, e.emotion, e.reason) for e in estimates]


def segments_of(
    ser: edge_ser.Recognizer, audio: Any, rate: float | None = None, **options: float
) -> list[edge_ser.Segment]:
    """One window at a time, with no name of a file."""
    segments = ser.segments(audio, rate, batch_size=1, **options)
    return [
        replace(s, source="", emotion=s.emotion and replace(s.emotion, source="")) for s in segments
    ]


def irregular(seed: int, longest: int) -> Blocks:
    rng = np.random.default_rng(seed)
    return lambda _: int(rng.integers(0, longest))


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_a_stream_is_the_segments_of_a_file(
    rate: int, ser: edge_ser.Recognizer, speech: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, resample(speech, RATE, rate), rate, subtype="PCM_16")
    samples, _ = soundfile.read(path, dtype="int16")
    expected = segments_of(ser, path, window=3, hop=0.5)
    assert len(expected) > 10
    assert as_segments(streamed(ser, samples, rate, lambda _: rate // 50)) == expected
    assert as_segments(streamed(ser, samples, rate, irregular(rate, rate // 2))) == expected


@pytest.mark.parametrize("seed", range(6))
def test_no_partition_changes_anything(
    seed: int, ser: edge_ser.Recognizer, speech: np.ndarray
) -> None:
    """All of an estimate, the running mean and the light of speech too."""
    samples = resample(speech, RATE, 44_100)
    rng = np.random.default_rng(seed)
    options = {"window": float(rng.uniform(1, 5)), "hop": float(rng.uniform(0.4, 1))}
    whole = streamed(ser, samples, 44_100, lambda _: samples.size, **options)
    sizes = irregular(seed, 10 ** int(rng.integers(3, 6)))
    blocks = streamed(ser, samples, 44_100, sizes, **options)
    assert blocks == whole
    assert as_segments(whole) == segments_of(ser, samples, 44_100, **options)


def test_blocks_of_one_sample(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    part = speech[: RATE + 1234]
    options = {"window": 0.5, "hop": 0.25}
    assert streamed(ser, part, RATE, lambda _: 1, **options) == streamed(
        ser, part, RATE, lambda _: part.size, **options
    )


@pytest.mark.parametrize("channel", ["mean", "left", 2])
def test_channels_are_those_of_the_recogniser(
    channel: Any, speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    stereo = np.stack([speech, 0.1 * speech[::-1]], axis=1)
    with edge_ser.load(threads=1, channel=channel) as chosen:
        estimates = streamed(chosen, stereo, RATE, irregular(1, 3000))
        assert as_segments(estimates) == segments_of(chosen, stereo, RATE, window=3, hop=0.5)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float64"])
def test_types_of_samples(dtype: str, ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    scale = 1 if dtype == "float64" else np.iinfo(dtype).max
    samples = (speech * scale).astype(dtype)
    estimates = streamed(ser, samples, RATE, irregular(2, 9000))
    assert as_segments(estimates) == segments_of(ser, samples, RATE, window=3, hop=0.5)


def test_what_is_shorter_than_a_window_is_one(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    (estimate,) = streamed(ser, speech[: 2 * RATE], RATE, lambda _: 500)
    assert (estimate.start, estimate.end) == (0.0, 2.0)
    assert estimate.emotion == ser(speech[: 2 * RATE], RATE)
    (short,) = streamed(ser, speech[:100], RATE, lambda _: 500)
    assert short.emotion is None and "expected at least 400 samples" in short.reason
    assert streamed(ser, speech[:0], RATE, lambda _: 500) == []


def test_a_callers_array_may_be_used_again(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    stream, buffer, estimates = ser.stream(RATE), np.zeros(1600, np.float32), []
    for start in range(0, 5 * RATE, 1600):
        buffer[:] = speech[start : start + 1600]
        estimates += stream.push(buffer)
        buffer[:] = 0
    expected = segments_of(ser, speech[: 5 * RATE], RATE, window=3, hop=0.5)
    assert as_segments(estimates + stream.flush()) == expected


def test_the_running_mean_is_of_the_answers(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    estimates = streamed(ser, speech, RATE, lambda _: 1600, smoothing=1.0)
    mean, last_end = np.zeros(3), 0.0
    for number, estimate in enumerate(estimates):
        emotion, smoothed = estimate.emotion, estimate.smoothed
        assert emotion is not None and smoothed is not None
        scores = np.array([emotion.arousal, emotion.dominance, emotion.valence])
        kept = np.exp(last_end - estimate.end) if number else 0
        mean, last_end = scores + kept * (mean - scores), estimate.end
        held = [smoothed.arousal, smoothed.dominance, smoothed.valence]
        assert held == pytest.approx(mean.tolist())
        assert smoothed.boundary_margin == pytest.approx(np.abs(to_cartesian(mean)).min())


def test_noise_after_speech_does_not_move_the_mean(
    ser: edge_ser.Recognizer, speech: np.ndarray
) -> None:
    signal = np.concatenate([speech, make_noise(8, RATE) / 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", edge_ser.PoorAudioWarning)
        estimates = streamed(ser, signal, RATE, lambda _: 1600)
    assert all(e.smoothed is not None for e in estimates[:5])
    assert all(e.smoothed is None and not e.is_speech for e in estimates[-8:])
    assert all(e.emotion is not None for e in estimates)


def test_a_gate_leaves_out_what_is_no_speech(speech: np.ndarray) -> None:
    signal = np.concatenate([make_noise(6, RATE) / 30, speech])
    with edge_ser.load(threads=1, on_poor="refuse") as refusing:
        stream = refusing.stream(RATE)
        estimates = stream.push(signal) + stream.flush()
        assert as_segments(estimates) == segments_of(refusing, signal, RATE, window=3, hop=0.5)
    assert estimates[0].emotion is None and "hardly any speech" in estimates[0].reason
    assert estimates[-1].emotion is not None
    (first, *_) = stream.ended_utterances()
    assert first.start == pytest.approx(6.2, abs=0.3)


def test_an_hour_of_silence(ser: edge_ser.Recognizer) -> None:
    stream, minute, count = ser.stream(RATE), np.zeros(60 * RATE, np.int16), 0
    for _ in range(60):
        for estimate in stream.push(minute):
            assert estimate.emotion is None and "all zero" in estimate.reason
            assert not estimate.is_speech
            count += 1
    assert count == 7195 and stream.seconds == 3600
    assert stream.ended_utterances() == []


def test_a_refused_block_is_not_part_of_it(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    bad = speech[:160].copy()
    bad[5] = np.inf
    stream, estimates = ser.stream(RATE), []
    for number, start in enumerate(range(0, speech.size, 1600)):
        if number % 10 == 3:
            at = rf"samples at {start / RATE:.1f} s"
            with pytest.raises(edge_ser.AudioError, match=f"{at}: expected finite samples"):
                stream.push(bad)
            with pytest.raises(edge_ser.AudioError, match="1 channels, as before, found 2"):
                stream.push(np.zeros((160, 2), np.float32))
            with pytest.raises(edge_ser.AudioError, match="found dtype uint8"):
                stream.push(np.zeros(160, np.uint8))
            with pytest.raises(edge_ser.AudioError, match=r"found shape \[1, 1, 160\]"):
                stream.push(bad[None, None])
            with pytest.raises(edge_ser.UsageError, match="expected 16000 Hz, as the stream has"):
                stream.push(speech[:160], sample_rate=44_100)
            with pytest.raises(edge_ser.UsageError, match=r"expected an array.*found bytes; call"):
                stream.push(b"\0" * 160)
        estimates += stream.push(speech[start : start + 1600], sample_rate=RATE)
    expected = segments_of(ser, speech, RATE, window=3, hop=0.5)
    assert as_segments(estimates + stream.flush()) == expected


def test_capture_times(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    stream, estimates = ser.stream(48_000, hop=1.0), []
    samples = resample(speech, RATE, 48_000)
    for start in range(0, samples.size, 480):
        late = 0.5 if start >= 4 * 48_000 else 0.0
        at = 1000.0 + start / 48_000 + late
        estimates += stream.push(samples[start : start + 480], captured_at=at)
    assert [e.missing_seconds for e in estimates] == pytest.approx([0, 0, 0.5, 0.5, 0, 0])
    assert [e.captured_at for e in estimates] == pytest.approx(
        [1003.0, 1004.0, 1005.5, 1006.5, 1007.5, 1008.5]
    )
    assert (stream.clock.gaps, stream.clock.missing_seconds) == (1, pytest.approx(0.5))
    with pytest.raises(edge_ser.UsageError, match="do not go back"):
        stream.push(samples[:480], captured_at=3.0)
    assert [e.end for e in estimates] == sorted(e.end for e in estimates)


def test_the_life_of_a_stream(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    with ser.stream(RATE) as stream:
        first = stream.push(speech) + stream.flush()
        with pytest.raises(edge_ser.UsageError, match=r"found a flushed one; call reset\(\)"):
            stream.push(speech)
        with pytest.raises(edge_ser.UsageError, match="found a flushed one"):
            stream.flush()
        stream.reset()
        assert stream.seconds == 0
        stream.push(speech[::-1])
        stream.reset()
        assert stream.push(speech) + stream.flush() == first
    for use in (lambda: stream.push(speech), stream.flush, stream.reset, stream.in_background):
        with pytest.raises(edge_ser.UsageError, match=r"found a closed one; begin another"):
            use()


def test_a_closed_recogniser_ends_its_streams(speech: np.ndarray) -> None:
    with edge_ser.load(threads=1) as closing:
        stream = closing.stream(RATE)
    with pytest.raises(edge_ser.UsageError, match="recogniser: expected an open one"):
        stream.push(speech)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 13}, "window: expected 0.025 to 12 s"),
        ({"hop": 0}, "hop: expected more than 0 and at most the window, 3 s"),
        ({"hop": 4}, "hop: expected more than 0"),
        ({"pause": 0}, "pause: expected seconds, from 0.1 on, found 0"),
        ({"smoothing": -1}, "smoothing: expected seconds"),
        ({"hysteresis": 2}, "hysteresis: expected a distance"),
    ],
)
def test_options_are_checked_at_once(
    options: dict[str, float], words: str, ser: edge_ser.Recognizer
) -> None:
    with pytest.raises(edge_ser.UsageError, match=words):
        ser.stream(RATE, **options)


@pytest.mark.parametrize("rate", [0, 999, 2e6, float("nan"), "16000", None])
def test_rates_that_no_recording_has_are_refused(rate: Any, ser: edge_ser.Recognizer) -> None:
    with pytest.raises(edge_ser.AudioError, match="expected a sample rate of 1000 to 1000000 Hz"):
        ser.stream(rate)


def test_an_estimate_is_json(ser: edge_ser.Recognizer) -> None:
    noise = make_syllables(3, RATE)
    (estimate,) = ser.stream(RATE).push(noise, captured_at=7)
    data = json.loads(json.dumps(estimate.to_dict()))
    assert estimate.emotion is not None and estimate.smoothed is not None
    assert data["emotion"]["arousal"] == estimate.emotion.arousal
    assert data["smoothed"]["region"]["name"] == estimate.smoothed.region.name
    assert (data["start"], data["end"], data["captured_at"]) == (0.0, 3.0, 10.0)
    assert data["speech_share"] == estimate.speech_share > 0
