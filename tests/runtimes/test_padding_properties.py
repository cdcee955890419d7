"""The default model answers a row of any batch as it answers the row alone."""

import numpy as np
from helpers.signals import make_syllables
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_ser

RATE = 16_000


@settings(max_examples=max(5, settings().max_examples // 8))
@given(st.lists(st.integers(400, 3 * RATE), min_size=2, max_size=4), st.randoms())
def test_neither_padding_nor_the_order_of_a_batch_moves_an_answer(
    ser: edge_ser.Recognizer, sizes: list[int], chance: object
) -> None:
    speech = make_syllables(3, RATE)
    clips = [speech[:size] for size in sizes]
    prepared = [ser.prepare(clip, RATE) for clip in clips]
    together = ser.infer(prepared)
    order = list(range(len(sizes)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    shuffled = ser.infer([prepared[row] for row in order])
    for place, row in enumerate(order):
        alone = ser.infer([prepared[row]])
        np.testing.assert_allclose(together.vad[row], alone.vad[0], atol=1e-5)
        np.testing.assert_allclose(shuffled.vad[place], alone.vad[0], atol=1e-5)
