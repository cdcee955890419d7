"""Blocks of samples of one signal, of any kind and length -> mono blocks, at the signal's rate.

What is judged of a whole recording - that its channels cancel one another, that its integers are
narrower than their type - is judged here of stretches that do not depend on the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio.channels import Channel, pick_channel, refuse_cancelled
from edge_ser.audio.samples import Samples, as_frames, check_shape, check_values, refuse_narrow
from edge_ser.errors import AudioError

# As long as the blocks that files are read in: channels are judged alike.
_JUDGED_FRAMES = 1 << 12
# Of 32-bit integers so many frames say of how many bits they are.
_NARROW_FRAMES = 1 << 14


@dataclass(frozen=True)
class _Heard:
    """What is remembered of the blocks before.

    Attributes:
        frames: of the stretch so far.
        mixed: sum of squares of the mean of the channels in it.
        each: that of the channels, in the mean over them.
        integers: frames of 32-bit integers that were more than zeros.
        peak: of those integers.
        channels: of every block; 0 before the first.
    """

    frames: int = 0
    mixed: float = 0.0
    each: float = 0.0
    integers: int = 0
    peak: int = 0
    channels: int = 0


class BlockMixer:
    """One signal's blocks to mono; a block that is refused changes nothing.

    Args:
        channel: see `edge_ser.audio.choose_channel`.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._heard = _Heard()

    def push(self, block: NDArray[np.generic], subject: str) -> Samples:
        """Take a block.

        Args:
            block: `[n]` or `[n, channels]`, n from 0 on; floats in [-1, 1], or signed integers of
                full scale.
            subject: named in errors.

        Returns:
            `[n]` float32.

        Raises:
            AudioError: another shape or type, another number of channels than before, not finite,
                of another scale, no such channel, or channels that cancel one another.
        """
        check_shape(block, subject)
        frames = as_frames(block, subject)
        heard, count = self._heard, frames.shape[1]
        if heard.channels not in (0, count):
            raise AudioError(
                subject,
                expected=f"{heard.channels} channels, as before",
                found=str(count),
                advice="begin another stream",
            )
        heard = _judge_integers(replace(heard, channels=count), block, subject)
        with np.errstate(invalid="ignore"):
            mono = pick_channel(frames, self._channel, subject)
        check_values(mono, subject)
        if self._channel == "mean" and count > 1:
            heard = _judge_channels(heard, frames, mono, subject)
        self._heard = heard
        return mono


def _judge_integers(heard: _Heard, block: NDArray[np.generic], subject: str) -> _Heard:
    if block.dtype != np.int32 or heard.integers >= _NARROW_FRAMES or not block.any():
        return heard
    peak = max(heard.peak, abs(int(block.min())), abs(int(block.max())))
    integers = heard.integers + block.shape[0]
    if integers >= _NARROW_FRAMES:
        refuse_narrow(peak, subject)
    return replace(heard, peak=peak, integers=integers)


def _judge_channels(heard: _Heard, frames: Samples, mono: Samples, subject: str) -> _Heard:
    count, start = frames.shape[1], 0
    while start < mono.size:
        end = start + _JUDGED_FRAMES - heard.frames
        all_channels, mean = frames[start:end], mono[start:end]
        heard = replace(
            heard,
            frames=heard.frames + mean.size,
            mixed=heard.mixed + float(np.dot(mean, mean)),
            each=heard.each + float(np.vdot(all_channels, all_channels)) / count,
        )
        start = end
        if heard.frames == _JUDGED_FRAMES:
            refuse_cancelled(heard.mixed, heard.each, heard.frames, count, subject)
            heard = replace(heard, frames=0, mixed=0.0, each=0.0)
    return heard
