"""The recorded reference answers that travel in a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_ser.audio import Preprocessing, decode_file
from edge_ser.fidelity import concatenate
from edge_ser.golden import Golden
from edge_ser_export.parity import Reference

# Small enough to travel with every bundle, long and different enough to catch a wrong model.
_UTTERANCES = 3
_SECONDS = 2.0


def make_golden(reference: Reference, preprocessing: Preprocessing, speech: list[Path]) -> Golden:
    """Answers of the PyTorch model for a few utterances and one of the shortest length.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        speech: audio files; the first few are used.
    """
    rate = preprocessing.sample_rate
    clips, names = [], []
    for path in speech[:_UTTERANCES]:
        x = decode_file(path, rate, _SECONDS)
        clips.append(np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16))
        names.append(path.stem)
    middle = clips[0].size // 2
    clips.append(clips[0][middle : middle + preprocessing.min_samples])
    names.append(f"{names[0]}, shortest")
    rows = [preprocessing.normalize(c.astype(np.float32) / np.float32(32768)) for c in clips]
    outputs = concatenate([reference.one(x) for x in rows])
    return Golden(names, clips, outputs.vad, outputs.region_logits)
