"""Which utterances calibrate a model of lower precision, and which judge it.

The draw is balanced over length and the model's classes, such as regions of the emotion sphere, and
split in two: ranges measured
on one half are judged on the other. Files are decoded one at a time, so that a corpus of any size
takes the memory of one utterance. Random noise never stands in for speech: a model calibrated on
it would look fine until someone speaks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.audio.files import decode_file
from edge_ser.bundle.files import sha256
from edge_ser.errors import AudioError, DataError, MissingPathError, UsageError
from edge_ser.label_table import Scores
from edge_ser.progress import watched
from edge_ser_export.builtin import default_calibration_samples
from edge_ser_export.calibration.classes import Classes
from edge_ser_export.calibration.sources import Candidate, list_candidates

# Files looked into; ranges settle with far fewer, and decoding all of a corpus takes hours.
MAX_CANDIDATES = 512
# To measure ranges on, and as many to judge the outcome on; see docs/how-to/lower-precision.md.
ENOUGH_CLIPS = 64
# Per cent. One damaged file is an accident; many are the wrong folder or a broken disk.
_MAX_UNUSABLE = 10
# -60 dB of full scale: what a microphone gives that nobody speaks into.
_SILENT_PEAK = 1e-3
# A resampler swings at both ends of a constant signal, for less than 10 ms where measured.
_EDGE_SECONDS = 0.025
_BUILT_IN = "built-in samples"

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """A file that was drawn.

    Attributes:
        path: where it lies.
        seconds: of audio that is used, so at most the pre-processing's longest.
        group: number of its class; None: the model's answer was not finite.
        scores: arousal, dominance, valence on 1..7 where the table has labels.
    """

    path: Path
    seconds: float
    group: int | None
    scores: Scores | None


@dataclass(frozen=True)
class CalibrationSet:
    """Utterances to calibrate on, and as many others to judge the outcome on.

    Attributes:
        source: name of the folder or table, without its path.
        fit: ranges are measured on these; classes alternate, so the first few cover them.
        judge: fidelity is judged on these; no file of `fit`, nor a copy of one, is among them.
        skipped: "name: reason" for files that were looked into and cannot be used.
        fingerprint: SHA-256 over contents and order of the files, and the pre-processing.
        preprocessing: of the model.
        default: whether these are the built-in samples, which are nobody's own speech.
        seed: of the draw.
        regions: names of the classes that have an utterance in `fit` or `judge`; regions, or
            categories of a model without them.
        splits: of the table, that were drawn from; empty where it names none.
    """

    source: str
    fit: tuple[Utterance, ...]
    judge: tuple[Utterance, ...]
    skipped: tuple[str, ...]
    fingerprint: str
    preprocessing: Preprocessing
    default: bool
    seed: int
    regions: tuple[str, ...]
    splits: tuple[str, ...]

    def samples(self, part: Sequence[Utterance]) -> Iterator[Samples]:
        """Decode utterances when they are asked for, one at a time.

        Args:
            part: `fit`, `judge` or some of them.

        Yields:
            Normalised samples `[n]`.

        Raises:
            AudioError: a file was changed after the draw.
            MissingPathError: a file was removed after the draw.
        """
        rules = self.preprocessing
        for utterance in part:
            decoded = decode_file(utterance.path, rules.sample_rate, rules.max_seconds)
            yield rules.apply(decoded, utterance.path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data for the manifest: `fit` and `judge` are counts, seconds of both."""
        return {
            "source": self.source,
            "default": self.default,
            "fit": len(self.fit),
            "judge": len(self.judge),
            "seconds": round(sum(u.seconds for u in (*self.fit, *self.judge)), 3),
            "regions": list(self.regions),
            "splits": list(self.splits),
            "skipped": list(self.skipped),
            "fingerprint": self.fingerprint,
            "seed": self.seed,
        }


