"""Enough utterances to judge agreement on, whatever speech a user has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_ser.bundle.files import sha256
from edge_ser.errors import DataError, MissingExtraError
from edge_ser.fidelity.limits import MIN_JUDGED
from edge_ser_export.calibration.classes import Classes
from edge_ser_export.calibration.draw import CalibrationSet, draw


def judge_enough(calibration: CalibrationSet, classes: Classes) -> CalibrationSet:
    """The set, with the package's clips beside the judging half where that is too small.

    Less speech must not be an easier gate: fewer than eight utterances say nothing about agreement.
    The clips that are added have no scores, so that agreement with labels is about the user's.

    Raises:
        DataError: it is too small, and the package's clips are not installed.
    """
    if len(calibration.judge) >= MIN_JUDGED:
        return calibration
    try:
        clips = draw(None, calibration.preprocessing, classes, lambda _: np.array([np.nan]))
    except MissingExtraError as error:
        raise DataError(
            calibration.source,
            expected=f"at least {2 * MIN_JUDGED} different utterances: half of them judge, and "
            f"fewer than {MIN_JUDGED} say nothing about agreement",
            found=f"{len(calibration.fit) + len(calibration.judge)}",
            advice=f"add recordings, or install the package's clips: {error.advice}",
        ) from error
    calibration_hashes = {sha256(u.path) for u in (*calibration.fit, *calibration.judge)}
    more = [u for u in (*clips.judge, *clips.fit) if sha256(u.path) not in calibration_hashes]
    added = tuple(replace(u, scores=None) for u in more[: 2 * MIN_JUDGED - len(calibration.judge)])
    return replace(calibration, judge=(*calibration.judge, *added))
