"""`edge_ser.load`: a bundle as a function from speech to emotion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Recording, Samples, decode_array, read_file
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Emotion, decode
from edge_ser.errors import EdgeSerError, UsageError
from edge_ser.long_audio import CutNotice
from edge_ser.session import Session, pad_batch

if TYPE_CHECKING:
    from edge_ser.bundle.manifest import Manifest

Source = str | Path | BinaryIO
_BATCH_SIZE = 8
# Files decoded ahead and sorted by length, so that a batch holds little padding.
_WINDOW_FILES = 64


class _Utterance(NamedTuple):
    """Audio as the model takes it.

    Attributes:
        samples: normalised, and padded where the bundle pads what is too short.
        seconds: of real audio in them.
        source: its name, for the answer.
    """

    samples: Samples
    seconds: float
    source: str


class Recognizer:
    """Speech in, `Emotion` out. Make one with `edge_ser.load`.

    Args:
        bundle: verified model.
        session: that runs it.
    """

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self.bundle, self.session = bundle, session
        self._cuts = CutNotice()

    @property
    def cut_count(self) -> int:
        """Utterances so far that were longer than `max_seconds`, of which the rest was not used."""
        return self._cuts.count

    @property
    def manifest(self) -> Manifest:
        """What the model is and how it was made."""
        return self.bundle.manifest

    @overload
    def __call__(self, audio: Source) -> Emotion: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, audio: NDArray[np.generic], sample_rate: float) -> Emotion: ...
    @overload
    def __call__(self, audio: Sequence[Source]) -> list[Emotion]: ...
    @overload
    def __call__(
        self, audio: Sequence[NDArray[np.generic]], sample_rate: float
    ) -> list[Emotion]: ...

    def __call__(
        self,
        audio: Source | NDArray[np.generic] | Sequence[Source] | Sequence[NDArray[np.generic]],
        sample_rate: float | None = None,
    ) -> Emotion | list[Emotion]:
        """Recognise the emotion of one utterance, or of each of a list.

        Args:
            audio: a file (path or binary stream), samples `[n]` or `[n, channels]`, a list of
                files, or a list of such samples.
            sample_rate: Hz, of samples, the same for all of a list; not of files, which say their
                own.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: samples without their rate, a file with one, or no audio at all.

        Warns:
            errors.LongAudioWarning: audio goes on after the bundle's `max_seconds`, and the rest is
                not used.
        """
        if not isinstance(audio, list | tuple):
            one = cast("Source | NDArray[np.generic]", audio)
            return self._run([self._utterance(one, sample_rate, "samples")])[0]
        sources = list(audio)

        def prepare(index: int) -> _Utterance:
            return self._utterance(sources[index], sample_rate, f"samples[{index}]")

        results: list[Emotion | None] = [None] * len(sources)
        for index, outcome in self._batched(len(sources), prepare, _BATCH_SIZE):
            if isinstance(outcome, EdgeSerError):
                raise outcome
            results[index] = outcome
        return cast("list[Emotion]", results)

    def each(
        self, files: Iterable[Source], batch_size: int = _BATCH_SIZE
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]:
        """Recognise many files, batched by length; a bad file does not stop the others.

        Args:
            files: paths or binary streams.
            batch_size: utterances per run of the model.

        Yields:
            (position in `files`, its emotion or its error), not in order.
        """
        if batch_size < 1:
            raise UsageError("batch size", expected="at least 1", found=str(batch_size))
        sources = list(files)
        yield from self._batched(len(sources), lambda i: self._file(sources[i]), batch_size)

    def _batched(
        self, count: int, prepare: Callable[[int], _Utterance], batch_size: int
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]:
        """Run what `prepare` makes of the positions below `count`, in batches of like length."""
        for start in range(0, count, _WINDOW_FILES):
            ready: list[tuple[int, _Utterance]] = []
            for index in range(start, min(start + _WINDOW_FILES, count)):
                try:
                    ready.append((index, prepare(index)))
                except EdgeSerError as error:
                    yield index, error
            ready.sort(key=lambda item: item[1].samples.size)
            for first in range(0, len(ready), batch_size):
                yield from self._answers(ready[first : first + batch_size])

    def _answers(
        self, part: list[tuple[int, _Utterance]]
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]:
        """One batch; where the model refuses it, row by row, so that one row is not all of them."""
        try:
            emotions = self._run([utterance for _, utterance in part])
        except EdgeSerError as error:
            if len(part) == 1:
                yield part[0][0], error
            else:
                for row in part:
                    yield from self._answers([row])
            return
        yield from zip((i for i, _ in part), emotions, strict=True)

    def _utterance(
        self, audio: Source | NDArray[np.generic], sample_rate: float | None, name: str
    ) -> _Utterance:
        """One utterance of whatever kind; `name` is that of samples in errors."""
        if isinstance(audio, np.ndarray):
            if sample_rate is None:
                raise UsageError(
                    name,
                    expected="their sample rate in Hz",
                    found="none",
                    advice="call ser(samples, sample_rate), or ser([a, b], sample_rate)",
                )
            p = self.manifest.preprocessing
            x = decode_array(audio, sample_rate, p.sample_rate, p.max_seconds, name)
            heard = Recording(x, audio.shape[0] / sample_rate)
            return self._prepare(heard, name)._replace(source="")
        if sample_rate is not None and _is_file(audio):
            raise UsageError(
                "sample rate",
                expected="none beside a file, which says its own",
                found=f"{sample_rate!r:.40}",
                advice="call ser(file), or ser(samples, sample_rate) with an array",
            )
        return self._file(audio)

    def _file(self, source: Source) -> _Utterance:
        if not _is_file(source):
            raise UsageError(
                "audio",
                expected="a path, a binary stream, an array, or a list of files or of arrays",
                found=type(source).__name__,
            )
        p = self.manifest.preprocessing
        name = _name(source)
        return self._prepare(read_file(source, p.sample_rate, p.max_seconds, name), name)

    def _prepare(self, heard: Recording, name: str) -> _Utterance:
        p = self.manifest.preprocessing
        used = min(heard.samples.size, p.max_samples)
        utterance = _Utterance(p.apply(heard.samples, name), used / p.sample_rate, name)
        # less than a frame is nothing that anybody said
        longest = p.max_seconds + p.min_samples / p.sample_rate
        if heard.total_seconds is None or heard.total_seconds >= longest:
            self._cuts.warn(name, p.max_seconds, heard.total_seconds)
        return utterance

    def _run(self, utterances: list[_Utterance]) -> list[Emotion]:
        outputs = self.session.run(*pad_batch([u.samples for u in utterances]))
        seconds = [u.seconds for u in utterances]
        return decode(outputs, self.manifest.partition, seconds, [u.source for u in utterances])

    def __repr__(self) -> str:
        return f"Recognizer({self.manifest.name}, {self.manifest.target})"


def _is_file(source: object) -> bool:
    return isinstance(source, str | Path) or hasattr(source, "read")


def _name(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "name", "<stream>"))
