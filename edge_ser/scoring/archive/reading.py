"""The recordings of a part, in batches: files, rows of Parquet, members of a .tar."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from edge_ser.audio.kinds import AUDIO_SUFFIXES
from edge_ser.scoring.archive.parts import Part
from edge_ser.scoring.archive.places import Place, find_place, import_pyarrow, read_bytes

# Of one recording: ten hours of CD quality in stereo are six times this.
_MOST_BYTES = 1 << 30
# A network that answers again after this is no lost recording.
_TRIES, _PAUSE_SECONDS = 3, 1.0
_BYTES_COLUMNS = ("bytes", "audio", "content", "wav", "flac", "mp3")
_NAME_COLUMNS = ("path", "file", "file_name", "filename", "FileName", "id", "__key__")


class Item(NamedTuple):
    """One recording.

    Attributes:
        path: what it is called.
        source: a file of this machine, or the bytes of one; None where it cannot be had.
        error: why; "" where it can.
    """

    path: str
    source: str | bytes | None
    error: str = ""


def items_of(part: Part) -> Iterator[Item]:
    """The recordings of a part; what cannot be read is told as an item."""
    if part.kind == "files":
        yield from map(_file_item, part.paths)
        return
    address = part.paths[0]
    try:
        place = find_place(address)
        yield from _rows(place, address) if part.kind == "parquet" else _members(place, address)
    except (OSError, ValueError, tarfile.TarError) as error:
        # what came before the damage is answered already
        yield Item(address, None, f"the rest of this shard cannot be read: {_words(error)}")


def _file_item(address: str) -> Item:
    place = find_place(address)
    if place.is_local:
        return Item(address, place.path)
    for tries_left in reversed(range(_TRIES)):
        try:
            return Item(address, read_bytes(place, _MOST_BYTES))
        except FileNotFoundError:
            return Item(address, None, "expected a file, found nothing there any more")
        except OSError as error:
            if not tries_left:
                return Item(address, None, f"cannot be read: {_words(error)}")
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns")


def _members(place: Place, address: str) -> Iterator[Item]:
    """Audio in a .tar, read in one pass."""
    with (
        place.files.open_input_stream(place.path) as stream,
        tarfile.open(fileobj=stream, mode="r|*") as archive,
    ):
        for member in archive:
            if not member.isfile() or (
                PurePosixPath(member.name).suffix.lower() not in AUDIO_SUFFIXES
            ):
                continue
            path = f"{address}/{member.name}"
            if member.size > _MOST_BYTES:
                yield Item(path, None, f"expected at most {_MOST_BYTES >> 20} MiB, found more")
                continue
            content = archive.extractfile(member)
            assert content is not None  # a file has one
            yield Item(path, content.read())


def _rows(place: Place, address: str) -> Iterator[Item]:
    """Recordings in a column of bytes; of Hugging Face's `audio`, which has both, too.

    Raises:
        ValueError: no such column.
    """
    parquet = import_pyarrow("pyarrow.parquet")
    with place.files.open_input_file(place.path) as file:
        shard = parquet.ParquetFile(file)
        names = shard.schema_arrow.names
        column = next((c for c in _BYTES_COLUMNS if c in names), None)
        if column is None:
            raise ValueError(f"expected a column of {', '.join(_BYTES_COLUMNS)}, found {names}")
        named = next((c for c in _NAME_COLUMNS if c in names), None)
        number = 0
        for batch in shard.iter_batches(batch_size=64, columns=[column, *filter(None, [named])]):
            for row in batch.to_pylist():
                yield _row_item(row, column, named, f"{address}/{number}", address)
                number += 1


def _row_item(
    row: dict[str, Any], column: str, named: str | None, numbered: str, address: str
) -> Item:
    content = row[column]
    name = row[named] if named is not None else None
    if isinstance(content, dict):  # Hugging Face's
        name = name or content.get("path")
        content = content.get("bytes")
    path = f"{address}/{name}" if name else numbered
    if not isinstance(content, bytes) or not content:
        return Item(path, None, "expected the bytes of a recording, found none")
    return Item(path, content)


def _words(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
