"""edge-ser: speech emotion recognition that runs on the device.

import edge_ser
ser = edge_ser.load()              # or a bundle made by `edge-ser export`
emotion = ser("speech.wav")        # or ser(samples, sample_rate), or ser([file, ...])
"""

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Emotion, Outputs
from edge_ser.emotion.probabilities import RegionProbabilities
from edge_ser.emotion.sphere import Partition, Region, Sphere
from edge_ser.errors import (
    AudioError,
    BundleError,
    DeviceError,
    EdgeSerError,
    LongAudioWarning,
    MissingExtraError,
    MissingPathError,
    UsageError,
)
from edge_ser.load import load
from edge_ser.recognizer import Recognizer
from edge_ser.session import ProviderName, RuntimeName
from edge_ser.utterance import Utterance
from edge_ser.version import __version__

__all__ = [
    "AudioError",
    "Bundle",
    "BundleError",
    "DeviceError",
    "EdgeSerError",
    "Emotion",
    "LongAudioWarning",
    "MissingExtraError",
    "MissingPathError",
    "Outputs",
    "Partition",
    "ProviderName",
    "Recognizer",
    "Region",
    "RegionProbabilities",
    "RuntimeName",
    "Sphere",
    "UsageError",
    "Utterance",
    "__version__",
    "load",
]
