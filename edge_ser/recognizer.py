"""`Recognizer`: a bundle as a function from speech to emotion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast, overload

import numpy as np

from edge_ser.audio import Channel, Samples
from edge_ser.audio.hearing import Hearing, PoorNotice
from edge_ser.audio.inputs import Array, Source, are_numbers, hear
from edge_ser.audio.long_audio import CutNotice, Long, check_long, warn_caller
from edge_ser.batching import check_batch_size, in_batches
from edge_ser.emotion.decode import Emotion, Outputs
from edge_ser.errors import DamagedAudioWarning, EdgeSerError, UsageError
from edge_ser.opened_model import OpenedModel, Reopen
from edge_ser.session import Session
from edge_ser.utterance import Utterance, answer, infer, prepare

if TYPE_CHECKING:
    from edge_ser.baseline import Baseline
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.bundle.manifest import Manifest
    from edge_ser.segments.stream import Segments
    from edge_ser.segments.turns import Turn
    from edge_ser.streaming.stream import Stream

_BATCH_SIZE = 8
# Of segments, in seconds: what people say in one go.
DEFAULT_WINDOW = 5.0
_USUAL_HEARING = Hearing()


class Recognizer:
    """Speech in, `Emotion` out. Make one with `edge_ser.load`.

    A call takes three steps, which may also be taken one by one, each where it suits:

        utterances = [ser.prepare(file) for file in files]
        outputs = ser.infer(utterances)
        emotions = ser.decode(outputs, utterances)

    It may be used from several threads. It pickles: another process opens the bundle's path again,
    once, when it first needs the model. The same holds in a process that was forked. It may be
    closed, or used in a `with` statement, to let go of the model at once.

    Args:
        bundle: verified model.
        session: that runs it.
        reopen: gives another recogniser of the same, in whichever process it is called; pickles.
            None: this one stays in its process.
        hearing: which channel it hears, and what it does with poor recordings.

    Attributes:
        baseline: see `with_baseline`; None: answers are the model's own.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: Session,
        reopen: Reopen | None = None,
        hearing: Hearing = _USUAL_HEARING,
    ) -> None:
        self._model = OpenedModel(bundle, session, reopen)
        self._cuts, self._poor, self.hearing = CutNotice(), PoorNotice(), hearing
        self.baseline: Baseline | None = None

    @classmethod
    def _of_model(
        cls, model: OpenedModel, hearing: Hearing, baseline: Baseline | None
    ) -> Recognizer:
        recognizer = cls.__new__(cls)
        recognizer._model = model
        recognizer._cuts, recognizer._poor, recognizer.hearing = CutNotice(), PoorNotice(), hearing
        recognizer.baseline = baseline
        return recognizer

    @classmethod
    def _unopened(
        cls, reopen: Reopen, fingerprint: str, hearing: Hearing, baseline: Baseline | None
    ) -> Recognizer:
        """What is unpickled: opened at the first use, as a pool's worker dies of errors here."""
        return cls._of_model(OpenedModel.unopened(reopen, fingerprint), hearing, baseline)

    def __reduce__(self) -> tuple[Callable[..., Recognizer], tuple[object, ...]]:
        return Recognizer._unopened, (*self._model.sendable(), self.hearing, self.baseline)

    @property
    def bundle(self) -> Bundle:
        """The model's files and manifest."""
        return self._model.here().bundle

    @property
    def session(self) -> Session:
        """What runs the model in this process.

        Raises:
            UsageError: the recogniser was closed.
        """
        return self._model.here().session

    def close(self) -> None:
        """Let go of the model, its threads and what was unpacked of a .zip.

        Whatever is asked after that is refused with a `UsageError`; closing again does nothing. A
        process that was sent a recogniser keeps its model for the next one that it is sent.
        """
        self._model.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._model.closed

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cut_count(self) -> int:
        """Utterances so far that were longer than `max_seconds`, of which the rest was not used."""
        return self._cuts.count

    @property
    def manifest(self) -> Manifest:
        """What the model is and how it was made."""
        return self.bundle.manifest

    @overload
    def __call__(self, audio: Source, *, long: Long = ...) -> Emotion: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, audio: Array, sample_rate: float, *, long: Long = ...) -> Emotion: ...
    @overload
    def __call__(self, audio: Sequence[Source], *, long: Long = ...) -> list[Emotion]: ...
    @overload
    def __call__(
        self, audio: Sequence[Array], sample_rate: float, *, long: Long = ...
    ) -> list[Emotion]: ...

    def __call__(
        self,
        audio: Source | Array | Sequence[Source] | Sequence[Array],
        sample_rate: float | None = None,
        *,
        long: Long = "first",
    ) -> Emotion | list[Emotion]:
        """Recognise the emotion of one utterance, or of each of a list.

        Args:
            audio: a file (path, binary stream, or its bytes), samples `[n]` or `[n, channels]`, a
                list of files, or a list of such samples.
            sample_rate: Hz, of samples, the same for all of a list; not of files, which say their
                own.
            long: what is answered of audio longer than the bundle's `max_seconds`: the "first" of
                them, or the "mean" over all of it, in pieces of that length.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: samples without their rate, a file with one, no audio at all, or another
                `long`.

        Warns:
            errors.LongAudioWarning: audio goes on after the bundle's `max_seconds`, and the rest is
                not used.
            errors.DamagedAudioWarning: a file is damaged; what lies before that is used.
        """
        check_long(long)
        if not isinstance(audio, list | tuple) or are_numbers(audio):
            one = cast("Source | Array", audio)
            if long == "mean":
                return self._mean(one, sample_rate)
            utterance = self.prepare(one, sample_rate)
            return self.decode(self.infer([utterance]), [utterance])[0]
        sources = list(audio)
        if long == "mean":
            return [self._mean(source, sample_rate) for source in sources]

        def prepared(index: int) -> Utterance:
            return self.prepare(sources[index], sample_rate, f"samples[{index}]")

        self._model.here()  # its own error first
        results: list[Emotion | None] = [None] * len(sources)
        for index, outcome in in_batches(len(sources), prepared, self._run, _BATCH_SIZE):
            if isinstance(outcome, EdgeSerError):
                raise outcome
            results[index] = outcome
        return cast("list[Emotion]", results)

    def _mean(self, audio: Source | Array, sample_rate: float | None) -> Emotion:
        from edge_ser.segments.mean import mean_of  # an answer to one utterance needs none of it

        window = self.manifest.preprocessing.max_seconds
        return mean_of(self.segments(audio, sample_rate, window=window))

    @overload
    def each(
        self, audio: Iterable[Source], *, batch_size: int = ...
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]: ...
    @overload
    def each(
        self, audio: Iterable[Array], sample_rate: float, *, batch_size: int = ...
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]: ...

    def each(
        self,
        audio: Iterable[Source] | Iterable[Array],
        sample_rate: float | None = None,
        *,
        batch_size: int = _BATCH_SIZE,
    ) -> Iterator[tuple[int, Emotion | EdgeSerError]]:
        """Recognise many utterances, batched by length; a bad one does not stop the others.

        Args:
            audio: files (paths or binary streams), or samples, `[n]` or `[n, channels]` each.
            sample_rate: Hz, of samples, the same for all; not of files, which say their own.
            batch_size: utterances per run of the model.

        Yields:
            (position in `audio`, its emotion or its error), not in order.

        Raises:
            UsageError: one utterance in place of several, or `batch_size` is below 1.
        """
        if isinstance(audio, str | Path | bytes | np.ndarray):
            raise UsageError(
                "audio",
                expected="several files or arrays",
                found="one",
                advice="call ser(...), or ser.each([...])",
            )
        sources: list[Source | Array] = list(audio)

        def prepared(index: int) -> Utterance:
            return self.prepare(sources[index], sample_rate, f"samples[{index}]")

        self._model.here()  # a model that cannot be opened is no fault of each file
        yield from in_batches(len(sources), prepared, self._run, batch_size)

    def segments(
        self,
        audio: Source | Array,
        sample_rate: float | None = None,
        *,
        window: float = DEFAULT_WINDOW,
        hop: float | None = None,
        turns: Sequence[Turn] | str | Path | None = None,
        batch_size: int = _BATCH_SIZE,
    ) -> Segments:
        """Recognise the emotion of a recording of any length, piece by piece.

        Windows begin at 0, `hop`, 2 `hop`, ...; the last one ends with the audio, and begins so
        much earlier that it is as long as the others. Audio shorter than a window is one window.
        What cannot be answered, as it is digital silence, is a segment with a `reason` in place of
        an `emotion`.

        Files that libsndfile reads are read as the segments are asked for: hours of audio take no
        more memory than seconds of it. Others - M4A, AAC, WebM, AMR - are decoded in memory by
        ffmpeg, up to 256 MiB of samples: 23 minutes of mono at 48 kHz. What cannot be rewound, such
        as a pipe, is first copied to disk, up to 4 GiB.

        Args:
            audio: a file (path, binary stream, or its bytes), or samples `[n]` or `[n, channels]`.
            sample_rate: Hz, of samples; not of files, which say their own.
            window: seconds of a piece, at most the bundle's `max_seconds`.
            hop: seconds from the start of one to that of the next, at most `window`; None: the
                window's, so that pieces do not overlap.
            turns: who speaks when, an RTTM or CSV file or what `edge_ser.read_turns` gives: pieces
                are these turns, and the index has an overall value for each of its `speakers`.
                A turn that is longer than the model takes is several pieces.
            batch_size: pieces per run of the model.

        Returns:
            an iterator over the segments, in their order; its `overall` is all of them together.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short or beyond these limits; and, while
                going through it, not finite.
            DataError: turns that are malformed, of nobody, reversed, not in order, or overlap.
            UsageError: samples without their rate, a file with one, no audio at all, or windows
                that the model does not take.

        Warns:
            errors.DamagedAudioWarning, errors.PoorAudioWarning: see `__call__`.
        """
        from edge_ser.segments.opening import cut  # an answer to one utterance needs none of it

        check_batch_size(batch_size)
        return cut(
            self, self._prepare_mono, audio, sample_rate, self.hearing.channel, window, hop, turns,
            batch_size,
        )  # fmt: skip

    def stream(
        self,
        sample_rate: float,
        *,
        window: float = 3.0,
        hop: float = 0.5,
        pause: float = 0.6,
        smoothing: float = 1.0,
        hysteresis: float = 0.05,
    ) -> Stream:
        """Recognise the emotion of audio that goes on, such as a microphone's.

        Windows are those of `segments`, each answered as it ends. They are answered one by one, so
        that `list(ser.segments(audio, window=3, hop=0.5, batch_size=1))` has the same numbers.

        Args:
            sample_rate: Hz, of the samples that will come.
            window: seconds of a window, at most the bundle's `max_seconds`.
            hop: seconds from the start of one to that of the next, at most `window`.
            pause: seconds without speech that end an utterance, from 0.1 on.
            smoothing: seconds after which an answer counts for 1/e in the running mean; 0: none.
            hysteresis: how far into another region the mean must be before that one is named, where
                each dimension spans [-1, 1].

        Raises:
            AudioError: no sample rate that recordings have.
            UsageError: windows that the model does not take, or another number out of its range.
        """
        from edge_ser.streaming.opening import open_stream  # one utterance needs none of it

        limits = self.hearing.limits(self.manifest.sound)
        return open_stream(
            self, self._prepare_mono, sample_rate, self.hearing.channel, limits, window, hop, pause,
            smoothing, hysteresis,
        )  # fmt: skip

    def with_baseline(
        self, audio: Sequence[Source] | Sequence[Array], sample_rate: float | None = None
    ) -> Recognizer:
        """The same for one speaker or microphone: answers are against its neutral speech.

        Of the model's vector `vad` on 0..1, every answer is `vad + (0.5 - b)`, where `b` is the
        mean of `vad` over the neutral utterances: one that is answered as they are on the mean is
        at (4, 4, 4), and radius, angles and region follow. Categories and the classifier of regions
        stay as they are. It shares the model of this one, and ends with it.

        Args:
            audio: neutral utterances, files or samples `[n]` or `[n, channels]`.
            sample_rate: Hz, of samples; not of files, which say their own.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: no utterance, samples without their rate, or a model without dimensions.

        Warns:
            errors.PoorAudioWarning, errors.LongAudioWarning, errors.DamagedAudioWarning: see
                `__call__`.
        """
        from edge_ser.baseline import Baseline, check_utterances

        check_utterances(audio)
        session = self.session
        # one by one, so that padding is none of the baseline
        own = [
            infer(session, [self.prepare(one, sample_rate, f"samples[{i}]").samples])
            for i, one in enumerate(audio)
        ]
        return Recognizer._of_model(self._model.lent(), self.hearing, Baseline.of(own))

    def _run(self, utterances: list[Utterance]) -> list[Emotion]:
        return self.decode(self.infer(utterances), utterances)

    # --- the three steps

    def prepare(
        self,
        audio: Source | Array,
        sample_rate: float | None = None,
        name: str = "samples",
    ) -> Utterance:
        """First step: read, resample, cut, check and normalise one utterance.

        Args:
            audio: a file (path, binary stream, or its bytes), or samples `[n]` or `[n, channels]`.
            sample_rate: Hz, of samples; not of files, which say their own.
            name: of samples, in errors.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: samples without their rate, a file with one, or no audio at all.

        Warns:
            errors.LongAudioWarning, errors.DamagedAudioWarning: see `__call__`.
        """
        return self._prepare(audio, sample_rate, name, self.hearing.channel)

    def _prepare_mono(self, samples: Samples, name: str) -> Utterance:
        """The first step of a window, in which one channel is left, whichever was asked for."""
        return self._prepare(samples, self.manifest.preprocessing.sample_rate, name, "mean")

    def _prepare(
        self, audio: Source | Array, sample_rate: float | None, name: str, channel: Channel
    ) -> Utterance:
        p = self.manifest.preprocessing
        heard, source, name = hear(audio, sample_rate, p, name, channel)
        limits = self.hearing.limits(self.manifest.sound)
        utterance = prepare(heard.samples, p, source, name, limits)
        if utterance.sound is not None:
            self._poor.judge(utterance.sound, name, self.hearing.on_poor)
        if heard.damage:
            warn_caller(
                f"used the first {utterance.seconds:.2f} s of {name}, where it is damaged: "
                f"{heard.damage}",
                DamagedAudioWarning,
            )
        # less than a frame is nothing that anybody said
        longest = p.max_seconds + p.min_samples / p.sample_rate
        if heard.total_seconds is None or heard.total_seconds >= longest:
            self._cuts.warn(name, p.max_seconds, heard.total_seconds)
        return utterance

    def infer(self, utterances: Sequence[Utterance]) -> Outputs:
        """Second step: run prepared utterances as one batch.

        Args:
            utterances: at least one; of like lengths, as the shorter ones are padded.

        Returns:
            the model's numbers, a row per utterance; VAD against the baseline, if there is one.

        Raises:
            UsageError: the recogniser was closed, or a length is outside the model's range.
            BundleError: the model cannot run, or gave something else than finite numbers.
        """
        outputs = infer(self.session, [u.samples for u in utterances])
        return outputs if self.baseline is None else self.baseline.shift(outputs)

    def decode(self, outputs: Outputs, utterances: Sequence[Utterance]) -> list[Emotion]:
        """Third step: what the numbers say, of each utterance that `infer` was given."""
        emotions = answer(outputs, utterances, self.manifest.partition, self.manifest.categories)
        # what is moved by a baseline has no place among answers that are not
        reference = None if self.baseline is not None else self.bundle.score_reference
        return emotions if reference is None else [reference.read(one) for one in emotions]

    def __repr__(self) -> str:
        if self._model.closed:
            return "Recognizer(closed)"
        against = "" if self.baseline is None else f", against {self.baseline}"
        return f"Recognizer({self.manifest.name}, {self.manifest.target}{against})"
