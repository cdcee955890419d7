"""One utterance: what a candidate answers, and how far that is from the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.emotion.decode import Outputs
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
        what = error.subject
        name = what.name if isinstance(what, Path) else what  # the report goes to other machines
        return [f"{name}: expected {error.expected}, found {error.found}"] * len(rows)
    answers: list[Answer] = []
    for row in range(len(rows)):
        one = outputs.rows(slice(row, row + 1))
        finite = all(np.isfinite(array).all() for array in one.arrays.values())
        answers.append(one if finite else "outputs: expected finite numbers, found NaN or infinity")
    return answers


def difference(reference: Outputs, candidate: Answer) -> dict[str, Any]:
    """A row of `parity.json`: the largest differences of one utterance, and both VADs on 0..1."""
    answers = {"reference_vad": _rounded(reference), "candidate_vad": None}
    if isinstance(candidate, str):
        return {"vad_max": None, "logits_max": None, **answers, "failure": candidate}
    logits = None
    if reference.region_logits is not None and candidate.region_logits is not None:
        logits = float(np.abs(reference.region_logits - candidate.region_logits).max())
    vad = float(np.abs(reference.vad - candidate.vad).max())
    return {"vad_max": vad, "logits_max": logits, **answers, "candidate_vad": _rounded(candidate)}


def _rounded(outputs: Outputs) -> list[float]:
    return [round(float(v), 6) for v in outputs.vad[0]]
