"""The recorded reference answers that travel in a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing, from_int16, to_int16
from edge_ser.audio_files import decode_file
from edge_ser.bundle.golden import Golden
from edge_ser.errors import DataError
from edge_ser.fidelity.compare import concatenate
from edge_ser_export.proof.parity import Reference
from edge_ser_runtimes.engines.profiles import GOLDEN_SECONDS

# Small enough to travel with every bundle, long and different enough to catch a wrong model.
_UTTERANCES = 3


def make_golden(reference: Reference, preprocessing: Preprocessing, speech: list[Path]) -> Golden:
    """Answers of the PyTorch model for a few utterances and one of the shortest length.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        speech: audio files; the first few that are long enough are used.

    Raises:
        DataError: none is.
    """
    rate = preprocessing.sample_rate
    # a quarter of a second at least, so that its middle is speech, and holds the shortest length
    shortest = max(rate // 4, 2 * preprocessing.min_samples)
    clips: list[NDArray[np.int16]] = []
    names: list[str] = []
    for path in speech:
        x = decode_file(path, rate, GOLDEN_SECONDS)
        if x.size < shortest or not x.any() or len(clips) == _UTTERANCES:
            continue
        clips.append(to_int16(x))
        names.append(path.stem)
    if not clips:
        raise DataError(
            "recorded answers",
            expected=f"audio of at least {shortest / rate:g} s",
            found="only shorter",
        )
    middle = clips[0].size // 2
    clips.append(clips[0][middle : middle + preprocessing.min_samples])
    names.append(f"{names[0]}, shortest")
    rows = [preprocessing.normalize(from_int16(c)) for c in clips]
    outputs = concatenate([reference.one(x) for x in rows])
    return Golden(names, clips, outputs.vad, outputs.region_logits)
