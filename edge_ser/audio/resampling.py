"""Resampling of a stream: the samples of the whole signal, whatever the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from edge_ser.audio.samples import Samples
from edge_ser.libraries import import_library


def resample_blocks(blocks: Iterable[Samples], rate: float, sample_rate: int) -> Iterator[Samples]:
    """As `edge_ser.audio.resample` of all blocks at once, to the bit, at constant memory.

    Args:
        blocks: `[n]` float32 each.
        rate: Hz of them.
        sample_rate: Hz of the result.

    Yields:
        `[m]` float32, of any lengths but 0.

    Raises:
        LibraryError: soxr does not load.
    """
    if rate == sample_rate:
        yield from (block for block in blocks if block.size)
        return
    soxr = import_library("soxr", "audio of another rate")
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        part = stream.resample_chunk(np.ascontiguousarray(block))
        if part.size:
            yield part
    rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    if rest.size:
        yield rest
