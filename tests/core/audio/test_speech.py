"""What may be speech, by its energy: what is known to be some, and what is known to be none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_noise, make_syllables

from edge_ser.audio.files import decode_file
from edge_ser.audio.hearing import Hearing
from edge_ser.audio.sound import SoundLimits, listen
from edge_ser.audio.speech import speech_share
from edge_ser.errors import UsageError

RATE = 16_000
TIME = np.arange(5 * RATE) / RATE
NOISE = make_noise(5, RATE)


def tone(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * TIME).astype(np.float32)


NO_SPEECH = {
    "white noise": NOISE,
    "faint noise": NOISE / 100,
    "brown noise": np.cumsum(NOISE - NOISE.mean()).astype(np.float32) / 100,
    "tone": 0.1 * tone(440),
    "chord": 0.1 * (tone(262) + tone(330) + tone(392)),
    "hum": 0.1 * (tone(50) + tone(150) / 3 + tone(250) / 5),
    "one flickering bit": (np.abs(NOISE) > 0.25).astype(np.float32) / 32768,
    "silence": np.zeros(5 * RATE, np.float32),
    "clicks": (np.abs(NOISE) > 0.4).astype(np.float32),
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_as_loud_all_along_is_no_speech(name: str) -> None:
    assert speech_share(NO_SPEECH[name], RATE) < 0.1
    sound = listen(NO_SPEECH[name], RATE, SoundLimits())
    assert sound.quality[-1].startswith("hardly any speech: ")


def test_speech_is_speech(utterances: list[Path]) -> None:
    flite = sorted((Path(__file__).parents[2] / "data" / "flite").glob("*.flac"))
    assert len(flite) == 4
    for path in (*utterances, *flite):
        samples = decode_file(path, RATE)
        assert speech_share(samples, RATE) > 0.7
        for start in range(0, samples.size - RATE, RATE):
            sound = listen(samples[start : start + RATE], RATE, SoundLimits())
            assert not sound.quality, "a second of it is enough"


def test_speech_among_noise_is_a_part_of_the_time() -> None:
    x = 0.05 * make_noise(8, RATE)
    x[: 2 * RATE] = make_syllables(2, RATE)
    assert speech_share(x, RATE) == pytest.approx(0.25 * 0.75, abs=0.01)


def test_loudness_changes_nothing() -> None:
    x = make_syllables(2, RATE)
    assert speech_share(x, RATE) == speech_share(x / 64, RATE) == pytest.approx(0.75, abs=0.02)
    assert speech_share(x / 1e6, RATE) == 0, "below what a microphone has"


@pytest.mark.parametrize("size", [1, 7, 159, 161, RATE // 2])
def test_less_than_a_second_is_not_judged(size: int) -> None:
    sound = listen(NOISE[:size], RATE, SoundLimits(offset=1, quiet_dbfs=-120))
    assert 0 <= sound.speech_share <= 1 and sound.quality == ()


def test_the_limit_is_the_callers_or_else_the_models() -> None:
    of_model = SoundLimits(min_speech=0.4, quiet_dbfs=-50)
    assert Hearing().limits(of_model) == of_model
    assert Hearing().limits(None) == SoundLimits()
    assert Hearing(min_speech=0.0).limits(of_model) == replace(of_model, min_speech=0.0)
    for wrong in (-0.1, 1.1, "half", float("nan")):
        with pytest.raises(UsageError, match="min_speech: expected a share, 0 to 1"):
            Hearing(min_speech=wrong)  # type: ignore[arg-type]
