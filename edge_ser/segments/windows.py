"""Windows over samples that arrive block by block; how they are cut into blocks changes nothing.

The rule: windows begin at 0, hop, 2 hop, ...; the last one ends with the audio, and begins so much
earlier that it is as long as the others. Audio shorter than a window is one window. Less than the
model's shortest input after the last whole window is nothing that anybody said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from edge_ser.audio import Preprocessing, Samples
from edge_ser.errors import UsageError


class Window(NamedTuple):
    """A piece of a recording.

    Attributes:
        start: position of its first sample, at the model's rate.
        samples: `[n]` float32.
        counted: samples that it stands for in a mean: fewer than it has where most of them are in
            the window before.
        speaker: whose turn it is, where that is known.
    """

    start: int
    samples: Samples
    counted: float
    speaker: str = ""


class WindowRule(NamedTuple):
    """Where windows lie, in samples at the model's rate.

    Attributes:
        size: of a window.
        hop: from the start of one to that of the next.
        shortest: input of the model.
    """

    size: int
    hop: int
    shortest: int


def window_rule(window: float, hop: float | None, rules: Preprocessing) -> WindowRule:
    """Check lengths in seconds.

    Args:
        window: seconds of a window.
        hop: seconds from one start to the next; None: the window's, so that they do not overlap.
        rules: of the model.

    Raises:
        UsageError: a window that the model does not take, or a hop that leaves audio out.
    """
    rate = rules.sample_rate
    shortest = rules.min_samples / rate
    size = round(window * rate) if 0 < window <= rules.max_seconds else 0
    if not rules.min_samples <= size <= rules.max_samples:
        raise UsageError(
            "window",
            expected=f"{shortest:g} to {rules.max_seconds:g} s, which the model takes",
            found=f"{window:g} s",
        )
    step = window if hop is None else hop
    hop_size = round(step * rate) if 0 < step <= window else 0
    if hop_size < 1:
        raise UsageError(
            "hop",
            expected=f"more than 0 and at most the window, {window:g} s, so that nothing is left "
            "out",
            found=f"{step:g} s",
        )
    return WindowRule(size, hop_size, rules.min_samples)


class WindowCutter:
    """Cuts samples as they arrive; holds a window and a block of them in memory.

    Args:
        rule: where windows lie.
    """

    def __init__(self, rule: WindowRule) -> None:
        self._rule = rule
        self._parts: list[Samples] = []
        # positions: of the first sample kept, after the last, of the next window
        self._base = self._end = self._following = 0

    def push(self, block: Samples) -> list[Window]:
        """Take a block, `[n]` of any length, and give the windows that end in it, in order."""
        size = self._rule.size
        self._parts.append(block)
        self._end += block.size
        if self._end < self._following + size:
            return []
        kept = np.concatenate(self._parts)
        windows = []
        while self._following + size <= self._end:
            place = self._following - self._base
            windows.append(Window(self._following, kept[place : place + size], size))
            self._following += self._rule.hop
        # the last window may have to begin this early
        self._base = self._end - size
        self._parts = [kept[kept.size - size :]]
        return windows

    def last(self) -> list[Window]:
        """The window that ends with the audio, where that is none of those given."""
        rule = self._rule
        is_first = self._following == 0
        covered = 0 if is_first else self._following - rule.hop + rule.size
        if self._end - covered < (1 if is_first else rule.shortest):
            return []
        kept = np.concatenate(self._parts)[-rule.size :]
        added = 1.0 if is_first else min(1.0, (self._end - covered) / rule.hop)
        return [Window(self._end - kept.size, kept, kept.size * added)]


def cut_windows(blocks: Iterable[Samples], rule: WindowRule) -> Iterator[Window]:
    """Cut a stream of samples; holds a window and a block of it in memory.

    Args:
        blocks: `[n]` each, of any lengths.
        rule: where windows lie.

    Yields:
        windows in the order of their starts; none where there are no samples.
    """
    cutter = WindowCutter(rule)
    for block in blocks:
        yield from cutter.push(block)
    yield from cutter.last()
