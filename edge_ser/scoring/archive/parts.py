"""An archive as parts, each of which is answered by one worker into one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Literal

from edge_ser.audio.kinds import AUDIO_SUFFIXES
from edge_ser.errors import MissingPathError, UsageError
from edge_ser.scoring.archive.places import Place, find_place, import_pyarrow

# Kinds of shards: files that hold many recordings.
_SHARDS: dict[str, Literal["parquet", "tar"]] = {".parquet": "parquet", ".tar": "tar"}
_HASH_BYTES = 8


@dataclass(frozen=True)
class Part:
    """Recordings that are answered together.

    Attributes:
        kind: "files" of audio, or a shard: "parquet" or "tar" (WebDataset).
        paths: of the files, or of the one shard; addresses where they are not of this machine.
    """

    kind: Literal["files", "parquet", "tar"]
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """The same for the same recordings, whatever else is in the archive."""
        digest = hashlib.blake2b("\n".join(self.paths).encode(errors="surrogateescape"))
        return f"{'files' if self.kind == 'files' else 'shard'}-{digest.hexdigest()[:16]}"

    def to_json(self) -> str:
        """As a worker is sent it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Part:
        """The reverse."""
        data = json.loads(text)
        return cls(data["kind"], tuple(data["paths"]))


def path_hash(path: str) -> int:
    """64 bits that stand for a path, so that those of 100 million files are 800 MB."""
    digest = hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=_HASH_BYTES)
    return int.from_bytes(digest.digest(), "little")


@dataclass(frozen=True)
class Archive:
    """What a job is about.

    Attributes:
        files: of audio.
        shards: that hold recordings.
    """

    files: tuple[str, ...]
    shards: tuple[str, ...]


def find_archive(sources: Sequence[str], out: Place) -> Archive:
    """Audio files and shards of some paths and folders.

    Args:
        sources: paths, or addresses.
        out: where answers are written, which is no part of the archive.

    Raises:
        MissingPathError: nothing is there.
        UsageError: no audio in it, or `out` is one of the sources.
    """
    files: list[str] = []
    shards: list[str] = []
    for source in sources:
        place = find_place(source)
        if (place.prefix, place.path.rstrip("/")) == (out.prefix, out.path.rstrip("/")):
            raise UsageError(source, expected="another folder than for the answers", found="both")
        before = len(files) + len(shards)
        for path in _listed(place, source):
            suffix = PurePosixPath(path).suffix.lower()
            if place.prefix == out.prefix and path.startswith(f"{out.path.rstrip('/')}/"):
                continue
            if suffix in _SHARDS:
                shards.append(place.prefix + path)
            elif suffix in AUDIO_SUFFIXES:
                files.append(place.prefix + path)
        if len(files) + len(shards) == before:
            raise UsageError(
                source, expected="audio files, Parquet or .tar shards of them", found="none in it"
            )
    return Archive(tuple(sorted(set(files))), tuple(sorted(set(shards))))


def _listed(place: Place, source: str) -> Iterator[str]:
    """Files at a place, below it where it is a folder.

    Raises:
        MissingPathError: nothing is there, or it cannot be looked into.
    """
    fs = import_pyarrow("pyarrow.fs")
    try:
        (info,) = place.files.get_file_info([place.path])
        if info.type == fs.FileType.File:
            yield place.path
            return
        if info.type == fs.FileType.NotFound:
            raise MissingPathError(
                source, expected="a folder, audio files or shards of them", found="nothing there"
            )
        for entry in place.files.get_file_info(fs.FileSelector(place.path, recursive=True)):
            if entry.type == fs.FileType.File:
                yield entry.path
    except OSError as error:
        if isinstance(error, MissingPathError):
            raise
        reason = str(error).splitlines()[0]
        raise MissingPathError(
            source, expected="a folder that can be looked into", found=reason
        ) from error


def cut_parts(archive: Archive, part_files: int) -> list[Part]:
    """Parts of an archive: so many files each, and each shard for itself."""
    files = archive.files
    parts = [Part("files", files[i : i + part_files]) for i in range(0, len(files), part_files)]
    kinds = ((_SHARDS[PurePosixPath(path).suffix.lower()], path) for path in archive.shards)
    return parts + [Part(kind, (path,)) for kind, path in kinds]
