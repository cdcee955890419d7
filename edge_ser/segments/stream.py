"""A recording through a model, window by window, in batches, at constant memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from edge_ser.audio import Samples
from edge_ser.emotion.decode import Emotion, Outputs
from edge_ser.errors import AudioError, UsageError
from edge_ser.segments.segment import Overall, Segment, Together, unanswered_reason
from edge_ser.segments.source import AudioSource
from edge_ser.segments.windows import Window
from edge_ser.utterance import Utterance

if TYPE_CHECKING:
    from edge_ser.bundle.manifest import Manifest


class Steps(Protocol):
    """The steps of a recogniser after the first, and what it knows of its model."""

    @property
    def manifest(self) -> Manifest:
        """Of the model."""

    def infer(self, utterances: Sequence[Utterance]) -> Outputs:
        """Second step."""

    def decode(self, outputs: Outputs, utterances: Sequence[Utterance]) -> list[Emotion]:
        """Third step."""


class Segments(Iterator[Segment]):
    """The pieces of one recording, in their order: goes through it once, as far as it is asked to.

    Args:
        steps: the model.
        prepare: its first step, of `[n]` mono samples at its rate, with their name for errors: the
            channel was chosen when the recording was read. Raises AudioError for what is not to be
            answered.
        audio: the recording, which is closed at the end.
        windows: of it.
        batch_size: windows per run of the model.

    Attributes:
        total_seconds: of the recording; None where it does not say how long it is.
    """

    def __init__(
        self,
        steps: Steps,
        prepare: Callable[[Samples, str], Utterance],
        audio: AudioSource,
        windows: Iterator[Window],
        batch_size: int,
    ) -> None:
        self._steps, self._audio, self._windows = steps, audio, windows
        self._prepare_mono = prepare
        self._rules = steps.manifest.preprocessing
        self._all, self._by_speaker = Together(self._rules.sample_rate), dict[str, Together]()
        self._segments = self._answer(batch_size)
        self.total_seconds = audio.total_seconds

    def __next__(self) -> Segment:
        return next(self._segments)

    def close(self) -> None:
        """Let go of the recording before its end."""
        self._segments.close()
        self._audio.close()

    @property
    def overall(self) -> Overall:
        """All pieces that were given so far, together.

        Raises:
            UsageError: none was.
        """
        if not self._all.count:
            raise UsageError(
                "overall", expected="after the segments", found="none was taken yet",
                advice="go through them first: segments = list(index)",
            )  # fmt: skip
        manifest = self._steps.manifest
        return self._all.overall(
            manifest.partition, self._audio.source, categories=manifest.categories
        )

    @property
    def speakers(self) -> dict[str, Overall]:
        """The pieces of each speaker given so far, together, by name; {} without turns."""
        manifest, source = self._steps.manifest, self._audio.source
        return {
            name: pieces.overall(manifest.partition, source, name, manifest.categories)
            for name, pieces in self._by_speaker.items()
        }

    def _answer(self, batch_size: int) -> Generator[Segment, None, None]:
        try:
            while batch := list(itertools.islice(self._windows, batch_size)):
                yield from self._answer_batch(batch)
        finally:
            self._audio.close()

    def _answer_batch(self, windows: Sequence[Window]) -> Iterator[Segment]:
        """Answer windows in one run of the model; those without sound stay without."""
        utterances: list[Utterance] = []
        reasons: list[str] = []
        for window in windows:
            try:
                utterances.append(self._prepare(window))
                reasons.append("")
            except AudioError as error:
                if self._is_all_too_short(window):
                    raise
                reasons.append(unanswered_reason(error))
        emotions: list[Emotion] = []
        if utterances:
            outputs = self._steps.infer(utterances)
            emotions = self._steps.decode(outputs, utterances)
        row = 0
        for window, reason in zip(windows, reasons, strict=True):
            emotion = None
            if reason:
                for pieces in self._together(window.speaker):
                    pieces.add_unanswered(window)
            else:
                emotion = emotions[row]
                speech = 1.0 if emotion.sound is None else emotion.sound.speech_share
                numbers = {name: array[row] for name, array in outputs.arrays.items()}
                for pieces in self._together(window.speaker):
                    pieces.add(window, numbers, speech)
                row += 1
            yield self._segment(window, emotion, reason)

    def _segment(self, window: Window, emotion: Emotion | None, reason: str) -> Segment:
        rate = self._rules.sample_rate
        start, end = window.start / rate, (window.start + window.samples.size) / rate
        return Segment(start, end, emotion, reason, self._audio.source, window.speaker)

    def _together(self, speaker: str) -> list[Together]:
        """What a piece of a speaker is part of."""
        if not speaker:
            return [self._all]
        rate = self._rules.sample_rate
        return [self._all, self._by_speaker.setdefault(speaker, Together(rate))]

    def _is_all_too_short(self, window: Window) -> bool:
        """Whether the recording is nothing but a window that the model does not take."""
        return not window.speaker and window.samples.size < self._rules.min_samples

    def _prepare(self, window: Window) -> Utterance:
        place = f"{self._audio.name} at {window.start / self._rules.sample_rate:.1f} s"
        utterance = self._prepare_mono(window.samples, place)
        return utterance._replace(source=self._audio.source)