def draw(
    source: Path | None,
    preprocessing: Preprocessing,
    classes: Classes,
    answer: Callable[[Samples], NDArray[Any]],
    count: int = ENOUGH_CLIPS,
    seed: int = 7,
    audio: Path | None = None,
    split: str | None = None,
) -> CalibrationSet:
    """Draw utterances, balanced over thirds of length and classes; the same for the same files.

    Args:
        source: a folder, a CSV or a corpus, see `list_candidates`; None: the built-in samples.
        preprocessing: of the model.
        classes: that the draw is balanced over.
        answer: normalised samples `[n]` to a row of the model's `classes.output`; asked for the
            class of files whose labels do not tell it.
        count: most utterances in each half.
        seed: of the draw.
        audio: folder of a table's files, see `list_candidates`.
        split: of a table, see `list_candidates`.

    Raises:
        MissingPathError: nothing is at `source`.
        DataError: it is no folder or table; no audio; labels out of range; more than a tenth of
            the files unusable; silence; fewer than two different utterances.
        UsageError: count or seed out of range.
        MissingExtraError: no source, and the package of the built-in samples is missing.
    """
    if count < 1 or seed < 0:
        raise UsageError("calibration", expected="count >= 1, seed >= 0", found=f"{count}, {seed}")
    place = default_calibration_samples() / "samples.csv" if source is None else source
    candidates = list_candidates(place, audio, split)
    if len(candidates) > MAX_CANDIDATES:
        step = len(candidates) / MAX_CANDIDATES
        candidates = [candidates[int(i * step)] for i in range(MAX_CANDIDATES)]
    survey = _Survey(source or _BUILT_IN, preprocessing, classes, answer)
    for candidate in watched(candidates, name="calibration", unit="file"):
        survey.look_into(candidate)
    survey.check(len(candidates))
    digests, utterances = list(survey.usable), list(survey.usable.values())
    fit, judge = _split(utterances, 2 * count, np.random.default_rng(seed))
    contents = [[digests[i] for i in half] for half in (fit, judge)]
    facts = json.dumps([*contents, asdict(preprocessing)], sort_keys=True)
    covered = {utterances[i].group for i in fit + judge}
    return CalibrationSet(
        source=_BUILT_IN if source is None else source.resolve().name,
        fit=tuple(utterances[i] for i in fit),
        judge=tuple(utterances[i] for i in judge),
        skipped=tuple(survey.skipped),
        fingerprint=hashlib.sha256(facts.encode()).hexdigest(),
        preprocessing=preprocessing,
        default=source is None,
        seed=seed,
        regions=tuple(name for number, name in enumerate(classes.names) if number in covered),
        splits=tuple(sorted({c.split for c in candidates} - {""})),
    )


