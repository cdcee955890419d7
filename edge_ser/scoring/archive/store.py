"""The folder of answers: a Parquet file for each part, there when it is complete and not before."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DataError, UsageError
from edge_ser.scoring.archive.columns import COLUMNS, TEXT, Batch
from edge_ser.scoring.archive.parts import Archive, Part, path_hash
from edge_ser.scoring.archive.places import Place, find_place, import_pyarrow, read_bytes

# Readers of folders of Parquet leave out what begins so.
_HIDDEN = "_"
_JOB = "_job.json"
_TEMPORARY, _NOTE = "_tmp-", "_attempt-"
_SUFFIX = ".parquet"
_MOST_JOB_BYTES = 1 << 20


class Store:
    """Answers in a folder.

    Args:
        address: path of the folder, or its address; made when a job begins.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.place: Place = find_place(address)

    # --- the job

    def begin(self, job: dict[str, Any]) -> None:
        """Say what the answers are of, or find that they are of the same.

        Args:
            job: what decides the answers, as JSON-ready data.

        Raises:
            UsageError: the folder holds answers of another bundle or other options, or something
                else.
        """
        names = self._names()
        if _JOB not in names:
            # a run that was killed as it began left no more than this
            others = [name for name in names if not name.startswith(f"{_TEMPORARY}{_JOB}-")]
            if others:
                raise UsageError(
                    self.address,
                    expected="a new folder, or one of answers",
                    found=f"a folder with {sorted(others)[0]}",
                    advice="choose another one",
                )
            self._delete_all(f"{_TEMPORARY}{_JOB}-")
            self.place.files.create_dir(self.place.path, recursive=True)
            self._write(_JOB, json.dumps(job, indent=1).encode())
            return
        earlier = self._job()
        differing = [k for k in {**earlier, **job} if earlier.get(k) != job.get(k)]
        if differing:
            raise UsageError(
                self.address,
                expected=f"answers of the same job, with {differing[0]} {job.get(differing[0])}",
                found=f"{earlier.get(differing[0])}",
                advice="choose another folder",
            )
        self._delete_all(_TEMPORARY)  # of a run that was killed

    def end(self) -> None:
        """Forget what workers noted: every part is complete."""
        self._delete_all(_NOTE)

    def _job(self) -> dict[str, Any]:
        try:
            job = json.loads(read_bytes(self._at(_JOB), _MOST_JOB_BYTES))
        except ValueError as error:
            raise DataError(
                f"{self.address}/{_JOB}", expected="JSON", found=str(error), advice="remove it"
            ) from error
        return job if isinstance(job, dict) else {}

    # --- what is done

    def remaining(self, archive: Archive) -> Archive:
        """What has no answers yet; parts that cannot be read are removed, and done again."""
        answered, shards = self._answered()
        hashes = np.array([path_hash(path) for path in archive.files], dtype=np.uint64)
        left = ~np.isin(hashes, answered)
        files = tuple(path for path, is_left in zip(archive.files, left, strict=True) if is_left)
        return Archive(
            files, tuple(p for p in archive.shards if Part("tar", (p,)).name not in shards)
        )

    def _answered(self) -> tuple[NDArray[np.uint64], set[str]]:
        """Hashes of the files that are answered, and names of the shards' parts."""
        arrow = import_pyarrow()
        parquet = import_pyarrow("pyarrow.parquet")
        hashes: list[NDArray[np.uint64]] = []
        shards = set()
        for name in self.part_names():
            try:
                with self.place.files.open_input_file(self._at(name + _SUFFIX).path) as file:
                    part = parquet.ParquetFile(file)
                    if name.startswith("shard-"):
                        shards.add(name)
                        continue
                    paths = part.read(columns=["path"]).column("path").unique().to_pylist()
                    hashes.append(np.array([path_hash(p) for p in paths], dtype=np.uint64))
            except arrow.ArrowInvalid:  # cut off by a crash of the machine
                self._delete(name + _SUFFIX)
        return np.concatenate([np.zeros(0, np.uint64), *hashes]), shards

    def part_names(self) -> list[str]:
        """Of the parts that are complete."""
        names = (n for n in self._names() if n.endswith(_SUFFIX) and not n.startswith(_HIDDEN))
        return sorted(name.removesuffix(_SUFFIX) for name in names)

    # --- one part

    @contextmanager
    def writer(self, part: Part) -> Iterator[PartWriter]:
        """Where the rows of a part go; the file appears when the block ends well.

        Raises:
            OSError: it cannot be written.
        """
        self._delete_all(f"{_TEMPORARY}{part.name}-")  # of a worker that was killed
        name = f"{_TEMPORARY}{part.name}-{uuid.uuid4().hex}"
        try:
            with self.place.files.open_output_stream(self._at(name).path) as stream:
                rows = PartWriter(stream)
                try:
                    yield rows
                finally:  # left open, it would write to the closed stream when it is collected
                    rows.close()
            self.place.files.move(self._at(name).path, self._at(part.name + _SUFFIX).path)
        except BaseException:
            self._delete(name)
            raise

    # --- what workers remember of parts that ended them

    def attempt(self, part: Part) -> dict[str, Any]:
        """What was written down by the worker that had this part before; {}: nobody had."""
        try:
            noted = json.loads(read_bytes(self._at(f"{_NOTE}{part.name}"), _MOST_JOB_BYTES))
        except (FileNotFoundError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def note_attempt(self, part: Part, noted: dict[str, Any]) -> None:
        """Write it down, before what may end this worker."""
        self._write(f"{_NOTE}{part.name}", json.dumps(noted).encode())

    def forget_attempt(self, part: Part) -> None:
        """The part is complete."""
        self._delete(f"{_NOTE}{part.name}")

    # --- files

    def _at(self, name: str) -> Place:
        return self.place._replace(path=f"{self.place.path.rstrip('/')}/{name}")

    def _names(self) -> list[str]:
        fs = import_pyarrow("pyarrow.fs")
        selector = fs.FileSelector(self.place.path, allow_not_found=True)
        try:
            return [entry.base_name for entry in self.place.files.get_file_info(selector)]
        except NotADirectoryError as error:
            raise UsageError(self.address, expected="a folder", found="a file") from error

    def _write(self, name: str, data: bytes) -> None:
        temporary = self._at(f"{_TEMPORARY}{name}-{uuid.uuid4().hex}")
        with self.place.files.open_output_stream(temporary.path) as stream:
            stream.write(data)
        self.place.files.move(temporary.path, self._at(name).path)

    def _delete(self, name: str) -> None:
        try:
            self.place.files.delete_file(self._at(name).path)
        except FileNotFoundError:
            return

    def _delete_all(self, beginning: str) -> None:
        for name in self._names():
            if name.startswith(beginning):
                self._delete(name)


class PartWriter:
    """Rows into one Parquet file, a group of them at a time.

    Args:
        stream: that is written to.
    """

    def __init__(self, stream: Any) -> None:
        arrow = import_pyarrow()
        kinds = [(name, arrow.string() if kind == TEXT else arrow.float64())
                 for name, kind in COLUMNS.items()]  # fmt: skip
        self._schema = arrow.schema(kinds)
        self._arrow = arrow
        self._writer = import_pyarrow("pyarrow.parquet").ParquetWriter(
            stream, self._schema, compression="zstd"
        )

    def write(self, batch: Batch) -> None:
        """Add rows."""
        columns = [
            self._arrow.array(batch[field.name], field.type, from_pandas=True)
            for field in self._schema
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write what ends the file."""
        self._writer.close()
