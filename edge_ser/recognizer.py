"""`edge_ser.load`: a bundle as a function from speech to emotion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Samples, decode_array, decode_file
from edge_ser.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.decode import Emotion, decode
from edge_ser.errors import EdgeSerError, UsageError
from edge_ser.session import Session, pad_batch

if TYPE_CHECKING:
    from edge_ser.manifest import Manifest

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

    def __call__(
        self,
        audio: Source | NDArray[np.generic] | Sequence[Source],
        sample_rate: float | None = None,
    ) -> Emotion | list[Emotion]:
        """Recognise the emotion of one utterance, or of a list of files.

        Args:
            audio: a file (path or binary stream), samples `[n]` or `[n, channels]`, or a list of
                files.
            sample_rate: Hz, of samples; not of files, which say their own.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: samples without their rate, or a file with one.
        """
        if isinstance(audio, np.ndarray):
            if sample_rate is None:
                raise UsageError(
                    "samples",
                    expected="their sample rate in Hz",
                    found="none",
                    advice="call ser(samples, sample_rate)",
                )
            p = self.manifest.preprocessing
            x = decode_array(audio, sample_rate, p.sample_rate, p.max_seconds)
            return self._run([self._prepare(x, "samples")._replace(source="")])[0]
        if sample_rate is not None:
            raise UsageError(
                "sample rate",
                expected="none beside a file, which says its own",
                found=f"{sample_rate!r:.40}",
                advice="call ser(file), or ser(samples, sample_rate) with an array",
            )
        if isinstance(audio, list | tuple):
            results: list[Emotion | None] = [None] * len(audio)
            for index, outcome in self.each(audio):
                if isinstance(outcome, EdgeSerError):
                    raise outcome
                results[index] = outcome
            return cast("list[Emotion]", results)
        source = cast("Source", audio)
        return self._run([self._prepare(self._decode(source), _name(source))])[0]

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
        files = list(files)
        for start in range(0, len(files), _WINDOW_FILES):
            ready: list[tuple[int, _Utterance]] = []
            for index in range(start, min(start + _WINDOW_FILES, len(files))):
                name = _name(files[index])
                try:
                    ready.append((index, self._prepare(self._decode(files[index]), name)))
                except EdgeSerError as error:
                    yield index, error
            ready.sort(key=lambda item: item[1].samples.size)
            for first in range(0, len(ready), batch_size):
                part = ready[first : first + batch_size]
                emotions = self._run([utterance for _, utterance in part])
                yield from zip((i for i, _ in part), emotions, strict=True)

    def _decode(self, source: Source) -> Samples:
        if not (isinstance(source, str | Path) or hasattr(source, "read")):
            raise UsageError(
                "audio",
                expected="a path, a binary stream, an array, or a list of files",
                found=type(source).__name__,
            )
        p = self.manifest.preprocessing
        return decode_file(source, p.sample_rate, p.max_seconds, _name(source))

    def _prepare(self, samples: Samples, name: str) -> _Utterance:
        p = self.manifest.preprocessing
        used = min(samples.size, p.max_samples)
        return _Utterance(p.apply(samples, name), used / p.sample_rate, name)

    def _run(self, utterances: list[_Utterance]) -> list[Emotion]:
        outputs = self.session.run(*pad_batch([u.samples for u in utterances]))
        seconds = [u.seconds for u in utterances]
        return decode(outputs, self.manifest.partition, seconds, [u.source for u in utterances])

    def __repr__(self) -> str:
        return f"Recognizer({self.manifest.name}, {self.manifest.target})"


def _name(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "name", "<stream>"))


def load(
    bundle: str | Path | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    *,
    provider: str | None = None,
    cuda_graphs: bool = False,
) -> Recognizer:
    """Load a bundle for use.

    Args:
        bundle: directory or .zip; None: the small default model inside this package.
        runtime: "onnx", "trt", or "auto": the best for the bundle's target. Where that one cannot
            run on this device, another one does, and a warning says why.
        threads: for the computation; None: the runtime's own choice.
        provider: of ONNX Runtime: "cpu" (default), "cuda", "tensorrt" or "rtx".
        cuda_graphs: of TensorRT: replay the work of lengths that come again.

    Raises:
        MissingPathError: no such bundle.
        BundleError: incomplete, altered, or of another schema version.
        UsageError: no such runtime or provider, or fewer than one thread.
        MissingExtraError: the runtime's library is not installed.
        DeviceError: this device cannot run it: no GPU, or another than the engine was built for.
    """
    opened = Bundle.open(DEFAULT_BUNDLE if bundle is None else bundle)
    # here, so that whoever imports this package for its types does not load the runtimes
    from edge_ser_runtimes import registry

    session = registry.open_session(opened, runtime, threads, provider, cuda_graphs)
    return Recognizer(opened, session)
