"""What tests of calibration share: files with an octant in them, and a draw of such."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.emotion.sphere import Partition
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import CalibrationSet, Utterance, draw

Floats = NDArray[np.float32]
RATE = 16_000
RULES = Preprocessing()
# arousal, dominance, valence on 0..1 of the octants I..VIII
CORNERS = np.array([
    [0.8, 0.8, 0.8], [0.2, 0.8, 0.8], [0.2, 0.8, 0.2], [0.8, 0.8, 0.2],
    [0.8, 0.2, 0.8], [0.2, 0.2, 0.8], [0.2, 0.2, 0.2], [0.8, 0.2, 0.2],
])  # fmt: skip
OFFSET = 0.05  # `speak` writes the octant into the mean of the samples, `answer` reads it there
_seed = itertools.count()


def speak(path: Path, octant: int = 0, seconds: float = 0.3, level: float = 0.1) -> Path:
    """Write a file with a content of its own."""
    noise = np.random.default_rng(next(_seed)).uniform(-level, level, round(seconds * RATE))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise - noise.mean() + OFFSET * octant, RATE, subtype="PCM_16")
    return path


def answer(samples: Floats) -> NDArray[Any]:
    return np.asarray(CORNERS[round(float(samples.mean()) / OFFSET)])


def of(source: Path | None, count: int = 64, seed: int = 7, **more: Any) -> CalibrationSet:
    answering = more.pop("answer", answer)
    return draw(source, RULES, Regions(Partition()), answering, count, seed, **more)


def names(part: tuple[Utterance, ...]) -> list[str]:
    return [u.path.name for u in part]


def octants(part: tuple[Utterance, ...]) -> list[Any]:
    return [u.group for u in part]
