"""A recording through a model, window by window, in batches, at constant memory."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from edge_ser.audio import Samples
from edge_ser.emotion.decode import Emotion, Outputs
from edge_ser.errors import AudioError, UsageError
from edge_ser.segments.segment import Overall, Segment, WeightedMean
from edge_ser.segments.source import AudioSource
from edge_ser.segments.windows import Window, WindowRule, cut_windows
from edge_ser.utterance import Utterance

if TYPE_CHECKING:
    from edge_ser.bundle.manifest import Manifest

# Of a window without speech: it counts where there is nothing else.
_LEAST_WEIGHT = 1e-3


class Steps(Protocol):
    """The three steps of a recogniser, and what it knows of its model."""

    @property
    def manifest(self) -> Manifest:
        """Of the model."""

    def prepare(self, audio: Samples, sample_rate: float, name: str) -> Utterance:
        """First step; raises AudioError for what is not to be answered."""

    def infer(self, utterances: Sequence[Utterance]) -> Outputs:
        """Second step."""

    def decode(self, outputs: Outputs, utterances: Sequence[Utterance]) -> list[Emotion]:
        """Third step."""


class Segments(Iterator[Segment]):
    """The pieces of one recording, in their order: goes through it once, as far as it is asked to.

    Attributes:
        total_seconds: of the recording; None where it does not say how long it is.
    """

    def __init__(self, steps: Steps, audio: AudioSource, rule: WindowRule, batch_size: int) -> None:
        self._steps, self._audio, self._rule = steps, audio, rule
        self._rate = steps.manifest.preprocessing.sample_rate
        self._mean, self._count, self._answered = WeightedMean(), 0, 0
        self._end = self._seconds = self._speech_seconds = 0.0
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
        if not self._count:
            raise UsageError(
                "overall", expected="after the segments", found="none was taken yet",
                advice="go through them first: segments = list(index)",
            )  # fmt: skip
        source = self._audio.source
        emotion = self._mean.emotion(self._steps.manifest.partition, source)
        share = round(self._speech_seconds / self._seconds, 4)
        return Overall(emotion, self._count, self._answered, self._end, share, source)

    def _answer(self, batch_size: int) -> Generator[Segment, None, None]:
        windows = cut_windows(self._audio, self._rule)
        try:
            while batch := list(itertools.islice(windows, batch_size)):
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
                if window.samples.size < self._rule.shortest:  # it is all there is
                    raise
                reasons.append(error.found)
        emotions: list[Emotion] = []
        if utterances:
            outputs = self._steps.infer(utterances)
            emotions = self._steps.decode(outputs, utterances)
        row = 0
        for window, reason in zip(windows, reasons, strict=True):
            seconds = self._take(window)
            emotion = None
            if not reason:
                emotion = emotions[row]
                speech = 1.0 if emotion.sound is None else emotion.sound.speech_share
                self._mean.add(outputs.arrays, row, seconds * max(speech, _LEAST_WEIGHT))
                self._speech_seconds += seconds * speech
                self._answered += 1
                row += 1
            start, size = window.start / self._rate, window.samples.size / self._rate
            yield Segment(start, start + size, emotion, reason, self._audio.source)

    def _take(self, window: Window) -> float:
        """Count a window; returns the seconds that it stands for, of the last one what it adds."""
        end = (window.start + window.samples.size) / self._rate
        size, hop = window.samples.size / self._rate, self._rule.hop / self._rate
        seconds = size * min(1.0, (end - self._end) / hop)
        self._count, self._end, self._seconds = self._count + 1, end, self._seconds + seconds
        return seconds

    def _prepare(self, window: Window) -> Utterance:
        place = f"{self._audio.name} at {window.start / self._rate:.1f} s"
        utterance = self._steps.prepare(window.samples, self._rate, place)
        return utterance._replace(source=self._audio.source)
