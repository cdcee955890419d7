"""Whether the end of an audio file is lost: a broken copy, a full disk, a dead battery.

Decoders stop at the end of such a file as at that of a whole one. What the file says of its own
length tells the two apart; one that never says it, as pipes and streams write, is taken as it is.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from edge_ser.audio.mp3 import ends_in_frame, told_length

# Headers of what is written to a pipe say all that the field holds, or nearly.
_STREAMED_BYTES = (1 << 31) - (1 << 16)
# Some recorders count their header as samples.
_MISCOUNTED_BYTES = 64
# Chunks before the samples; in a file of nonsense there is no end of them.
_MAX_CHUNKS = 256
# The longest page of Ogg, and some; and several of the longest frames of MP3.
_TAIL_BYTES = 1 << 17
_OGG_HEADER_BYTES, _OGG_LAST = 27, 0x04


class _Container(NamedTuple):
    """How a kind of file lists its parts.

    Attributes:
        starts: bytes at its start, and at a later place.
        first: place of the first chunk.
        header: name and length of a chunk, for `struct`.
        samples: name of the chunk with the samples, as far as it matters.
        counts_header: whether the length of a chunk includes the header's.
        align: chunks begin at multiples of it.
    """

    starts: tuple[tuple[int, bytes], ...]
    first: int
    header: str
    samples: bytes
    counts_header: bool = False
    align: int = 2


_CONTAINERS = (
    _Container(((0, b"RIFF"), (8, b"WAVE")), 12, "<4sI", b"data"),
    _Container(((0, b"RF64"), (8, b"WAVE")), 12, "<4sI", b"data"),
    _Container(((0, b"riff"),), 40, "<16sq", b"data", counts_header=True, align=8),
    _Container(((0, b"FORM"), (8, b"AIF")), 12, ">4sI", b"SSND"),
    _Container(((0, b"caff"),), 8, ">4sq", b"data", align=1),
)


def lost_end(stream: BinaryIO, start: int) -> str:
    """What says that the end of a file is lost; "" where nothing does.

    Args:
        stream: that can be rewound; where it stands does not matter, and it is moved.
        start: where the file begins in it.
    """
    size = stream.seek(0, io.SEEK_END) - start
    head = _at(stream, start, 64)
    for container in _CONTAINERS:
        if all(head.startswith(words, place) for place, words in container.starts):
            return _missing(*_samples_of(stream, start, size, container))
    if head[:4] == b".snd":
        offset, declared = struct.unpack_from(">II", head.ljust(12, b"\0"), 4)
        return _missing(declared, size - offset)
    if head[:4] == b"OggS":
        return _lost_page(_at(stream, start + max(0, size - _TAIL_BYTES), _TAIL_BYTES))
    told_mp3 = told_length(stream, start)
    if told_mp3 is not None and size - told_mp3.begin + told_mp3.frame_bytes <= told_mp3.size:
        return _missing_words(told_mp3.size, size - told_mp3.begin)
    return "its last frame is cut" if ends_in_frame(stream, start, size) else ""


def _missing_words(declared: int, there: int) -> str:
    return f"its header tells of {declared} bytes of audio, {there} are there"


def _at(stream: BinaryIO, place: int, count: int) -> bytes:
    stream.seek(place)
    return stream.read(count)


def _missing(declared: int, there: int) -> str:
    """Words for a file that says how long it is, and is shorter."""
    is_told = 0 < declared < _STREAMED_BYTES or declared > 1 << 32
    lost = there + _MISCOUNTED_BYTES < declared
    return _missing_words(declared, max(0, there)) if is_told and lost else ""


def _samples_of(stream: BinaryIO, start: int, size: int, container: _Container) -> tuple[int, int]:
    """How many bytes of samples a file says that it has, and how many it can have; 0 for unsaid."""
    declared = 0
    for name, place, length in _chunks(stream, start, size, container):
        if name == b"ds64":
            (declared,) = struct.unpack("<8xQ", _at(stream, start + place, 16).ljust(16, b"\0"))
        if name.startswith(container.samples):
            return (declared or length), size - place
    return 0, 0


def _chunks(
    stream: BinaryIO, start: int, size: int, container: _Container
) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and its length, of each chunk."""
    place, width = container.first, struct.calcsize(container.header)
    for _ in range(_MAX_CHUNKS):
        header = _at(stream, start + place, width)
        if len(header) < width:
            return
        name, length = struct.unpack(container.header, header)
        length -= width if container.counts_header else 0
        yield name, place + width, length
        if length < 0 or place > size:
            return
        place += width + length
        place += -place % container.align


def _lost_page(tail: bytes) -> str:
    """Of Ogg: whether the last page is cut, or is not the last one."""
    place = tail.rfind(b"OggS\0")
    if place < 0:
        return "its last page is not there"
    header = tail[place : place + _OGG_HEADER_BYTES]
    if len(header) == _OGG_HEADER_BYTES:
        count = header[-1]
        lengths = tail[place + _OGG_HEADER_BYTES :][:count]
        length = _OGG_HEADER_BYTES + count + sum(lengths)
        if len(lengths) == count and len(tail) - place >= length:
            return "" if header[5] & _OGG_LAST else "its last page is not there"
    return "its last page is cut"
