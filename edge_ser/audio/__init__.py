"""Arrays, files and pipes -> the samples that a model takes, and what they sound like."""

from edge_ser.audio.channels import Channel, choose_channel, mix_to_mono
from edge_ser.audio.samples import (
    LOOKAHEAD_SECONDS,
    Preprocessing,
    Samples,
    check_rate,
    decode_array,
    finish,
    from_int16,
    resample,
    to_int16,
)

__all__ = [
    "LOOKAHEAD_SECONDS",
    "Channel",
    "Preprocessing",
    "Samples",
    "check_rate",
    "choose_channel",
    "decode_array",
    "finish",
    "from_int16",
    "mix_to_mono",
    "resample",
    "to_int16",
]
