"""One utterance: what a candidate answers, and how far that is from the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.emotion.decode import CATEGORY_LOGITS, REGION_LOGITS, VAD, Outputs
from edge_ser.emotion.heads import softmax
from edge_ser.errors import BundleError
from edge_ser.session import Session
from edge_ser.utterance import infer
from edge_ser_export.proof.cases import Samples

# Of one utterance, or in words why the candidate gave none.
Answer = Outputs | str


def ask(session: Session, rows: list[Samples]) -> list[Answer]:
    """The session's answer to each row of one batch, or in words why there is none."""
    try:
        outputs = infer(session, rows)
    except BundleError as error:  # of the batch: a runtime does not say which row it was
        subject = error.subject
        name = (
            subject.name if isinstance(subject, Path) else subject
        )  # the report goes to other machines
        return [f"{name}: expected {error.expected}, found {error.found}"] * len(rows)
    answers: list[Answer] = []
    for row in range(len(rows)):
        row_outputs = outputs.rows(slice(row, row + 1))
        finite = all(np.isfinite(array).all() for array in row_outputs.arrays.values())
        answers.append(
            row_outputs if finite else "outputs: expected finite numbers, found NaN or infinity"
        )
    return answers


def difference(reference: Outputs, candidate: Answer) -> dict[str, Any]:
    """A row of `parity.json`: the largest differences of one utterance, and both answers."""
    row: dict[str, Any] = {"vad_max": None, "logits_max": None}
    arrays = None if isinstance(candidate, str) else candidate.arrays
    for name, (key, largest) in _DIFFERENCES.items():
        if name in reference.arrays:
            row[key] = None if arrays is None else largest(reference.arrays[name], arrays[name])
    for name, key in ((VAD, "vad"), (CATEGORY_LOGITS, "category_logits")):
        if name in reference.arrays:
            row[f"reference_{key}"] = _rounded(reference.arrays[name])
            row[f"candidate_{key}"] = None if arrays is None else _rounded(arrays[name])
    return row if arrays is not None else {**row, "failure": candidate}


def off_by(row: dict[str, Any]) -> str:
    """How far the answer of a row is off, in words."""
    if "failure" in row:
        return "no answer"
    if row["vad_max"] is not None:
        return f"VAD off by {row['vad_max']:.2e}"
    return f"probabilities off by {row['probability_max']:.2e}"


def _of_values(reference: Samples, candidate: Samples) -> float:
    return float(np.abs(reference - candidate).max())


def _of_probabilities(reference: Samples, candidate: Samples) -> float:
    return float(np.abs(softmax(reference) - softmax(candidate)).max())


# By the name of the output: key of its largest difference, and how that is taken.
_DIFFERENCES = {
    VAD: ("vad_max", _of_values),
    REGION_LOGITS: ("logits_max", _of_values),
    CATEGORY_LOGITS: ("probability_max", _of_probabilities),
}


def _rounded(array: Samples) -> list[float]:
    return [round(float(v), 6) for v in array[0]]
