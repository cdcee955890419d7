"""Streams whose model has a thread of its own."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.emotion.decode import Outputs
from edge_ser.utterance import Utterance

RATE = 16_000


@pytest.fixture(scope="module")
def speech(utterances: list[Path]) -> np.ndarray:
    """8.2 s: the sample utterances, one after the other."""
    return np.concatenate([decode_file(path, RATE) for path in utterances])


class Held(edge_ser.Recognizer):
    """The default model, which answers only as long as it may, and says when it is asked."""

    def __init__(self, ser: edge_ser.Recognizer) -> None:
        super().__init__(ser.bundle, ser.session)
        self.asked, self.may_answer = threading.Semaphore(0), threading.Semaphore(0)
        self.error: Exception | None = None

    def infer(self, utterances: Sequence[Utterance]) -> Outputs:
        self.asked.release()
        assert self.may_answer.acquire(timeout=20)
        if self.error is not None:
            raise self.error
        return super().infer(utterances)


@contextmanager
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_nothing_is_dropped_of_audio_that_the_model_can_follow(
    ser: edge_ser.Recognizer, speech: np.ndarray
) -> None:
    expected = ser.stream(RATE)
    wanted = expected.push(speech) + expected.flush()
    with no_thread_left(), ser.stream(RATE).in_background() as live:
        estimates = []
        for start in range(0, speech.size, 4000):
            live.push(speech[start : start + 4000])
            while (estimate := live.get(timeout=0.05)) is not None:
                estimates.append(estimate)
        live.flush()
        estimates += list(live)
        assert estimates == wanted
        assert live.dropped == 0 and live.is_over
        assert live.seconds == pytest.approx(speech.size / RATE)
        assert live.get() is None


def test_the_oldest_windows_are_dropped_where_the_model_is_slow(
    ser: edge_ser.Recognizer, speech: np.ndarray
) -> None:
    model = Held(ser)
    with model.stream(RATE).in_background(waiting=2) as live:
        live.push(speech[: 3 * RATE])
        assert model.asked.acquire(timeout=20), "the first window is with the model"
        begun = time.monotonic()
        for start in range(3 * RATE, 8 * RATE, 800):  # ten more windows
            live.push(speech[start : start + 800])
        assert time.monotonic() - begun < 5, "nobody waited for the model"
        assert live.dropped == 8
        for _ in range(3):
            model.may_answer.release()
        live.flush()
        model.may_answer.release()
        estimates = list(live)
    assert [(e.start, e.dropped) for e in estimates[:3]] == [(0.0, 0), (4.5, 8), (5.0, 0)]
    assert live.dropped == 8
    one = ser.stream(RATE)
    by_start = {e.start: e.emotion for e in one.push(speech) + one.flush()}
    assert all(e.emotion == by_start[e.start] for e in estimates)


def test_estimates_that_nobody_takes_fill_no_memory(
    ser: edge_ser.Recognizer, monkeypatch: pytest.MonkeyPatch, speech: np.ndarray
) -> None:
    monkeypatch.setattr("edge_ser.streaming.background._KEPT", 3)
    with ser.stream(RATE).in_background(waiting=100) as live:
        live.push(speech)
        live.flush()
        while not live.is_over:
            time.sleep(0.01)
        rest = list(live)
    assert len(rest) == 3
    assert live.dropped == 12 - 3


def test_an_error_reaches_who_pushes_and_who_waits(
    ser: edge_ser.Recognizer, speech: np.ndarray
) -> None:
    model = Held(ser)
    model.error = edge_ser.BundleError("model", expected="numbers", found="none")
    with no_thread_left(), model.stream(RATE).in_background() as live:
        model.may_answer.release()
        live.push(speech[: 3 * RATE])
        with pytest.raises(edge_ser.BundleError, match="expected numbers, found none"):
            next(live)
        with pytest.raises(edge_ser.BundleError, match="expected numbers, found none"):
            live.push(speech[:160])


def test_bad_samples_are_refused_where_they_are_given(ser: edge_ser.Recognizer) -> None:
    with ser.stream(RATE).in_background() as live:
        with pytest.raises(edge_ser.AudioError, match="expected finite samples"):
            live.push(np.full(160, np.nan))
        live.push(np.zeros(160, np.int16), captured_at=1.0)
        assert live.clock.gaps == 0 and not live.is_speech
        assert live.ended_utterances() == []


def test_closing_lets_go_of_what_waits(ser: edge_ser.Recognizer, speech: np.ndarray) -> None:
    model = Held(ser)
    with no_thread_left():
        live = model.stream(RATE).in_background(waiting=9)
        live.push(speech[: 6 * RATE])
        assert model.asked.acquire(timeout=20)
        model.may_answer.release()
        live.close()
        live.close()
    assert [e.start for e in live] == [0.0], "the one that was with the model"
    for use in (lambda: live.push(speech), live.flush):
        with pytest.raises(edge_ser.UsageError, match="found one that was flushed or closed"):
            use()


def test_no_window_may_wait_in_less_than_one_place(ser: edge_ser.Recognizer) -> None:
    stream = ser.stream(RATE)
    with pytest.raises(edge_ser.UsageError, match="waiting: expected at least 1 window, found 0"):
        stream.in_background(waiting=0)
    assert stream.push(np.zeros(RATE, np.float32)) == [], "it is open"
