"""Recordings of minutes, answered piece by piece by the default model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise, make_syllables

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.emotion.sphere import to_cartesian, to_spherical
from edge_ser.errors import AudioError, DataError, UsageError

RATE = 16_000


@pytest.fixture(scope="module")
def speech(utterances: list[Path]) -> np.ndarray:
    """24.7 s: the sample utterances, one after the other."""
    return np.concatenate([decode_file(path, RATE) for path in utterances] * 3)


def vad(emotion: edge_ser.Emotion | None) -> list[float]:
    assert emotion is not None
    return [emotion.arousal, emotion.dominance, emotion.valence]


def test_every_segment_is_the_answer_of_its_samples(
    speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    seconds = speech.size / RATE
    segments = list(ser.segments(speech, RATE, window=4, hop=3))
    assert [s.start for s in segments[:-1]] == [3.0 * i for i in range(len(segments) - 1)]
    assert segments[-1].end == seconds
    for segment in segments:
        part = speech[round(segment.start * RATE) : round(segment.end * RATE)]
        assert part.size == 4 * RATE
        assert vad(segment.emotion) == pytest.approx(vad(ser(part, RATE)), abs=1e-5)
        assert segment.reason == ""


def test_a_short_recording_is_one_segment_with_the_usual_answer(
    ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    index = ser.segments(utterances[0])
    (segment,) = index
    expected = ser(utterances[0])
    assert segment.emotion == expected
    assert (segment.start, segment.end) == (0.0, expected.seconds)
    assert vad(index.overall.emotion) == pytest.approx(vad(expected), abs=1e-6)


def test_the_overall_value_is_the_mean_of_the_vector(
    speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    index = ser.segments(speech, RATE, window=5)
    segments = list(index)
    seconds = [5.0] * (len(segments) - 1) + [segments[-1].end - segments[-2].end]
    points = np.array([vad(segment.emotion) for segment in segments])
    mean = np.average(points, axis=0, weights=seconds)
    overall = index.overall
    assert vad(overall.emotion) == pytest.approx(mean.tolist(), abs=0.02)  # sound, not time
    assert overall.emotion is not None
    sphere = to_spherical(to_cartesian(vad(overall.emotion)))
    assert list(overall.emotion.sphere.to_dict().values()) == pytest.approx(sphere.tolist())
    assert (overall.segments, overall.answered) == (len(segments), len(segments))
    assert overall.seconds == segments[-1].end


def test_batches_change_nothing(speech: np.ndarray, ser: edge_ser.Recognizer) -> None:
    one = list(ser.segments(speech, RATE, batch_size=1))
    many = list(ser.segments(speech, RATE, batch_size=16))
    assert [(s.start, s.end) for s in one] == [(s.start, s.end) for s in many]
    for a, b in zip(one, many, strict=True):
        assert vad(a.emotion) == pytest.approx(vad(b.emotion), abs=1e-5)


def test_a_file_is_the_same_as_its_samples(
    speech: np.ndarray, ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech, RATE, subtype="FLOAT")
    of_file = list(ser.segments(path))
    of_samples = list(ser.segments(speech, RATE))
    assert [vad(s.emotion) for s in of_file] == [vad(s.emotion) for s in of_samples]
    assert {s.source for s in of_file} == {str(path)}
    assert {s.emotion.source for s in of_file if s.emotion} == {str(path)}


def test_silence_in_between_is_a_segment_without_an_answer(ser: edge_ser.Recognizer) -> None:
    noise = make_noise(5, RATE)
    index = ser.segments(np.concatenate([noise, np.zeros(5 * RATE, np.float32), noise]), RATE)
    segments = list(index)
    assert [s.emotion is None for s in segments] == [False, True, False]
    assert segments[1].reason == "expected a signal, found 80000 samples, all zero"
    assert json.loads(json.dumps(segments[1].to_dict()))["emotion"] is None
    assert (index.overall.segments, index.overall.answered) == (3, 2)


def test_nothing_but_silence_has_no_overall_answer(ser: edge_ser.Recognizer) -> None:
    index = ser.segments(np.zeros(20 * RATE, np.float32), RATE)
    assert [s.emotion for s in index] == [None] * 4
    assert index.overall.emotion is None and index.overall.answered == 0


def test_errors(ser: edge_ser.Recognizer) -> None:
    with pytest.raises(AudioError, match="at least 400 samples"):
        list(ser.segments(make_noise(0.01, RATE), RATE))
    with pytest.raises(UsageError, match="window: expected"):
        ser.segments(make_noise(1, RATE), RATE, window=13)
    with pytest.raises(UsageError, match="batch size"):
        ser.segments(make_noise(1, RATE), RATE, batch_size=0)
    with pytest.raises(UsageError, match="none was taken yet"):
        _ = ser.segments(make_noise(1, RATE), RATE).overall


def test_poor_segments_are_refused_if_that_is_wanted() -> None:
    loud, quiet = make_syllables(5, RATE), make_syllables(5, RATE) / 1000
    with edge_ser.load(threads=1, on_poor="refuse") as ser:
        segments = list(ser.segments(np.concatenate([loud, quiet]), RATE))
    assert segments[0].emotion is not None and segments[1].emotion is None
    assert "too quiet" in segments[1].reason


@pytest.mark.slow
def test_an_hour_takes_the_memory_of_a_minute(tmp_path: Path) -> None:
    def peak(minutes: int) -> int:
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 8000, 1) as file:
            for _ in range(minutes):
                file.write(make_noise(60, 8000))
        script = (
            "import sys, resource, edge_ser\n"
            "ser = edge_ser.load(threads=1)\n"
            "count = sum(1 for _ in ser.segments(sys.argv[1]))\n"
            "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        out = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        count, kilobytes = map(int, out.stdout.split())
        assert count == 12 * minutes
        return kilobytes

    assert peak(60) < 1.02 * peak(2)


def test_noise_hardly_counts_beside_speech(speech: np.ndarray) -> None:
    ser = edge_ser.load(threads=1)  # one that has not warned ten times already
    alone = ser.segments(speech[: 10 * RATE], RATE)
    list(alone)
    with_noise = ser.segments(np.concatenate([speech[: 10 * RATE], make_noise(10, RATE)]), RATE)
    with pytest.warns(edge_ser.PoorAudioWarning, match=r"samples at 10\.0 s .*hardly any speech"):
        segments = list(with_noise)
    assert [s.speech_share > 0.5 for s in segments] == [True, True, False, False]
    assert vad(with_noise.overall.emotion) == pytest.approx(vad(alone.overall.emotion), abs=0.02)
    assert with_noise.overall.speech_share == pytest.approx(
        alone.overall.speech_share / 2, abs=0.01
    )


def test_turns_are_answered_each_and_per_speaker(
    speech: np.ndarray, ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    turns = [edge_ser.Turn(0.5, 3, "A"), edge_ser.Turn(3, 8, "B"), edge_ser.Turn(9, 24, "A")]
    index = ser.segments(speech, RATE, turns=turns)
    segments = list(index)
    assert [(s.start, s.end, s.speaker) for s in segments] == [
        (0.5, 3, "A"), (3, 8, "B"), (9, 14, "A"), (14, 19, "A"), (19, 24, "A"),
    ]  # fmt: skip
    second = speech[3 * RATE : 8 * RATE]
    assert vad(segments[1].emotion) == pytest.approx(vad(ser(second, RATE)), abs=1e-5)
    assert vad(index.speakers["B"].emotion) == pytest.approx(vad(segments[1].emotion), abs=1e-6)
    of_a = [s for s in segments if s.speaker == "A"]
    weights = [(s.end - s.start) * s.speech_share for s in of_a]
    mean = np.average([vad(s.emotion) for s in of_a], axis=0, weights=weights)
    assert vad(index.speakers["A"].emotion) == pytest.approx(mean.tolist(), abs=1e-4)
    assert (index.speakers["A"].seconds, index.overall.seconds) == (17.5, 22.5)
    path = tmp_path / "a.csv"
    path.write_text("speaker,start,end\nA,0.5,3\nB,3,8\nA,9,24\n")
    assert list(ser.segments(speech, RATE, turns=path)) == segments


def test_a_turn_that_is_too_short_stays_without_an_answer(
    speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    turns = [edge_ser.Turn(0, 0.02, "A"), edge_ser.Turn(1, 3, "B")]
    index = ser.segments(speech, RATE, turns=turns)
    segments = list(index)
    assert [s.emotion is None for s in segments] == [True, False]
    assert segments[0].reason == "expected at least 400 samples (25 ms) at 16000 Hz, found 320"
    assert index.speakers["A"].emotion is None and index.speakers["A"].answered == 0


def test_a_turn_of_less_than_a_sample_stays_without_an_answer(
    speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    turns = [edge_ser.Turn(0.5, 0.50001, "A"), edge_ser.Turn(1, 3, "B")]
    index = ser.segments(speech, RATE, turns=turns)
    segments = list(index)
    assert [(s.start, s.end, s.speaker) for s in segments] == [(0.5, 0.5, "A"), (1, 3, "B")]
    assert segments[0].reason == "expected samples, found an empty array"
    assert segments[1].emotion is not None
    of_a = index.speakers["A"]
    assert (of_a.emotion, of_a.seconds, of_a.speech_share) == (None, 0.0, 0.0)
    assert (index.overall.seconds, index.overall.answered) == (2.0, 1)


def test_what_is_in_two_windows_is_counted_once(
    speech: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    index = ser.segments(speech[: 10 * RATE], RATE, window=5, hop=2.5)
    assert [s.start for s in index] == [0.0, 2.5, 5.0]
    assert index.overall.emotion is not None
    assert (index.overall.seconds, index.overall.emotion.seconds) == (10.0, 10.0)
    turns = [edge_ser.Turn(0, 14, "A"), edge_ser.Turn(15, 17, "B"), edge_ser.Turn(18, 19, "A")]
    index = ser.segments(speech, RATE, window=5, hop=2, turns=turns)
    assert len(list(index)) == 8
    assert {name: s.seconds for name, s in index.speakers.items()} == {"A": 15.0, "B": 2.0}
    assert index.overall.seconds == 17.0


@pytest.mark.parametrize(("channel", "column"), [("right", 1), (2, 1), ("left", 0), (1, 0)])
def test_segments_of_a_channel_are_those_of_it_alone(
    speech: np.ndarray, ser: edge_ser.Recognizer, channel: str | int, column: int
) -> None:
    stereo = np.stack([speech[: 10 * RATE], speech[-10 * RATE :] / 2], axis=1)
    with edge_ser.load(threads=1, channel=channel) as of_channel:
        segments = list(of_channel.segments(stereo, RATE))
    expected = list(ser.segments(stereo[:, column].copy(), RATE))
    assert len(segments) == 2
    assert [(s.start, s.end, s.reason) for s in segments] == [(0, 5, ""), (5, 10, "")]
    for of_stereo, of_mono in zip(segments, expected, strict=True):
        assert vad(of_stereo.emotion) == pytest.approx(vad(of_mono.emotion), abs=1e-5)


def test_turns_of_another_recording_leave_no_file_open(
    speech: np.ndarray, ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech[:RATE], RATE)
    turns = [edge_ser.Turn(0, 1, "A", "b")]
    list(ser.segments(path))  # the model is open
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(DataError, match="expected turns of a, found those of b") as refused:
        ser.segments(path, turns=turns)
    # the error holds the frames, and with them whatever they left open
    assert refused.tb is not None and set(os.listdir("/dev/fd")) == before
