"""Resampling of a stream: the samples of the whole signal, whatever the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from edge_ser.audio.samples import Samples
from edge_ser.libraries import import_library


class BlockResampler:
    """As `edge_ser.audio.resample` of all blocks at once, to the bit, at constant memory.

    Args:
        rate: Hz of the blocks.
        sample_rate: Hz of the result.

    Raises:
        LibraryError: soxr does not load.
    """

    def __init__(self, rate: float, sample_rate: int) -> None:
        self._stream: Any = None
        if rate != sample_rate:
            soxr = import_library("soxr", "audio of another rate")
            self._stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")

    def push(self, block: Samples) -> Samples:
        """What can be told after one more block: `[n]` float32 -> `[m]`, m from 0 on."""
        if self._stream is None:
            return block
        part: Samples = self._stream.resample_chunk(np.ascontiguousarray(block))
        return part

    def last(self) -> Samples:
        """What is left when no block follows: `[m]`, m from 0 on."""
        nothing = np.zeros(0, np.float32)
        if self._stream is None:
            return nothing
        rest: Samples = self._stream.resample_chunk(nothing, last=True)
        return rest


def resample_blocks(blocks: Iterable[Samples], rate: float, sample_rate: int) -> Iterator[Samples]:
    """`BlockResampler` over blocks.

    Args:
        blocks: `[n]` float32 each.
        rate: Hz of them.
        sample_rate: Hz of the result.

    Yields:
        `[m]` float32, of any lengths but 0.

    Raises:
        LibraryError: soxr does not load.
    """
    resampler = BlockResampler(rate, sample_rate)
    parts = (resampler.push(block) for block in blocks)
    yield from (part for part in parts if part.size)
    rest = resampler.last()
    if rest.size:
        yield rest
