"""How large what a checkpoint says of itself may be: checked before anything is built by it.

A number in a file of a kilobyte can ask for more memory and time than any machine has. Each bound
is far above what published models have, and what is within them all is built in seconds, without
memory for weights, to be compared with the tensors that are there.
"""

from __future__ import annotations

import reprlib
from typing import NamedTuple

from edge_ser.errors import CheckpointError


class Bound(NamedTuple):
    """The largest number, and what published models have at most, in words."""

    largest: int
    reason: str


# Whole numbers by the name of their field; of lists, each entry.
SIZES = {
    "hidden_size": Bound(16_384, "published encoders are up to 1920 wide"),
    "num_hidden_layers": Bound(256, "published encoders have up to 48"),
    "num_attention_heads": Bound(1024, "published encoders have up to 16"),
    "intermediate_size": Bound(65_536, "published encoders have up to 7680"),
    "conv_dim": Bound(16_384, "published encoders have 512"),
    "conv_kernel": Bound(4096, "published encoders have up to 10"),
    "conv_stride": Bound(4096, "published encoders have up to 5"),
    "num_conv_pos_embeddings": Bound(16_384, "published encoders have 128"),
    "num_conv_pos_embedding_groups": Bound(16_384, "published encoders have 16"),
    "num_buckets": Bound(65_536, "published encoders have 320"),
    "max_bucket_distance": Bound(1_048_576, "published encoders have 800"),
    "mel_bands": Bound(257, "a spectrum of 512 samples has 257 bins"),
    "pooling_dim": Bound(16_384, "published models have 1024"),
    "pooling_heads": Bound(1024, "published models have 2"),
    "head_dim": Bound(16_384, "published models have 1024"),
    "head_layers": Bound(64, "published models have one"),
    "region_count": Bound(4096, "published models have up to 73"),
    "azimuth_step_degrees": Bound(360, "a circle has 360 degrees"),
    "polar_step_degrees": Bound(180, "half a circle has 180 degrees"),
}
CONVOLUTIONS = Bound(64, "published encoders have 7 to 13")
CATEGORIES = Bound(1024, "published models tell up to 28 categories apart")
FIELD_SAMPLES = Bound(12 * 16_000, "one frame sees no more than the 12 s that models are given")
JSON_BYTES = Bound(16 << 20, "an index of shards takes about 100 kB")
# Two pickled numbers.
STATISTICS_BYTES = Bound(4096, "two pickled floats take about a hundred bytes")
# What a PyTorch file's pickle describes: of tuples that share parts, each part counts each time.
PICKLE_BYTES = Bound(64 << 20, "names and shapes of a thousand tensors take about 100 kB")
TUPLE_PARTS = Bound(100_000, "a shape has up to ten numbers")
HASHED_PARTS = Bound(10_000_000, "a key is a text, and a thousand tensors have as many")
# Bytes of tensors for one byte of their file: some are stored once under two names.
SHARED_TENSORS = Bound(2, "a file has a byte for each byte of a tensor, but for tied weights")


def check_size(name: str, value: int, source: object) -> None:
    """Refuse what is larger than `SIZES` admits.

    Raises:
        CheckpointError: it is.
    """
    check_bound(name, value, SIZES[name], source)


def check_bound(name: str, value: int, bound: Bound, source: object) -> None:
    """Refuse a number above a bound.

    Raises:
        CheckpointError: it is.
    """
    if value > bound.largest:
        raise CheckpointError(
            source, expected=f"{name} up to {bound.largest} ({bound.reason})", found=shown(value)
        )


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxtuple, self.maxlist, self.maxdict = 3, 12, 12, 12
        self.maxstring = self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write what has thousands of digits
        return repr(x) if x.bit_length() < 256 else f"an integer of {x.bit_length()} bits"


def shown(value: object, width: int = 60) -> str:
    """A foreign value in an error, whatever its size, depth and shared parts."""
    return f"{_Short().repr(value):.{width}}"
