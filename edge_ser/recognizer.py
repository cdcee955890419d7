"""`Recognizer`: a bundle as a function from speech to emotion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast, overload

import numpy as np

from edge_ser.audio.inputs import Array, Source, are_numbers
from edge_ser.audio.long_audio import Long, check_long
from edge_ser.batching import check_batch_size, in_batches
from edge_ser.emotion.decode import Emotion
from edge_ser.errors import EdgeSerError, UsageError
from edge_ser.model_steps import ModelSteps
from edge_ser.utterance import Utterance, infer

if TYPE_CHECKING:
    from edge_ser.segments.stream import Segments
    from edge_ser.segments.turns import Turn
    from edge_ser.streaming.stream import Stream

_BATCH_SIZE = 8
# Of segments, in seconds: what people say in one go.
DEFAULT_WINDOW = 5.0


class Recognizer(ModelSteps):
    """Speech in, `Emotion` out. Make one with `edge_ser.load`.

    A call takes the three steps of `edge_ser.model_steps.ModelSteps`, which may also be taken one
    by one, each where it suits:

        utterances = [ser.prepare(file) for file in files]
        outputs = ser.infer(utterances)
        emotions = ser.decode(outputs, utterances)

    It may be used from several threads. It pickles: another process opens the bundle's path again,
    once, when it first needs the model. The same holds in a process that was forked. It may be
    closed, or used in a `with` statement, to let go of the model at once.

    Its arguments and attributes are those of `ModelSteps`.
    """

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
