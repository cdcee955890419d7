"""Blocks of one signal to mono: what is refused does not depend on the blocks."""

import numpy as np
import pytest
from helpers.signals import make_noise

from edge_ser.audio import choose_channel, decode_array
from edge_ser.audio.mixing import BlockMixer
from edge_ser.errors import AudioError

RATE = 16_000


def mixed(signal: np.ndarray, size: int, channel: str | int = "mean") -> np.ndarray:
    mixer = BlockMixer(channel)
    parts = (signal[start : start + size] for start in range(0, len(signal), size))
    return np.concatenate([mixer.push(part, "samples") for part in parts])


@pytest.mark.parametrize("size", [1, 160, 5000, 1 << 20])
@pytest.mark.parametrize("channel", ["mean", "right", 3])
def test_blocks_are_mixed_as_the_whole(size: int, channel: str | int) -> None:
    signal = make_noise(0.4, RATE, 3)
    expected = choose_channel(signal, channel, "samples")
    np.testing.assert_array_equal(mixed(signal, size, channel), expected)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_types_are_those_of_recordings(dtype: type) -> None:
    scale = 1 if dtype is np.float64 else np.iinfo(dtype).max
    signal = (make_noise(2, RATE) * scale).astype(dtype)
    np.testing.assert_array_equal(mixed(signal, 777), decode_array(signal, RATE, RATE))


def test_a_frame_in_which_the_channels_cancel_is_heard() -> None:
    signal = make_noise(1, RATE, 2)
    signal[500] = [0.3, -0.3]
    assert mixed(signal, 1)[500] == 0.0


@pytest.mark.parametrize("size", [1, 441, 1 << 20])
def test_channels_that_cancel_are_refused(size: int) -> None:
    one = make_noise(0.5, RATE)
    inverted = np.stack([one, -one], axis=1)
    with pytest.raises(AudioError, match="2 that cancel one another, as one is inverted"):
        mixed(inverted, size)
    assert mixed(inverted, size, "left").size == one.size


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_integers_narrower_than_their_type_are_refused(size: int) -> None:
    narrow = (make_noise(2, RATE) * 32767).astype(np.int32)
    with pytest.raises(AudioError, match=r"a peak of \d+, as int16 has"):
        mixed(narrow, size)


def test_a_quiet_block_of_wide_integers_is_heard() -> None:
    wide = (make_noise(2, RATE) * (2**31 - 1)).astype(np.int32)
    wide[:800] = 200  # the noise of a converter, before anybody speaks
    assert mixed(wide, 160).size == wide.size


def test_a_refused_block_changes_nothing() -> None:
    mixer = BlockMixer("mean")
    good = make_noise(0.1, RATE, 2)
    mixer.push(good, "samples")
    bad = good.copy()
    bad[7, 1] = np.nan
    with pytest.raises(AudioError, match="expected finite samples, found 1 NaN or infinite of"):
        mixer.push(bad, "samples")
    with pytest.raises(AudioError, match="expected 2 channels, as before, found 1"):
        mixer.push(good[:, 0], "samples")
    with pytest.raises(AudioError, match="found a peak of 16000"):
        mixer.push(good * 0 + 16_000, "samples")
    with pytest.raises(AudioError, match="found dtype uint8"):
        mixer.push(np.zeros(4, np.uint8), "samples")
    with pytest.raises(AudioError, match=r"found shape \[2, 2, 2\]"):
        mixer.push(np.zeros((2, 2, 2)), "samples")
    with pytest.raises(AudioError, match=r"found shape \[5, 0\]"):
        mixer.push(np.zeros((5, 0)), "samples")
    np.testing.assert_array_equal(mixer.push(good, "samples"), good.mean(axis=1))


def test_no_samples_are_no_fault() -> None:
    assert BlockMixer("mean").push(np.zeros((0, 2), np.float32), "samples").size == 0
