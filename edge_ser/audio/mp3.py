"""MP3: what the file says of its own length, and its frames as far as they tell where it ends."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

_HEAD_BYTES, _TAIL_BYTES = 1 << 12, 1 << 14
# kbit/s of layer III by the header's index: of MPEG 1, and of MPEG 2 and 2.5.
_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = (44_100, 48_000, 32_000)  # Hz of MPEG 1
_MPEG_1, _MPEG_2, _MPEG_25 = 3, 2, 0
# So many headers, each where the one before says, are no accident.
_SURE = 3


class Told(NamedTuple):
    """What the first frame of a file says in place of samples.

    Attributes:
        size: of all frames in bytes.
        place: of that number in the file, four bytes, the most significant first.
        begin: place of the frame.
        frame_bytes: of a frame, in the mean.
    """

    size: int
    place: int
    begin: int
    frame_bytes: int


def told_length(stream: BinaryIO, start: int) -> Told | None:
    """The length that an encoder wrote into the first frame of an MP3 file; None: it did not.

    Args:
        stream: that can be rewound; it is moved.
        start: where the file begins in it.
    """
    begin = _after_id3(stream, start)
    stream.seek(start + begin)
    head = stream.read(_HEAD_BYTES)
    if _frame_bytes(head, 0) is None:
        return None
    mono, version = head[3] >> 6 == 3, head[1] >> 3 & 3
    side = (17 if mono else 32) if version == _MPEG_1 else (9 if mono else 17)
    tag = 4 + side
    if head[tag : tag + 4] in (b"Xing", b"Info") and len(head) >= tag + 16:
        (flags,) = struct.unpack_from(">I", head, tag + 4)
        if flags & 3 != 3:  # frames and bytes
            return None
        frames, count = struct.unpack_from(">II", head, tag + 8)
        return Told(count, begin + tag + 12, begin, count // max(1, frames))
    if head[36:40] == b"VBRI" and len(head) >= 54:
        count, frames = struct.unpack_from(">II", head, 36 + 10)
        return Told(count, begin + 46, begin, count // max(1, frames))
    return None


def ends_in_frame(stream: BinaryIO, start: int, size: int) -> bool:
    """Whether an MP3 file ends before its last frame does; never of other files.

    Args:
        stream: that can be rewound; it is moved.
        start: where the file begins in it.
        size: of the file in bytes.
    """
    stream.seek(start + _after_id3(stream, start))
    if _frame_bytes(stream.read(4), 0) is None:
        return False
    stream.seek(start + max(0, size - _TAIL_BYTES))
    return _is_cut(stream.read(_TAIL_BYTES))


def _after_id3(stream: BinaryIO, start: int) -> int:
    """Where the frames begin, behind a tag."""
    stream.seek(start)
    head = stream.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    length = sum(
        (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
    )
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _frame_bytes(data: bytes, place: int) -> int | None:
    """Length of the frame of layer III that begins there; None: none does."""
    if len(data) < place + 4 or data[place] != 0xFF or data[place + 1] & 0xE6 != 0xE2:
        return None
    version = data[place + 1] >> 3 & 3
    bits, rate = data[place + 2] >> 4, data[place + 2] >> 2 & 3
    if version not in (_MPEG_1, _MPEG_2, _MPEG_25) or rate == 3 or bits in (0, 15):
        return None
    hertz = _RATES[rate] // {_MPEG_1: 1, _MPEG_2: 2, _MPEG_25: 4}[version]
    kbits = _KBITS[version != _MPEG_1][bits]
    padding = data[place + 2] >> 1 & 1
    return (144 if version == _MPEG_1 else 72) * kbits * 1000 // hertz + padding


def _is_cut(tail: bytes) -> bool:
    """Whether the end of a file is inside a frame."""
    for first in range(len(tail)):
        place, count = first, 0
        while (length := _frame_bytes(tail, place)) is not None:
            count += 1
            if place + length > len(tail):
                return count > _SURE
            place += length
        if count >= _SURE:
            rest = tail[place:]
            return 0 < len(rest) < 4 and rest[0] == 0xFF
    return False
