"""What a recording is like, against values that are known by construction."""

from dataclasses import replace

import numpy as np
import pytest

from edge_ser.audio import choose_channel, decode_array
from edge_ser.audio.hearing import Hearing
from edge_ser.audio.sound import SoundLimits, listen
from edge_ser.errors import AudioError, UsageError

RATE = 16_000
# of a sine, which is no speech
LIMITS = SoundLimits(min_speech=0)
SINE = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


def gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


@pytest.mark.parametrize("decibels", [-6, -20, -37, -41, -60])
def test_the_level_is_that_of_the_power(decibels: float) -> None:
    sound = listen(SINE * gain(decibels), RATE, LIMITS)
    assert sound.level_dbfs == pytest.approx(decibels - 3.01, abs=0.02)
    assert (sound.level_dbfs < -40) == any(w.startswith("too quiet") for w in sound.quality)
    assert (sound.clipped_share, sound.silent_share, sound.offset) == (0, 0, 0)


def test_an_offset_is_no_level() -> None:
    sound = listen(np.full(RATE, 0.3, np.float32), RATE, LIMITS)
    assert (sound.level_dbfs, sound.offset) == (-120, 0.3)
    assert sound.quality == (
        "too quiet: -120 dBFS of at least -40",
        "offset: +0.30 of full scale, of at most 0.1",
    )
    with_speech = listen(SINE * gain(-20) - np.float32(0.2), RATE, LIMITS)
    assert with_speech.level_dbfs == pytest.approx(-23.01, abs=0.02)
    assert with_speech.quality == ("offset: -0.20 of full scale, of at most 0.1",)


@pytest.mark.parametrize("sign", [1, -1])
def test_samples_at_full_scale_are_clipped(sign: int) -> None:
    x = 0.1 * SINE
    x[: RATE // 4] = sign
    sound = listen(x, RATE, replace(LIMITS, offset=1))
    assert sound.clipped_share == 0.25
    assert sound.quality == ("clipped: 25% at full scale, of at most 10%",)
    x[: RATE // 4] *= 0.98
    assert listen(x, RATE, LIMITS).clipped_share == 0


def test_digital_silence_is_a_share_of_the_time() -> None:
    x = SINE.copy()
    x[2000:6000] = 0
    sound = listen(x * gain(-20), RATE, LIMITS)
    # of 10 ms each, those that the silence fills
    assert sound.silent_share == pytest.approx(0.25, abs=0.011)
    assert sound.quality[0].startswith("interrupted: 2")
    rng = np.random.default_rng(0)
    hiss = (rng.integers(-1, 2, RATE) / 32768).astype(np.float32)
    assert listen(hiss, RATE, LIMITS).silent_share == 0, "one flickering bit is a microphone's"


@pytest.mark.parametrize("size", [1, 7, 399, 400])
def test_short_recordings_have_a_sound(size: int) -> None:
    sound = listen(SINE[1 : size + 1] * gain(-3), RATE, LIMITS)
    assert np.isfinite(sound[:4]).all()


def test_limits_are_the_models() -> None:
    x = SINE * gain(-44)
    assert listen(x, RATE, LIMITS).quality
    assert not listen(x, RATE, replace(LIMITS, quiet_dbfs=-50)).quality


# Channels


def test_a_channel_is_chosen_by_name_or_number() -> None:
    audio = np.stack([SINE, 0.5 * SINE, np.zeros_like(SINE)], 1)
    for channel, index in (("left", 0), ("right", 1), (1, 0), (3, 2)):
        np.testing.assert_array_equal(choose_channel(audio, channel, "x"), audio[:, index])
    np.testing.assert_allclose(choose_channel(audio, "mean", "x"), 0.5 * SINE, atol=1e-6)
    with pytest.raises(AudioError, match=r"x: expected channel 4, found 3 of them, from 1 on"):
        choose_channel(audio, 4, "x")
    with pytest.raises(AudioError, match="expected channel right, found 1 of them"):
        decode_array(SINE, RATE, RATE, channel="right")


@pytest.mark.parametrize("dither", [0, 1e-5, 1e-3])
def test_channels_that_cancel_are_refused_with_the_remedy(dither: float) -> None:
    noise = dither * np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    pair = np.stack([0.1 * SINE, -0.1 * SINE], 1) + noise
    with pytest.raises(AudioError, match=r"found 2 that cancel one another.*--channel left"):
        decode_array(pair, RATE, RATE)
    np.testing.assert_array_equal(decode_array(pair, RATE, RATE, channel="left"), pair[:, 0])


def test_channels_that_differ_do_not_cancel() -> None:
    rng = np.random.default_rng(0)
    apart = (0.1 * rng.standard_normal((RATE, 2))).astype(np.float32)
    assert decode_array(apart, RATE, RATE).shape == (RATE,)
    one_dead = np.stack([0.1 * SINE, 0 * SINE], 1)
    np.testing.assert_allclose(decode_array(one_dead, RATE, RATE), 0.05 * SINE, atol=1e-7)
    assert not decode_array(np.zeros((RATE, 2), np.float32), RATE, RATE).any()


def test_wide_integers_that_hold_narrow_samples_are_told() -> None:
    narrow = np.round(20_000 * SINE).astype(np.int16)
    with pytest.raises(AudioError, match=r"found a peak of 20000, as int16 has; give samples\.ast"):
        decode_array(narrow.astype(np.int32), RATE, RATE)
    wide = narrow.astype(np.int32) << 16
    np.testing.assert_array_equal(decode_array(wide, RATE, RATE), decode_array(narrow, RATE, RATE))


@pytest.mark.parametrize("channel", [0, -1, True, 1.5, "centre", None])
def test_no_such_channel_is_no_hearing(channel: object) -> None:
    with pytest.raises(UsageError, match="channel: expected mean, left, right or a number from 1"):
        Hearing(channel=channel)  # type: ignore[arg-type]


def test_what_to_do_is_warn_or_refuse() -> None:
    with pytest.raises(UsageError, match="on_poor: expected warn or refuse, found 'ignore'"):
        Hearing(on_poor="ignore")  # type: ignore[arg-type]
