"""Audio from what cannot be rewound: pipes, sockets, devices, responses of servers.

libsndfile wants to seek, and such a source may never end. So its beginning is kept in memory, twice
as much of it each time, until that holds what is wanted.
"""

from __future__ import annotations

import io
from typing import Any

from edge_ser.errors import AudioError, UsageError

# 12 s of mono speech at 40 kHz: most is read in one go.
_FIRST_BYTES = 1 << 20
# No header is longer, with all the pictures of music files; what is no audio is read so far.
_MAX_HEADER_BYTES = 32 << 20
# 12 s of eight channels at 192 kHz take a quarter of this.
_MAX_BYTES = 256 << 20


def check_stream(stream: Any, subject: object) -> None:
    """Refuse what `read` does not give bytes of.

    Raises:
        UsageError: a stream of text, or a closed one.
    """
    try:
        nothing = stream.read(0)
    except ValueError as error:
        raise UsageError(
            subject, expected="an open stream", found=str(error).rstrip("."), advice="open it again"
        ) from error
    if isinstance(nothing, str):
        raise UsageError(
            subject,
            expected="a binary stream",
            found="one of text",
            advice="open it with mode 'rb', or give its .buffer",
        )


def empty_stream(subject: object) -> AudioError:
    """What is said of a stream that ends before it begins."""
    return AudioError(
        subject,
        expected="audio",
        found="an empty stream",
        advice="send it a file, such as: edge-ser predict - < speech.wav",
    )


def is_seekable(stream: Any) -> bool:
    """Whether a stream can be rewound; what does not say so is tried."""
    try:
        if hasattr(stream, "seekable"):
            return bool(stream.seekable())
        stream.seek(0, io.SEEK_CUR)
    except (OSError, AttributeError, TypeError):
        return False
    return True


class Beginning:
    """The first bytes of a stream, in memory.

    Args:
        stream: `read(n)` gives bytes.
        subject: named in errors.

    Attributes:
        is_whole: whether the stream ended with them.
    """

    def __init__(self, stream: Any, subject: object) -> None:
        self._stream, self._subject = stream, subject
        self._data = bytearray()
        self.is_whole = False

    def grow(self) -> None:
        """Read as much again as there is.

        Raises:
            AudioError: the stream fails, or has nothing now and does not wait.
        """
        self._read_up_to(max(_FIRST_BYTES, 2 * len(self._data)))

    def read_all(self) -> None:
        """Read to the end, however far that is."""
        while not self.is_whole:
            self.grow()

    @property
    def may_hold_header(self) -> bool:
        """Whether what is no audio so far may turn out to be some."""
        return not self.is_whole and len(self._data) < _MAX_HEADER_BYTES

    @property
    def may_grow(self) -> bool:
        """Whether there is more, and room for it."""
        return not self.is_whole and len(self._data) < _MAX_BYTES

    def open(self) -> io.BytesIO:
        """What was read so far, from its start."""
        return io.BytesIO(self._data)

    def _read_up_to(self, size: int) -> None:
        while len(self._data) < size and not self.is_whole:
            try:
                block = self._stream.read(min(_FIRST_BYTES, size - len(self._data)))
            except OSError as error:
                raise AudioError(
                    self._subject,
                    expected="a stream that can be read",
                    found=str(error.strerror or error),
                ) from error
            if block is None:
                raise AudioError(
                    self._subject,
                    expected="a stream that waits for its data",
                    found="one that has nothing now",
                    advice="make it blocking",
                )
            self._data += block
            self.is_whole = not block
        if not self._data:
            raise empty_stream(self._subject)
