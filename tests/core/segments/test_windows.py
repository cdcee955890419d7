"""Where windows lie, whatever the blocks that the samples arrive in."""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pytest

from edge_ser.audio import Preprocessing
from edge_ser.errors import UsageError
from edge_ser.segments.windows import WindowRule, cut_windows, window_rule

RULES = Preprocessing()


def blocks(size: int, *lengths: int) -> Iterator[np.ndarray]:
    """The numbers below `size`, in blocks of these lengths in turn."""
    numbers, start = np.arange(size, dtype=np.float32), 0
    for length in cycle(lengths):
        if start >= size:
            return
        yield numbers[start : start + length]
        start += length


def spans(size: int, rule: WindowRule, *lengths: int) -> list[tuple[int, int]]:
    found = []
    for window in cut_windows(blocks(size, *(lengths or (size or 1,))), rule):
        end = window.start + window.samples.size
        np.testing.assert_array_equal(window.samples, np.arange(window.start, end))
        found.append((window.start, end))
    return found


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, [(0, 1)]),
        (9, [(0, 9)]),
        (10, [(0, 10)]),
        (11, [(0, 10)]),  # one sample more is less than the shortest input
        (12, [(0, 10)]),
        (13, [(0, 10), (3, 13)]),
        (20, [(0, 10), (10, 20)]),
        (29, [(0, 10), (10, 20), (19, 29)]),
    ],
)
def test_the_last_window_ends_with_the_audio(size: int, expected: list[tuple[int, int]]) -> None:
    assert spans(size, WindowRule(10, 10, 3)) == expected


def test_windows_that_overlap() -> None:
    rule = WindowRule(10, 4, 2)
    assert spans(18, rule) == [(0, 10), (4, 14), (8, 18)]
    assert spans(20, rule) == [(0, 10), (4, 14), (8, 18), (10, 20)]
    assert spans(19, rule) == [(0, 10), (4, 14), (8, 18)]


@pytest.mark.parametrize("lengths", [(1,), (3,), (1, 17, 2), (1000,)])
@pytest.mark.parametrize("size", [7, 57, 100, 101, 115])
@pytest.mark.parametrize("rule", [WindowRule(10, 10, 1), WindowRule(25, 10, 5)])
def test_blocks_change_nothing(rule: WindowRule, size: int, lengths: tuple[int, ...]) -> None:
    assert spans(size, rule, *lengths) == spans(size, rule)


def test_every_sample_is_in_a_window_but_for_an_end_that_is_too_short() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        window = int(rng.integers(2, 30))
        rule = WindowRule(window, int(rng.integers(1, window + 1)), int(rng.integers(1, window)))
        size = int(rng.integers(1, 200))
        heard = {i for start, end in spans(size, rule, 7) for i in range(start, end)}
        missing = set(range(size)) - heard
        assert len(missing) < rule.shortest
        assert missing == set(range(size - len(missing), size))


def test_seconds_become_samples() -> None:
    assert window_rule(5, None, RULES) == WindowRule(80_000, 80_000, 400)
    assert window_rule(2.5, 0.5, RULES) == WindowRule(40_000, 8_000, 400)


@pytest.mark.parametrize("seconds", [0, -1, 0.02, 12.1, float("nan"), float("inf")])
def test_windows_that_the_model_does_not_take_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"window: expected 0\.025 to 12 s, which the model takes"):
        window_rule(seconds, None, RULES)


@pytest.mark.parametrize("seconds", [0, -1, 5.1, float("nan"), 1e-9])
def test_a_hop_that_leaves_audio_out_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="hop: expected more than 0 and at most the window, 5 s"):
        window_rule(5, seconds, RULES)


def test_the_last_window_counts_by_what_it_adds() -> None:
    counted = [w.counted for w in cut_windows(blocks(29, 29), WindowRule(10, 10, 3))]
    assert counted == [10, 10, 9]
    overlapping = [w.counted for w in cut_windows(blocks(20, 20), WindowRule(10, 4, 1))]
    assert overlapping == [10, 10, 10, 5]
