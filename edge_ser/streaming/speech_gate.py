"""When somebody speaks, told block by block: as `edge_ser.audio.speech`, of audio that goes on."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from edge_ser.audio import Samples
from edge_ser.audio.speech import FRAMES_A_SECOND, frame_levels, speech_level
from edge_ser.errors import UsageError

# Frames that are judged together, a tenth of a second, and how many of them must be speech.
_FRAMES, _LEAST_SPEECH = 10, 3
# Blocks of them that begin an utterance, and from how many the floor of noise is taken: 5 s.
_STARTING, _REMEMBERED = 2, 50
# Below a bit of 16: a microphone that is on is louder.
_NOTHING_DBFS = -110.0
# Utterances that nobody asked for, at most.
_KEPT = 1000


class SpokenSpan(NamedTuple):
    """An utterance, from its first sound to its last.

    Attributes:
        start: seconds from the start of the stream.
        end: seconds.
    """

    start: float
    end: float


class SpeechGate:
    """Follows speech and pauses; what it says does not depend on how samples come in blocks.

    Args:
        sample_rate: Hz.
        pause: seconds without speech that end an utterance.

    Attributes:
        is_speech: whether somebody speaks, or is in a pause shorter than that.

    Raises:
        UsageError: a pause below a tenth of a second, or not finite.
    """

    def __init__(self, sample_rate: int, pause: float) -> None:
        if not _FRAMES / FRAMES_A_SECOND <= pause < math.inf:
            raise UsageError("pause", expected="seconds, from 0.1 on", found=f"{pause:g}")
        self._rate, self._frame = sample_rate, sample_rate // FRAMES_A_SECOND
        self._pause = math.ceil(round(pause * FRAMES_A_SECOND / _FRAMES, 6))  # in blocks
        self._levels: deque[Samples] = deque(maxlen=_REMEMBERED)
        self._rest, self._before = np.zeros(0, np.float32), 0.0
        self._blocks = self._speech_run = self._silent_run = self._start = 0
        self._turns: deque[tuple[int, bool]] = deque()  # position from which on it is so
        self._ended: deque[SpokenSpan] = deque(maxlen=_KEPT)
        self.is_speech = False

    def push(self, samples: Samples) -> None:
        """Take samples, `[n]` float32, finite."""
        waiting = np.concatenate([self._rest, samples])
        size = self._frame * _FRAMES
        whole = waiting.size // size * size
        self._rest = waiting[whole:]
        if not whole:
            return
        levels = frame_levels(waiting[:whole], self._frame, self._before)
        self._before = float(waiting[whole - 1])
        for block in levels.reshape(-1, _FRAMES):
            self._judge(block)

    def last(self) -> None:
        """The audio ends, and the utterance with it."""
        if self.is_speech:
            self._end_utterance()

    def was_speech(self, position: int) -> bool:
        """Whether somebody spoke there; positions are asked for in their order.

        Args:
            position: in samples, at most those taken.
        """
        while len(self._turns) > 1 and self._turns[1][0] <= position:
            self._turns.popleft()
        return bool(self._turns) and self._turns[0][0] <= position and self._turns[0][1]

    def ended(self) -> list[SpokenSpan]:
        """The utterances that ended since this was last asked; of those the last thousand."""
        spans = []
        while self._ended:
            spans.append(self._ended.popleft())
        return spans

    def _judge(self, levels: Samples) -> None:
        self._blocks += 1
        # nothing at all, as of a muted microphone, is not how quiet the room is
        if float(levels.max()) > _NOTHING_DBFS:
            self._levels.append(levels)
        if self._levels and self._is_loud(levels):
            self._speech_run, self._silent_run = self._speech_run + 1, 0
        else:
            self._speech_run, self._silent_run = 0, self._silent_run + 1
        if not self.is_speech and self._speech_run == _STARTING:
            self.is_speech, self._start = True, self._blocks - _STARTING
            self._turn()
        elif self.is_speech and self._silent_run == self._pause:
            self._end_utterance()

    def _is_loud(self, levels: Samples) -> bool:
        threshold = speech_level(np.concatenate(self._levels))
        return int(np.count_nonzero(levels > threshold)) >= _LEAST_SPEECH

    def _end_utterance(self) -> None:
        self.is_speech = False
        seconds = _FRAMES * self._frame / self._rate
        end = self._blocks - self._silent_run
        self._ended.append(SpokenSpan(self._start * seconds, end * seconds))
        self._turn()

    def _turn(self) -> None:
        self._turns.append((self._blocks * _FRAMES * self._frame, self.is_speech))
