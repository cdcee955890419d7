"""Where later answers of a bundle lie: among its own to the speech of its calibration.

They were given in the proof already, by the graph that is deployed and to clips that no range was
measured on, so that recording them takes no run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_ser.bundle.manifest import file_entry
from edge_ser.bundle.score_reference import COMPUTING_SUFFIXES, ScoreReference
from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN
from edge_ser.fidelity.limits import MIN_JUDGED
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.proof.parity import Parity


def record_ranks(parity: Parity, calibration: CalibrationSet, folder: Path) -> None:
    """Write the reference of a bundle's percentiles, where it can have one.

    Models without dimensions have none, nor do fewer answers than say anything of agreement.

    Args:
        parity: that the bundle's own graph passed.
        calibration: whose judging half the proof's group "speech" is.
        folder: of the bundle, whose graphs are complete.
    """
    rows = [
        u["candidate_vad"]
        for u in parity.utterances
        if "candidate_vad" in u and u["group"] == "speech"
    ]
    if len(rows) < MIN_JUDGED:
        return
    answers = SCORE_MIN + (SCORE_MAX - SCORE_MIN) * np.array(rows, np.float64)
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name.endswith(COMPUTING_SUFFIXES)]
    source = ", ".join((calibration.source, *calibration.splits))
    if calibration.default:
        source += ", synthetic"
    files = [file_entry(folder, path) for path in sorted(paths)]
    ScoreReference.of(answers, source, files).write(folder)
