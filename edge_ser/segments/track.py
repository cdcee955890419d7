"""The answers to a recording as a course over time, whatever its length: what a picture shows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.segments.segment import Segment

Floats = NDArray[np.float64]
_MOMENT = 1e-6  # seconds; less of a piece is rounding
_WIDTH = 2 + len(DIMENSIONS) + 1  # start, end, scores, speech share


@dataclass(frozen=True)
class Course:
    """Pieces of time in their order, and what was answered in each.

    Attributes:
        edges: `[n, 2]` seconds: start and end of each; they do not overlap.
        scores: `[n, 3]`: arousal, dominance, valence on 1..7; NaN where nothing is answered.
        spread: `[n, 3]`: standard deviation of the scores within the piece; 0 where it is one.
        speech: `[n]`: share of the time that may be speech; NaN where the recording has no piece.
        regions: `[n]`: position of the region in `names`, where it is most of the time; -1: none.
        speakers: `[n]`: position of the speaker in `people`; -1: none.
        names: of the regions, in the order of their indices.
        people: names of the speakers, in the order in which they spoke.
        is_binned: whether a piece stands for several.
    """

    edges: Floats
    scores: Floats
    spread: Floats
    speech: Floats
    regions: NDArray[np.int64]
    speakers: NDArray[np.int64]
    names: tuple[str, ...]
    people: tuple[str, ...]
    is_binned: bool

    @property
    def seconds(self) -> float:
        """Where the last piece ends."""
        return float(self.edges[-1, 1])


class Track:
    """Takes the segments of one recording as they come: 64 bytes of each.

    Attributes:
        source: name of the recording; "" for samples in memory.
    """

    def __init__(self) -> None:
        self.source = ""
        self._numbers, self._regions, self._speakers = array("d"), array("q"), array("q")
        self._names: dict[int, str] = {}
        self._people: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._regions)

    def add(self, segment: Segment) -> None:
        """Take a segment, which begins no earlier than the one before."""
        self.source = segment.source
        scores, region = [np.nan] * len(DIMENSIONS), -1
        emotion = segment.emotion
        if emotion is not None and emotion.region is not None:
            scores = [getattr(emotion, name) for name in DIMENSIONS]
            region = emotion.region.index
            self._names[region] = str(emotion.region)
        self._numbers.extend([segment.start, segment.end, *scores, segment.speech_share])
        self._regions.append(region)
        name = segment.speaker
        self._speakers.append(self._people.setdefault(name, len(self._people)) if name else -1)

    def course(self, limit: int) -> Course:
        """The course of the recording in at most so many pieces; at least one was taken.

        Of segments that overlap each stands for the time around its middle. Where there are more
        than `limit`, what is given is their mean over `limit` equal parts of the recording.
        """
        numbers = np.array(self._numbers).reshape(-1, _WIDTH)
        edges = _apart(numbers[:, :2])
        places = {index: place for place, index in enumerate(sorted(self._names))}
        regions = np.array([places.get(index, -1) for index in self._regions])
        course = Course(
            edges,
            numbers[:, 2:-1],
            np.zeros((len(numbers), len(DIMENSIONS))),
            numbers[:, -1],
            regions,
            np.array(self._speakers),
            tuple(self._names[index] for index in places),
            tuple(self._people),
            is_binned=False,
        )
        return course if len(numbers) <= limit else _binned(course, limit)


def _apart(edges: Floats) -> Floats:
    """Spans that may overlap `[n, 2]`, each cut in the middle of what it shares with the next."""
    apart = edges.copy()
    shared = edges[:-1, 1] > edges[1:, 0]
    middle = (edges[:-1, 1] + edges[1:, 0]) / 2
    apart[:-1, 1] = np.where(shared, middle, edges[:-1, 1])
    apart[1:, 0] = np.where(shared, middle, edges[1:, 0])
    return apart


def _binned(course: Course, count: int) -> Course:
    """The means of a course over `count` equal parts of the recording."""
    bins = np.linspace(course.edges[0, 0], course.seconds, count + 1)
    answered = np.isfinite(course.scores[:, 0]).astype(np.float64)
    scores = np.where(answered[:, None] > 0, course.scores, 0.0)
    # in each bin: seconds of any piece, of answered ones, and sums over these
    time = _summed(course.edges, np.ones_like(answered), bins)
    heard = _summed(course.edges, answered, bins)
    heard[heard < _MOMENT] = time[time < _MOMENT] = np.nan
    mean = _columns(course.edges, scores, bins) / heard[:, None]
    square = _columns(course.edges, scores**2, bins) / heard[:, None]
    speech = _summed(course.edges, course.speech, bins) / time
    return Course(
        np.stack([bins[:-1], bins[1:]], axis=1),
        mean,
        np.sqrt(np.maximum(square - mean**2, 0.0)),
        speech,
        _most_of(course.edges, course.regions, len(course.names), bins),
        _most_of(course.edges, course.speakers, len(course.people), bins),
        course.names,
        course.people,
        is_binned=True,
    )


def _summed(edges: Floats, values: Floats, bins: Floats) -> Floats:
    """Integral over each bin of what has `values` `[n]` within `edges` `[n, 2]` and 0 between."""
    steps = values * (edges[:, 1] - edges[:, 0])
    ends = np.cumsum(steps)
    total = np.stack([ends - steps, ends], axis=1).reshape(-1)
    return np.diff(np.interp(bins, edges.reshape(-1), total))


def _columns(edges: Floats, values: Floats, bins: Floats) -> Floats:
    return np.stack([_summed(edges, column, bins) for column in values.T], axis=1)


def _most_of(
    edges: Floats, places: NDArray[np.int64], kinds: int, bins: Floats
) -> NDArray[np.int64]:
    """Of each bin the kind that has most of its time; -1 where none has any."""
    if not kinds:
        return np.full(bins.size - 1, -1)
    times: Sequence[Floats] = [
        _summed(edges, (places == kind).astype(np.float64), bins) for kind in range(kinds)
    ]
    table = np.stack(times)
    return np.where(table.max(axis=0) >= _MOMENT, table.argmax(axis=0), -1)
