"""The second half of a stream: windows -> estimates."""

from __future__ import annotations

from collections.abc import Callable

from edge_ser.audio import Samples
from edge_ser.audio.sound import Sound, SoundLimits
from edge_ser.audio.speech import SHORTEST_JUDGED
from edge_ser.emotion.decode import Emotion
from edge_ser.errors import AudioError
from edge_ser.segments.segment import unanswered_reason
from edge_ser.segments.stream import Steps
from edge_ser.streaming.estimate import Estimate
from edge_ser.streaming.intake import Cut
from edge_ser.streaming.smoothing import Smoothed, Smoother
from edge_ser.utterance import Utterance


class Answerer:
    """Answers windows one by one, so that no answer depends on which others came with it.

    Args:
        steps: the model.
        prepare: its first step, of `[n]` mono samples at its rate, with their name for errors.
        limits: of sound, that say how much speech a window must hold to count in the mean.
        smoothing: see `Smoother`.
        hysteresis: see there.

    Raises:
        UsageError: see there.
    """

    def __init__(
        self,
        steps: Steps,
        prepare: Callable[[Samples, str], Utterance],
        limits: SoundLimits,
        smoothing: float,
        hysteresis: float,
    ) -> None:
        self._steps, self._prepare, self._limits = steps, prepare, limits
        self._rate = steps.manifest.preprocessing.sample_rate
        self._smoother = Smoother(smoothing, hysteresis, steps.manifest.partition)

    def answer(self, cut: Cut, dropped: int = 0) -> Estimate:
        """The estimate of a window.

        Args:
            cut: the window; they come in their order.
            dropped: windows left out before it.

        Raises:
            BundleError: the model cannot run.
            UsageError: the recogniser was closed.
        """
        window = cut.window
        start, end = window.start / self._rate, (window.start + window.samples.size) / self._rate
        emotion, smoothed, reason = None, None, ""
        try:
            utterance = self._prepare(window.samples, f"the stream at {start:.1f} s")
        except AudioError as error:
            reason = unanswered_reason(error)
        else:
            (emotion,) = self._steps.decode(self._steps.infer([utterance]), [utterance])
            smoothed = self._smoothed(emotion, end)
        return Estimate(
            start, end, emotion, smoothed, cut.is_speech, reason, cut.captured_at,
            cut.missing_seconds, dropped,
        )  # fmt: skip

    def _smoothed(self, emotion: Emotion, end: float) -> Smoothed | None:
        if not self._holds_speech(emotion.sound, emotion.seconds):
            return None
        return self._smoother.push(emotion, end)

    def _holds_speech(self, sound: Sound | None, seconds: float) -> bool:
        if sound is None or seconds < SHORTEST_JUDGED:
            return True
        return sound.speech_share >= self._limits.min_speech
