"""Where archives lie: folders of this machine, and what PyArrow reaches by an address."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from edge_ser.errors import MissingPathError
from edge_ser.libraries import import_library

_FEATURE = "archives"
_EXTRA = "ray"


def import_pyarrow(module: str = "pyarrow") -> Any:
    """PyArrow, or one of its modules.

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it is, and does not load.
    """
    return import_library(module, _FEATURE, _EXTRA)


class Place(NamedTuple):
    """A file or folder, and the file system that it is on.

    Attributes:
        files: PyArrow's file system.
        path: on it.
        prefix: what makes an address of such a path; "" on this machine.
    """

    files: Any
    path: str
    prefix: str

    @property
    def is_local(self) -> bool:
        """Whether programs of this machine can open it by its path."""
        return not self.prefix


def find_place(address: str | Path) -> Place:
    """The file system of a path, or of an address such as `s3://bucket/folder`.

    Raises:
        MissingPathError: no such kind of address, or nobody answers there.
    """
    fs = import_pyarrow("pyarrow.fs")
    text = str(address)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Place(fs.LocalFileSystem(), Path(text).absolute().as_posix(), "")
    try:
        files, path = fs.FileSystem.from_uri(text)
    except (OSError, ValueError) as error:
        raise MissingPathError(
            text, expected="a path, or an address that PyArrow reaches", found=_first_line(error)
        ) from error
    if isinstance(files, fs.LocalFileSystem):
        return Place(files, path, "")
    return Place(files, path, f"{scheme}://")


def read_bytes(place: Place, max_bytes: int) -> bytes:
    """The content of a file.

    Args:
        place: of it.
        max_bytes: that are read.

    Raises:
        OSError: it cannot be read, or is larger.
    """
    with place.files.open_input_stream(place.path) as stream:
        data = bytes(stream.read(max_bytes + 1))
    if len(data) > max_bytes:
        raise OSError(f"more than {max_bytes >> 20} MiB")
    return data


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
