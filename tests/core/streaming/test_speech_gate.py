"""Who speaks when, of audio that goes on."""

from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_noise

from edge_ser.audio.files import decode_file
from edge_ser.errors import UsageError
from edge_ser.streaming.speech_gate import SpeechGate, SpokenSpan

RATE = 16_000


def room(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise of a quiet room, -60 dBFS."""
    return make_noise(seconds, RATE, seed=seed) / np.float32(100)


@pytest.fixture(scope="module")
def dialogue(utterances: list[Path]) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Utterances with 1.5 s of a room before each and after the last, and where they lie."""
    parts, spans, size = [], [], 0
    for path in utterances:
        speech = decode_file(path, RATE)
        parts += [room(1.5, len(parts)), speech + room(speech.size / RATE, 99)]
        spans.append((size / RATE + 1.5, size / RATE + 1.5 + speech.size / RATE))
        size += round(1.5 * RATE) + speech.size
    return np.concatenate([*parts, room(1.5, 77)]), spans


def heard(signal: np.ndarray, size: int) -> tuple[list[SpokenSpan], list[bool]]:
    """Utterances, and whether somebody speaks at every half second."""
    gate, spans, states, asked = SpeechGate(RATE, 0.6), [], [], 0
    for start in range(0, signal.size, size):
        gate.push(signal[start : start + size])
        while (asked + 1) * RATE / 2 <= min(start + size, signal.size):
            asked += 1
            states.append(gate.was_speech(asked * RATE // 2))
        spans += gate.ended()
    gate.last()
    return spans + gate.ended(), states


def test_utterances_are_found(dialogue: tuple[np.ndarray, list[tuple[float, float]]]) -> None:
    signal, spans = dialogue
    found, _ = heard(signal, 160)
    assert len(found) == len(spans)
    for span, (start, end) in zip(found, spans, strict=True):
        # the files begin and end with a little silence
        assert start - 0.2 <= span.start <= start + 0.4
        assert end - 0.5 <= span.end <= end + 0.2


@pytest.mark.parametrize("size", [37, 1600, 5003, 1 << 22])
def test_blocks_change_nothing(
    dialogue: tuple[np.ndarray, list[tuple[float, float]]], size: int
) -> None:
    assert heard(dialogue[0], size) == heard(dialogue[0], 160)


def test_the_state_is_known_a_pause_after_the_end(
    dialogue: tuple[np.ndarray, list[tuple[float, float]]],
) -> None:
    signal, spans = dialogue
    _, states = heard(signal, 160)
    for number, state in enumerate(states, 1):
        at = number / 2
        if any(start + 0.6 < at < end - 0.3 for start, end in spans):
            assert state, at
        if not any(start - 0.1 < at < end + 0.9 for start, end in spans):
            assert not state, at


@pytest.mark.parametrize(
    "signal",
    [np.zeros(30 * RATE, np.float32), room(30), make_noise(30, RATE)],
    ids=["zeros", "room", "loud noise"],
)
def test_what_is_as_loud_all_along_is_no_speech(signal: np.ndarray) -> None:
    assert heard(signal, 1600) == ([], [False] * 60)


def test_a_microphone_that_is_switched_on_is_no_speech() -> None:
    signal = np.concatenate([np.zeros(8 * RATE, np.float32), room(8)])
    assert heard(signal, 160)[0] == []


def test_a_click_is_no_utterance() -> None:
    signal = room(4)
    signal[30_000:30_100] += 0.5
    assert heard(signal, 160)[0] == []


def test_the_end_of_the_audio_ends_an_utterance(utterances: list[Path]) -> None:
    speech = decode_file(utterances[0], RATE)
    signal = np.concatenate([room(1), speech[:RATE]])
    (span,) = heard(signal, 160)[0]
    assert 1.0 <= span.start <= 1.4
    assert span.end == pytest.approx(2.0, abs=0.21)


def test_utterances_that_nobody_asks_for_fill_no_memory() -> None:
    gate = SpeechGate(RATE, 0.1)
    burst = np.concatenate([make_noise(0.2, RATE), room(0.8)])
    for _ in range(1100):
        gate.push(burst)
    spans = gate.ended()
    assert len(spans) == 1000 and spans[-1].start > 1090
    assert gate.ended() == []


@pytest.mark.parametrize("pause", [0, 0.05, float("nan"), float("inf")])
def test_pauses_that_are_none_are_refused(pause: float) -> None:
    with pytest.raises(UsageError, match=r"pause: expected seconds, from 0\.1 on"):
        SpeechGate(RATE, pause)