class _Survey:
    """Decodes candidates and remembers what they are, never what they sound like."""

    def __init__(
        self,
        subject: object,
        preprocessing: Preprocessing,
        classes: Classes,
        answer: Callable[[Samples], NDArray[Any]],
    ) -> None:
        self.subject, self.preprocessing = subject, preprocessing
        self.classes, self.answer = classes, answer
        self.usable: dict[str, Utterance] = {}  # by hash of the file
        self.skipped: list[str] = []
        self.unusable: list[str] = []
        self.silent = 0

    def look_into(self, candidate: Candidate) -> None:
        """Decode one file; it becomes usable, or is skipped with the reason."""
        name, rules = candidate.name, self.preprocessing
        silent = False
        try:
            decoded = decode_file(candidate.path, rules.sample_rate, rules.max_seconds, name)
            silent = _peak(decoded, rules.sample_rate) < _SILENT_PEAK
            normalised = rules.apply(decoded, name)
        except (AudioError, MissingPathError) as error:
            # without the error's subject, which may be an absolute path
            self.unusable.append(f"{name}: expected {error.expected}, found {error.found}")
            self.skipped.append(self.unusable[-1])
            self.silent += silent
            return
        if silent:
            # no error, but nothing to measure ranges on either
            self.skipped.append(f"{name}: near silence, below {_SILENT_PEAK:g} of full scale")
            self.silent += 1
            return
        digest = sha256(candidate.path)
        if digest in self.usable:
            # would be judged on what it was fitted to
            self.skipped.append(f"{name}: a copy of {self.usable[digest].path.name}")
            return
        group = self._class(candidate.scores, normalised)
        seconds = decoded.size / rules.sample_rate
        self.usable[digest] = Utterance(candidate.path, seconds, group, candidate.scores)

    def check(self, total: int) -> None:
        """Refuse silence, too many unusable files, and too few usable ones."""
        bearable = _MAX_UNUSABLE * total / 100
        if self.silent and not self.usable and total - self.silent <= bearable:
            raise DataError(
                self.subject,
                expected="recorded speech",
                found=f"silence: in none of {total} files does the signal leave "
                f"{_SILENT_PEAK:g} of full scale",
                advice="check the microphone or the channel that was recorded",
            )
        if len(self.unusable) > bearable:
            raise DataError(
                self.subject,
                expected=f"at most {_MAX_UNUSABLE} % unusable files",
                found=f"{len(self.unusable)} of {total}: {'; '.join(self.unusable[:3])}",
                advice="remove or repair them",
            )
        if len(self.usable) < 2:
            left_out = f" ({'; '.join(self.skipped[:3])})" if self.skipped else ""
            raise DataError(
                self.subject,
                expected="at least two different utterances, one to fit and one to judge",
                found=f"a calibration set of {'one utterance' if self.usable else 'none'}"
                f"{left_out}",
                advice="add recordings, better a hundred",
            )

    def _class(self, scores: Scores | None, normalised: Samples) -> int | None:
        told = None if scores is None else self.classes.of_scores(scores)
        if told is not None:
            return told
        answer = np.asarray(self.answer(normalised))
        return self.classes.of_answer(answer) if np.isfinite(answer).all() else None


def _peak(samples: Samples, sample_rate: int) -> float:
    """Half the span of `[n]`, so that an offset counts as nothing; ends of long signals apart."""
    edge = int(_EDGE_SECONDS * sample_rate)
    inner = samples[edge:-edge] if samples.size > 4 * edge else samples
    return float(np.ptp(inner)) / 2 if inner.size else 0.0


def _split(
    utterances: Sequence[Utterance], max_count: int, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Draw at most so many and split them: indices of fit, and of judge.

    Strata are class x third of length. They take turns, classes first, until enough are drawn; then
    the drawn ones of neighbouring strata go to fit and judge alternately, so that a class with two
    of them is in both.
    """
    seconds = np.array([u.seconds for u in utterances])
    thirds = np.searchsorted(np.quantile(seconds, [1 / 3, 2 / 3]), seconds)
    classes: dict[int, dict[int, list[int]]] = {}
    for index, utterance in enumerate(utterances):
        group = -1 if utterance.group is None else utterance.group
        classes.setdefault(group, {}).setdefault(int(thirds[index]), []).append(index)
    turns: list[tuple[int, int, int, int]] = []  # round, turn within the class, class, index
    line: list[int] = []  # all indices, strata of a class side by side
    for number, (_, strata) in enumerate(sorted(classes.items())):
        # every other class backwards, or short ones would go to fit and long ones to judge
        ordered = [strata[third] for third in sorted(strata, reverse=bool(number % 2))]
        for place, members in enumerate(ordered):
            turn = (place + number) % len(ordered)
            shuffled = [members[i] for i in rng.permutation(len(members))]
            turns += [(lap, turn, number, index) for lap, index in enumerate(shuffled)]
            line += shuffled
    drawn = [index for *_, index in sorted(turns)[:max_count]]
    drawn_indices = set(drawn)
    halves = [index for index in line if index in drawn_indices]
    to_fit = set(halves[::2])
    return [i for i in drawn if i in to_fit], [i for i in drawn if i not in to_fit]
