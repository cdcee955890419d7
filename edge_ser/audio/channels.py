"""Which of several channels is heard."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import AudioError

Channel = Literal["mean", "left", "right"] | int

# A mean of channels with so little of their power, which is some, is what is left of cancelling.
_CANCELLED, _AUDIBLE = 0.003, 1e-9

_Samples = NDArray[np.float32]


def choose_channel(audio: _Samples, channel: Channel, subject: object) -> _Samples:
    """One channel of several, or their mean: `[n, channels]` -> `[n]`.

    Args:
        audio: all channels.
        channel: "mean", "left", "right", or a number from 1 on.
        subject: named in errors.

    Raises:
        AudioError: no such channel, or a mean in which the channels cancel one another.
    """
    mono = pick_channel(audio, channel, subject)
    count = audio.shape[1]
    if channel == "mean" and count > 1:
        each, mixed = float(np.vdot(audio, audio)) / count, float(np.dot(mono, mono))
        refuse_cancelled(mixed, each, mono.size, count, subject)
    return mono


def pick_channel(audio: _Samples, channel: Channel, subject: object) -> _Samples:
    """As `choose_channel`, also where the channels cancel one another.

    Raises:
        AudioError: no such channel.
    """
    if channel == "mean":
        return mix_to_mono(audio)
    count = audio.shape[1]
    number = {"left": 1, "right": 2}.get(str(channel), channel)
    if not isinstance(number, int) or not 1 <= number <= count:
        raise AudioError(
            subject, expected=f"channel {channel}", found=f"{count} of them, from 1 on"
        )
    return audio[:, number - 1]


def refuse_cancelled(mixed: float, each: float, frames: int, count: int, subject: object) -> None:
    """Refuse channels of whose power next to nothing is left in their mean.

    Args:
        mixed: sum of the squares of the mean.
        each: that of the channels, in the mean over them.
        frames: in either.
        count: of channels.
        subject: named in errors.

    Raises:
        AudioError: they cancel one another.
    """
    if mixed < _CANCELLED * each and each > _AUDIBLE * frames:
        raise AudioError(
            subject,
            expected="channels whose mean is heard",
            found=f"{count} that cancel one another, as one is inverted",
            advice="choose one: --channel left, or edge_ser.load(channel='left')",
        )


def mix_to_mono(audio: _Samples) -> _Samples:
    """Mean of the channels: `[n, channels]` -> `[n]`."""
    return audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1, dtype=np.float32)
