"""The recorded utterances and answers that travel in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing, from_int16, to_int16
from edge_ser.audio.files import decode_file
from edge_ser.bundle.golden import Golden
from edge_ser.errors import DataError
from edge_ser.fidelity.compare import concatenate
from edge_ser.fidelity.limits import MIN_JUDGED
from edge_ser_export.proof.cases import Samples
from edge_ser_export.proof.reference import Reference

# Twice what statistics need. With the lengths below, 0.4 MB travel with every bundle.
UTTERANCES = 2 * MIN_JUDGED
# In turn, so that a padded batch has something to pad; none above `profiles.GOLDEN_SECONDS`.
_SECONDS = (1.2, 0.8, 0.9, 0.6)


def make_golden(
    reference: Reference, preprocessing: Preprocessing, speech: Sequence[Path]
) -> Golden:
    """Answers of the PyTorch model for sixteen short utterances and one of the shortest length.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        speech: audio files; each is used before any is used again, in another place.

    Raises:
        DataError: too little speech to judge agreement on.
    """
    clips, names = _cut(preprocessing, speech)
    if len(clips) < MIN_JUDGED:
        raise DataError(
            "recorded answers",
            expected=f"speech for at least {MIN_JUDGED} utterances of "
            f"{_shortest(preprocessing) / preprocessing.sample_rate:g} s or more",
            found=f"{len(clips)} in {len(speech)} files" if clips else "only shorter",
        )
    middle = clips[0].size // 2
    clips.append(clips[0][middle : middle + preprocessing.min_samples])
    names.append(f"{names[0]}, shortest")
    rows = [preprocessing.normalize(from_int16(clip)) for clip in clips]
    return Golden(names, clips, concatenate([reference.one(row) for row in rows]))


def _cut(
    preprocessing: Preprocessing, speech: Sequence[Path]
) -> tuple[list[NDArray[np.int16]], list[str]]:
    """At most `UTTERANCES` stretches of the files, and their names."""
    rate = preprocessing.sample_rate
    clips: list[NDArray[np.int16]] = []
    names: list[str] = []
    lap, grown = 0, True
    while grown and len(clips) < UTTERANCES:
        grown = False
        for path in speech:
            # of few files, many short stretches
            seconds = min(_SECONDS) if lap else _SECONDS[len(clips) % len(_SECONDS)]
            wanted = round(seconds * rate)
            count = max(min(wanted, preprocessing.max_samples), _shortest(preprocessing))
            decoded = decode_file(path, rate, preprocessing.max_seconds)
            part = _stretch(decoded, count, lap)
            if len(clips) < UTTERANCES and part.size >= _shortest(preprocessing) and part.any():
                clips.append(to_int16(part))
                names.append(path.stem if lap == 0 else f"{path.stem}, part {lap + 1}")
                grown = True
        lap += 1
    return clips, names


def _shortest(preprocessing: Preprocessing) -> int:
    """Samples of an utterance, at least: its middle is speech, and holds the shortest length."""
    return max(preprocessing.sample_rate // 4, 2 * preprocessing.min_samples)


def _stretch(samples: Samples, count: int, lap: int) -> Samples:
    """The loudest stretch of so many samples, then the second loudest ...; empty without one."""
    starts = range(0, max(samples.size - count, 0) + 1, count)
    energies = [float(np.square(samples[s : s + count], dtype=np.float64).sum()) for s in starts]
    order = np.argsort(energies)[::-1]
    if lap >= len(order):
        return samples[:0]
    start = starts[int(order[lap])]
    return samples[start : start + count]
