"""Speech that is faster or slower, with its pitch or without."""

from __future__ import annotations

import numpy as np

from edge_ser.audio import Samples, resample

_FRAME_SECONDS, _SEARCH_SECONDS = 0.03, 0.008


def sped(samples: Samples, rate: int, percent: float) -> Samples:
    """As a tape at so many percent of its speed: pitch and tempo change together."""
    return resample(samples, rate * percent / 100, rate)


def paced(samples: Samples, rate: int, percent: float) -> Samples:
    """At so many percent of its tempo, with its pitch (WSOLA: Verhelst and Roelands 1993).

    Frames are laid half over each other at the new pace, each taken from where it goes on best
    after the one before it.
    """
    half = int(_FRAME_SECONDS * rate) // 2
    search = int(_SEARCH_SECONDS * rate)
    step = half * percent / 100
    count = int((samples.size - 2 * half) / step)
    if count < 1:
        return samples
    window = np.hanning(2 * half + 1)[:-1]
    padded = np.pad(samples.astype(np.float64), (search, 2 * half + search))
    out = np.zeros((count + 1) * half)
    following = padded[search : search + 2 * half]
    for index in range(count):
        place = int(index * step)  # of the earliest candidate in `padded`
        area = padded[place : place + 2 * (half + search)]
        offset = int(np.argmax(np.correlate(area, following))) if index else search
        frame = area[offset : offset + 2 * half]
        out[index * half : index * half + 2 * half] += window * frame
        begin = place + offset + half
        following = padded[begin : begin + 2 * half]
    return out.astype(np.float32)
