"""A clip at a time, clean and under every condition, through one bundle or two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Samples
from edge_ser.audio.inputs import hear
from edge_ser.batching import in_batches
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.errors import AudioError, EdgeSerError, MissingPathError
from edge_ser.recognizer import Recognizer
from edge_ser.stress.clips import Clips
from edge_ser.stress.perturbations import Condition
from edge_ser.utterance import Utterance, prepare

# Clips that are kept in memory to talk beside the others.
_MOST_TALKERS = 12
_UNHEARD = (AudioError, MissingPathError)


class Answering:
    """Collects answers, so that the audio of one clip is in memory, whatever their number.

    Args:
        recognizers: that answer the same samples.
        conditions: to try.
        clips: of speech.
        batch_size: versions of a clip per run of a model.

    Attributes:
        not_tried: why, by the name of a condition that cannot be had here.
        unusable: "file: reason" of clips that have no part, or none under one condition.
    """

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        conditions: Sequence[Condition],
        clips: Clips,
        batch_size: int,
    ) -> None:
        self._recognizers, self._conditions, self._clips = recognizers, conditions, clips
        self._batch_size = batch_size
        self._rules = recognizers[0].manifest.preprocessing
        self._talkers: dict[int, Samples] | None = None
        self.not_tried: dict[str, str] = {}
        self.unusable: list[str] = []

    def take(self, index: int) -> tuple[NDArray[np.float32], float] | None:
        """Answer all versions of a clip.

        Args:
            index: of it.

        Returns:
            `[recognisers, 1 + conditions, 3]` on 0..1, the clean answers first, NaN where there is
            none; and the seconds of the clip. None where the clean clip cannot be answered.

        Raises:
            BundleError: a bundle cannot be run.
        """
        name = self._clips.names[index]
        try:
            samples = self._hear(index)
            others = self._others(index)
            versions = [samples, *(self._perturbed(c, samples, name, others)
                                   for c in self._conditions)]  # fmt: skip
            rows = [self._answered(recognizer, versions, name) for recognizer in self._recognizers]
        except _UNHEARD as error:
            self.unusable.append(f"{name}: {_reason(error)}")
            return None
        return np.stack(rows), samples.size / self._rules.sample_rate

    def _hear(self, index: int) -> Samples:
        path, name = self._clips.files[index], self._clips.names[index]
        channel = self._recognizers[0].hearing.channel
        return hear(path, None, self._rules, name, channel).recording.samples

    def _perturbed(
        self, condition: Condition, samples: Samples, name: str, others: Sequence[Samples]
    ) -> Samples | None:
        """A version of a clip; None of conditions that cannot be had here."""
        if condition.name in self.not_tried:
            return None
        try:
            return condition.apply(samples, self._rules.sample_rate, name, others)
        except AudioError as error:
            self.not_tried[condition.name] = str(error)
            return None

    def _answered(
        self, recognizer: Recognizer, versions: Sequence[Samples | None], name: str
    ) -> NDArray[np.float32]:
        """`[versions, 3]` on 0..1; NaN where there is no version, or no answer to it.

        Raises:
            AudioError: the clean clip, which is the first version, cannot be answered.
        """
        rows = np.full((len(versions), len(DIMENSIONS)), np.nan, np.float32)
        there = [(i, version) for i, version in enumerate(versions) if version is not None]

        def prepared(position: int) -> Utterance:
            return prepare(there[position][1], self._rules, name, name)

        def run(utterances: list[Utterance]) -> list[NDArray[np.float32]]:
            return list(recognizer.infer(utterances).vad)

        for position, outcome in in_batches(len(there), prepared, run, self._batch_size):
            number = there[position][0]
            if not isinstance(outcome, EdgeSerError):
                rows[number] = outcome
            elif number == 0 or not isinstance(outcome, AudioError):
                raise outcome
            else:
                where = self._conditions[number - 1].name
                self.unusable.append(f"{name} under {where}: {_reason(outcome)}")
        return rows

    def _others(self, index: int) -> list[Samples]:
        """Clips that talk beside this one: the first of all that can be heard."""
        if self._talkers is None:
            self._talkers = {}
            if any(condition.kind == "babble" for condition in self._conditions):
                self._find_talkers(self._talkers)
        return [samples for number, samples in self._talkers.items() if number != index]

    def _find_talkers(self, talkers: dict[int, Samples]) -> None:
        for number in range(len(self._clips.files)):
            if len(talkers) > _MOST_TALKERS:
                return
            try:
                samples = self._hear(number)
            except _UNHEARD:
                continue  # told when its own turn comes
            if samples.any():
                talkers[number] = samples


def _reason(error: EdgeSerError) -> str:
    """An error without its subject, which is said before it."""
    return f"expected {error.expected}, found {error.found}"
