"""Resampling of a stream gives the samples of the whole, whatever the blocks and the rates."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.audio import resample
from edge_ser.audio.resampling import resample_blocks

RATES = [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 7919]


@given(
    st.sampled_from(RATES),
    st.sampled_from([8000, 16_000]),
    st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    st.integers(0, 1000),
)
def test_blocks_are_resampled_as_the_whole(
    rate: int, sample_rate: int, sizes: list[int], seed: int
) -> None:
    noise = np.random.default_rng(seed).standard_normal(sum(sizes)).astype(np.float32) / 10
    blocks = np.split(noise, np.cumsum(sizes)[:-1])
    parts = list(resample_blocks(blocks, rate, sample_rate))
    assert all(part.size for part in parts)
    streamed = np.concatenate([np.zeros(0, np.float32), *parts])
    np.testing.assert_array_equal(streamed, resample(noise, rate, sample_rate))
