"""edge-ser: speech emotion recognition that runs on the device.

import edge_ser
ser = edge_ser.load()              # or a bundle made by `edge-ser export`
emotion = ser("speech.wav")        # or ser(samples, sample_rate), or ser([file, ...])
"""

from typing import TYPE_CHECKING, Any

from edge_ser.libraries import starting

with starting():
    from edge_ser.audio.sound import Sound
    from edge_ser.emotion.decode import Emotion, Outputs
    from edge_ser.emotion.probabilities import RegionProbabilities
    from edge_ser.emotion.sphere import Partition, Region, Sphere
    from edge_ser.errors import (
        ArchiveError,
        AudioError,
        BundleError,
        DamagedAudioWarning,
        DataError,
        DeviceError,
        EdgeSerError,
        LibraryError,
        LongAudioWarning,
        MissingExtraError,
        MissingPathError,
        PoorAudioWarning,
        SignatureError,
        UsageError,
    )
    from edge_ser.load import load
    from edge_ser.recognizer import Recognizer
    from edge_ser.session import ProviderName, RuntimeName
    from edge_ser.utterance import Utterance
    from edge_ser.version import __version__

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.scoring.evaluate import Evaluation, evaluate
    from edge_ser.segments.segment import Overall, Segment
    from edge_ser.segments.stream import Segments
    from edge_ser.segments.turns import Turn, read_turns
    from edge_ser.streaming.background import BackgroundStream
    from edge_ser.streaming.clock import ClockReport
    from edge_ser.streaming.estimate import Estimate
    from edge_ser.streaming.smoothing import Smoothed
    from edge_ser.streaming.speech_gate import SpokenSpan
    from edge_ser.streaming.stream import Stream

# What is not needed to begin with - opening a bundle, or more than an answer to one utterance - is
# imported when it is asked for: name -> module.
_LATE = {
    "Bundle": "edge_ser.bundle.bundle",
    "BackgroundStream": "edge_ser.streaming.background",
    "ClockReport": "edge_ser.streaming.clock",
    "Estimate": "edge_ser.streaming.estimate",
    "Smoothed": "edge_ser.streaming.smoothing",
    "SpokenSpan": "edge_ser.streaming.speech_gate",
    "Stream": "edge_ser.streaming.stream",
    "Evaluation": "edge_ser.scoring.evaluate",
    "evaluate": "edge_ser.scoring.evaluate",
    "Overall": "edge_ser.segments.segment",
    "Segment": "edge_ser.segments.segment",
    "Segments": "edge_ser.segments.stream",
    "Turn": "edge_ser.segments.turns",
    "read_turns": "edge_ser.segments.turns",
}

__all__ = [
    "ArchiveError",
    "AudioError",
    "BackgroundStream",
    "Bundle",
    "BundleError",
    "ClockReport",
    "DamagedAudioWarning",
    "DataError",
    "DeviceError",
    "EdgeSerError",
    "Emotion",
    "Estimate",
    "Evaluation",
    "LibraryError",
    "LongAudioWarning",
    "MissingExtraError",
    "MissingPathError",
    "Outputs",
    "Overall",
    "Partition",
    "PoorAudioWarning",
    "ProviderName",
    "Recognizer",
    "Region",
    "RegionProbabilities",
    "RuntimeName",
    "Segment",
    "Segments",
    "SignatureError",
    "Smoothed",
    "Sound",
    "Sphere",
    "SpokenSpan",
    "Stream",
    "Turn",
    "UsageError",
    "Utterance",
    "__version__",
    "evaluate",
    "load",
    "read_turns",
]


def __getattr__(name: str) -> Any:
    """A name of `_LATE`, from its module."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
