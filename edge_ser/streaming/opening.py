"""From a recogniser's steps, and what is asked of a stream, to the stream."""

from __future__ import annotations

from collections.abc import Callable

from edge_ser.audio import Channel, Samples
from edge_ser.audio.sound import SoundLimits
from edge_ser.segments.stream import Steps
from edge_ser.segments.windows import window_rule
from edge_ser.streaming.answering import Answerer
from edge_ser.streaming.intake import Intake
from edge_ser.streaming.stream import Stream
from edge_ser.utterance import Utterance


def open_stream(
    steps: Steps,
    prepare: Callable[[Samples, str], Utterance],
    sample_rate: float,
    channel: Channel,
    limits: SoundLimits,
    window: float,
    hop: float,
    pause: float,
    smoothing: float,
    hysteresis: float,
) -> Stream:
    """A stream.

    Args:
        steps: the model.
        prepare: its first step, see `Answerer`.
        sample_rate: see `Recognizer.stream`.
        channel: that is heard.
        limits: of sound.
        window: see `Recognizer.stream`.
        hop: see there.
        pause: see there.
        smoothing: see there.
        hysteresis: see there.

    Raises:
        AudioError, UsageError: see there.
    """
    rules = steps.manifest.preprocessing
    rule = window_rule(window, hop, rules)
    return Stream(
        lambda: Intake(sample_rate, rules.sample_rate, channel, rule, pause),
        lambda: Answerer(steps, prepare, limits, smoothing, hysteresis),
    )
