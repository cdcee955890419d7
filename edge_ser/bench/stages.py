"""Where the time of an utterance goes: reading, resampling, preparing, the model, the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.audio import Preprocessing, resample
from edge_ser.audio.files import decode_file
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.decode import Outputs
from edge_ser.measure.stats import quantile
from edge_ser.session import pad_batch
from edge_ser.utterance import answer, prepare

STAGES = ("read", "resample", "prepare", "session", "answer")


def stages(
    manifest: Manifest,
    run: Callable[[Any], Outputs],
    path: Path,
    rate: int,
    batch: int = 1,
    repetitions: int = 15,
) -> dict[str, float]:
    """Time the steps that `Recognizer` takes from a file to an emotion.

    Args:
        manifest: of the model.
        run: takes `(samples, lengths)` as `session.pad_batch` gives them.
        path: audio file.
        rate: Hz of the file.
        batch: utterances that share a run of the model; all are this file.
        repetitions: after one that warms up.

    Returns:
        seconds of each of `STAGES`, medians: "read" decodes the file as mono, "resample" brings it
        to the model's rate, "prepare" checks, normalises and pads, "session" is the model, "answer"
        makes `Emotion`s of its numbers.
    """
    p: Preprocessing = manifest.preprocessing
    rows: list[dict[str, float]] = []
    for _ in range(repetitions + 1):
        marks = [time.perf_counter()]
        decoded = [decode_file(path, rate, p.max_seconds) for _ in range(batch)]
        marks.append(time.perf_counter())
        resampled = [resample(x, rate, p.sample_rate)[: p.max_samples] for x in decoded]
        marks.append(time.perf_counter())
        utterances = [prepare(x, p, str(path)) for x in resampled]
        ready = pad_batch([u.samples for u in utterances])
        marks.append(time.perf_counter())
        outputs = run(ready)
        marks.append(time.perf_counter())
        answer(outputs, utterances, manifest.partition, manifest.categories)
        marks.append(time.perf_counter())
        rows.append(dict(zip(STAGES, np.diff(marks).tolist(), strict=True)))
    return {stage: quantile([row[stage] for row in rows[1:]], 0.5) for stage in STAGES}
