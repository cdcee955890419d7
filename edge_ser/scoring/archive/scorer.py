"""A bundle over batches of recordings: for Ray Data, Spark, or a loop of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edge_ser.audio import Channel
from edge_ser.audio.hearing import OnPoor
from edge_ser.errors import (
    BundleError,
    DataError,
    DeviceError,
    EdgeSerError,
    LibraryError,
    UsageError,
)
from edge_ser.load import load
from edge_ser.recognizer import Recognizer
from edge_ser.scoring.archive.columns import Batch, Row, answer_row, as_batch, error_row
from edge_ser.segments.windows import window_rule
from edge_ser.session import RuntimeName

if TYPE_CHECKING:
    import pandas

PATH, BYTES = "path", "bytes"
# Of the model or the machine: no recording is to blame.
_FATAL = (BundleError, DeviceError, LibraryError)


class Scorer:
    """Answers batches of recordings; what cannot be answered is a row with an `error`.

    The model is loaded once a process, when the first batch comes. So a scorer may be made anywhere
    and sent to workers:

        dataset.map_batches(Scorer, fn_constructor_args=(bundle,), compute=..., batch_size=64)
        frame.mapInPandas(Scorer(bundle).in_pandas, SPARK_SCHEMA)
        for answers in map(Scorer(bundle), batches): ...

    A batch has a column `path`, and `bytes` where the recordings are not files that the worker can
    open. The columns of the answers are those of `columns.COLUMNS`.

    Args:
        bundle: directory or .zip, on every worker; None: the default model.
        window: seconds of a segment; None: each recording is one answer, of its first seconds.
        hop: from the start of one segment to that of the next; None: the window.
        batch_size: recordings, or segments, per run of the model.
        threads: of the computation; one, as there are as many workers as cores.
        runtime: see `edge_ser.load`.
        channel: see there.
        on_poor: see there.
        min_speech: see there.

    Raises:
        UsageError: `hop` without `window`, or `batch_size` is below 1.
    """

    def __init__(
        self,
        bundle: str | Path | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 8,
        threads: int = 1,
        runtime: RuntimeName = "auto",
        channel: Channel = "mean",
        on_poor: OnPoor = "warn",
        min_speech: float | None = None,
    ) -> None:
        if hop is not None and window is None:
            raise UsageError("hop", expected="a window beside it", found="none")
        if batch_size < 1:
            raise UsageError("batch size", expected="at least 1", found=str(batch_size))
        # absolute, as a worker may stand in another folder
        self.bundle = None if bundle is None else Path(bundle).absolute()
        self.window, self.hop, self.batch_size = window, hop, batch_size
        self._options: dict[str, Any] = {
            "runtime": runtime, "threads": threads, "channel": channel, "on_poor": on_poor,
            "min_speech": min_speech,
        }  # fmt: skip
        self._loaded: Recognizer | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process loads for itself."""
        return {**self.__dict__, "_loaded": None}

    @property
    def recognizer(self) -> Recognizer:
        """The model of this process.

        Raises:
            MissingPathError, BundleError, DeviceError: see `edge_ser.load`.
            UsageError: windows that the model does not take.
        """
        if self._loaded is None:
            loaded = load(self.bundle, **self._options)
            if self.window is not None:
                window_rule(self.window, self.hop, loaded.manifest.preprocessing)
            self._loaded = loaded
        return self._loaded

    def describe(self) -> dict[str, Any]:
        """What decides the answers, as JSON-ready data."""
        options = {k: v for k, v in self._options.items() if k not in ("threads", "runtime")}
        return {
            "bundle": self.recognizer.bundle.fingerprint,
            "window": self.window,
            "hop": self.hop,
            **options,
        }

    def close(self) -> None:
        """Let go of the model; the next batch would load it again."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None

    def __call__(self, batch: Mapping[str, Any]) -> Batch:
        """Answer a batch of columns, as Ray Data gives them.

        Args:
            batch: `path` `[n]` of text, and `bytes` `[n]` unless the paths are files.

        Returns:
            a row per recording, or per segment, in the order given.

        Raises:
            DataError: no column `path`.
            BundleError, DeviceError: the model cannot be run.
        """
        if PATH not in batch:
            raise DataError("batch", expected=f"a column {PATH}", found=", ".join(batch) or "none")
        paths = [str(path) for path in batch[PATH]]
        data = batch.get(BYTES)
        sources = paths if data is None else [bytes(content) for content in data]
        return as_batch(self.rows(paths, sources))

    def in_pandas(self, frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        """The same of frames, as Spark's `mapInPandas` gives them."""
        import pandas

        for frame in frames:
            columns = {name: frame[name].to_numpy() for name in frame.columns}
            yield pandas.DataFrame(self(columns))

    def rows(self, paths: Sequence[str], sources: Sequence[str | bytes]) -> list[Row]:
        """Answer recordings.

        Args:
            paths: what they are called.
            sources: files, or their bytes.

        Raises:
            BundleError, DeviceError: the model cannot be run.
        """
        recognizer = self.recognizer  # its own errors first
        answer = self._whole if self.window is None else self._segments
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the column `quality` says it
            try:
                return answer(recognizer, paths, sources)
            except EdgeSerError:
                raise
            except Exception:
                # one recording that finds a fault of a library does not end a job of days
                return [
                    row
                    for path, source in zip(paths, sources, strict=True)
                    for row in self._alone(recognizer, path, source)
                ]

    def _alone(self, recognizer: Recognizer, path: str, source: str | bytes) -> list[Row]:
        answer = self._whole if self.window is None else self._segments
        try:
            return answer(recognizer, [path], [source])
        except EdgeSerError:
            raise
        except Exception as error:
            return [error_row(path, f"internal error: {type(error).__name__}: {error}")]

    def _whole(
        self, recognizer: Recognizer, paths: Sequence[str], sources: Sequence[str | bytes]
    ) -> list[Row]:
        rows: list[Row] = [{} for _ in paths]
        audio = cast("list[str]", list(sources))  # the bytes of files are read as files are
        for index, outcome in recognizer.each(audio, batch_size=self.batch_size):
            if isinstance(outcome, EdgeSerError):
                rows[index] = error_row(paths[index], _reason(outcome))
            else:
                rows[index] = answer_row(paths[index], outcome)
        return rows

    def _segments(
        self, recognizer: Recognizer, paths: Sequence[str], sources: Sequence[str | bytes]
    ) -> list[Row]:
        assert self.window is not None
        rows: list[Row] = []
        for path, source in zip(paths, sources, strict=True):
            try:
                segments = recognizer.segments(
                    cast("str", source), window=self.window, hop=self.hop,
                    batch_size=self.batch_size,
                )  # fmt: skip
                for s in segments:
                    if s.emotion is None:
                        rows.append(error_row(path, s.reason, s.start, s.end))
                    else:
                        rows.append(answer_row(path, s.emotion, s.start, s.end))
            except EdgeSerError as error:
                rows.append(error_row(path, _reason(error)))
        return rows


def _reason(error: EdgeSerError) -> str:
    """Why a recording has no answer, without its name.

    Raises:
        EdgeSerError: the error itself, where no recording is to blame.
    """
    if isinstance(error, _FATAL):
        raise error
    words = f"expected {error.expected}, found {error.found}"
    return f"{words}; {error.advice}" if error.advice else words
