"""The first half of a stream: samples as they come -> windows that are to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ser.audio import Channel, check_rate
from edge_ser.audio.inputs import is_file, samples_of
from edge_ser.audio.mixing import BlockMixer
from edge_ser.audio.resampling import BlockResampler
from edge_ser.audio.samples import Samples
from edge_ser.errors import UsageError
from edge_ser.segments.windows import Window, WindowCutter, WindowRule
from edge_ser.streaming.clock import CaptureClock
from edge_ser.streaming.speech_gate import SpeechGate

# Frames that are resampled and cut at a time, whatever a caller gives in one go.
_PART = 1 << 14


@dataclass(frozen=True)
class Cut:
    """A window, and what is known of it before it is answered.

    Attributes:
        window: its samples and their place.
        is_speech: whether somebody speaks at its end.
        captured_at: when its end was captured, seconds; None where nobody said.
        missing_seconds: that are missing inside it.
    """

    window: Window
    is_speech: bool
    captured_at: float | None
    missing_seconds: float


class Intake:
    """Samples of one stream to windows, at constant memory.

    Args:
        rate: Hz of the samples.
        model_rate: Hz of the windows.
        channel: that is heard.
        rule: where windows lie.
        pause: seconds without speech that end an utterance.

    Attributes:
        gate: who speaks when.
        clock: what capture times say.

    Raises:
        AudioError: a rate that no recording has.
        UsageError: a pause that is none.
    """

    def __init__(
        self, rate: float, model_rate: int, channel: Channel, rule: WindowRule, pause: float
    ) -> None:
        check_rate(rate, "stream")
        self._rate, self._model_rate = rate, model_rate
        self._mixer, self._resampler = BlockMixer(channel), BlockResampler(rate, model_rate)
        self._cutter, self._frames = WindowCutter(rule), 0
        self.gate, self.clock = SpeechGate(model_rate, pause), CaptureClock(rate)

    @property
    def seconds(self) -> float:
        """Of audio taken so far."""
        return self._frames / self._rate

    def push(
        self, samples: Any, captured_at: float | None = None, sample_rate: float | None = None
    ) -> list[Cut]:
        """Take a block, which changes nothing if it is refused; see `Stream.push`."""
        subject = f"samples at {self.seconds:.1f} s"
        if sample_rate is not None and sample_rate != self._rate:
            raise UsageError(
                subject,
                expected=f"{self._rate:g} Hz, as the stream has",
                found=f"{sample_rate!r:.40}",
                advice="flush it, and begin another stream at the new rate",
            )
        if is_file(samples):
            raise UsageError(
                subject,
                expected="an array of numbers, [n] or [n, channels]",
                found=type(samples).__name__,
                advice="call numpy.frombuffer(data, numpy.int16), or of the type that they are; "
                "files are for ser.segments",
            )
        array, _ = samples_of(samples, self._rate, subject)
        if captured_at is not None:
            self.clock.take(self._frames, captured_at)
        mono = self._mixer.push(array, subject)
        self._frames += mono.size
        cuts = []
        for start in range(0, mono.size, _PART):
            cuts += self._cut(self._resampler.push(mono[start : start + _PART]))
        return cuts

    def last(self) -> list[Cut]:
        """The audio ends: what is left of it."""
        cuts = self._cut(self._resampler.last())
        cuts += [self._described(window) for window in self._cutter.last()]
        self.gate.last()
        return cuts

    def _cut(self, samples: Samples) -> list[Cut]:
        # a caller may use its array again, and windows are kept
        own = np.array(samples, np.float32)
        self.gate.push(own)
        return [self._described(window) for window in self._cutter.push(own)]

    def _described(self, window: Window) -> Cut:
        end = window.start + window.samples.size
        start_seconds, end_seconds = window.start / self._model_rate, end / self._model_rate
        return Cut(
            window,
            self.gate.was_speech(end),
            self.clock.captured_at(end_seconds),
            self.clock.missing_between(start_seconds, end_seconds),
        )
