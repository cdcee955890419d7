"""What a device has heard, in numbers: no audio, and no answer of any one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN, scores_from_unit
from edge_ser.streaming.clock import ClockReport
from edge_ser.streaming.estimate import Estimate

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle

_SCORE_BINS, _LEVEL_BINS, _SHARE_BINS = 12, 20, 10
_LEAST_DBFS = -120.0


class Histogram:
    """Counts of values in bins of one width; what lies outside counts at the end it lies beyond.

    Args:
        low: lower end of the first bin.
        high: upper end of the last.
        bins: how many.
    """

    def __init__(self, low: float, high: float, bins: int) -> None:
        self._low, self._high = low, high
        self._counts, self._sum = [0] * bins, 0.0

    def add(self, value: float) -> None:
        """Count a value, finite."""
        share = (value - self._low) / (self._high - self._low)
        place = int(share * len(self._counts)) if 0 <= share < 1 else (0 if share < 0 else -1)
        self._counts[place] += 1
        self._sum += value

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        count = sum(self._counts)
        return {
            "low": self._low,
            "high": self._high,
            "counts": self._counts,
            "mean": self._sum / count if count else None,
        }


class Counters:
    """Counts a stream's estimates, at constant memory."""

    def __init__(self) -> None:
        self._scores = {name: _score_histogram() for name in DIMENSIONS}
        self._level = Histogram(_LEAST_DBFS, 0.0, _LEVEL_BINS)
        self._speech = Histogram(0.0, 1.0, _SHARE_BINS)
        self._regions: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._poor: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._windows = self._answered = self._dropped = 0
        self._utterances, self._spoken_seconds = 0, 0.0

    def add(self, estimate: Estimate) -> None:
        """Count an estimate."""
        self._windows += 1
        self._dropped += estimate.dropped
        emotion = estimate.emotion
        if emotion is None:
            # without the numbers that were found, so that like is counted with like
            self._refusals[estimate.reason.split(", found ")[0]] += 1
            return
        self._answered += 1
        for name, histogram in self._scores.items():
            score = getattr(emotion, name)
            if score is not None:
                histogram.add(score)
        if emotion.region is not None:
            self._regions[emotion.region.name] += 1
        if emotion.category is not None:
            self._categories[emotion.category] += 1
        if emotion.sound is not None:
            self._level.add(emotion.sound.level_dbfs)
            self._speech.add(emotion.sound.speech_share)
            self._poor.update(words.split(":")[0] for words in emotion.sound.quality)

    def add_utterances(self, seconds: Iterable[float]) -> None:
        """Count utterances by how long each was."""
        for length in seconds:
            self._utterances += 1
            self._spoken_seconds += length

    def to_dict(self, bundle: Bundle, seconds: float, clock: ClockReport) -> dict[str, Any]:
        """All that was counted, as JSON-ready data.

        Args:
            bundle: that answered; of it the speech that it was calibrated on is told, where its
                manifest has it, and the scores of its recorded answers, to compare with.
            seconds: of audio taken.
            clock: of the stream.
        """
        return {
            "schema": 1,
            "model": bundle.manifest.name,
            "fingerprint": bundle.fingerprint,
            "seconds": seconds,
            "windows": self._windows,
            "answered": self._answered,
            "dropped": self._dropped,
            "refusals": dict(self._refusals),
            "utterances": self._utterances,
            "spoken_seconds": self._spoken_seconds,
            "scores": {name: h.to_dict() for name, h in self._scores.items()},
            "regions": dict(self._regions),
            "categories": dict(self._categories),
            "level_dbfs": self._level.to_dict(),
            "speech_share": self._speech.to_dict(),
            "poor": dict(self._poor),
            "clock": clock._asdict(),
            "reference": _reference(bundle),
        }


def _score_histogram() -> Histogram:
    return Histogram(SCORE_MIN, SCORE_MAX, _SCORE_BINS)


def _reference(bundle: Bundle) -> dict[str, Any]:
    """What the counts may be compared with."""
    lowered = bundle.manifest.lowered
    calibration = None if lowered is None else lowered.calibration
    scores = None
    if bundle.manifest.has_dimensions:
        scores = {}
        recorded = scores_from_unit(bundle.golden().reference.vad)
        for name, column in zip(DIMENSIONS, np.asarray(recorded).T, strict=True):
            histogram = _score_histogram()
            for score in column:
                histogram.add(float(score))
            scores[name] = histogram.to_dict()
    return {
        "recorded_answers": scores,
        "calibration": None
        if calibration is None
        else {
            "source": calibration.source,
            "seconds": calibration.seconds,
            "fingerprint": calibration.fingerprint,
            "regions": list(calibration.regions or ()),
        },
    }
