"""Are a checkpoint's answers on the scale that its bundle will read them on?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.errors import CheckpointError

# Answers are read on 0..1 and cut to it. A model's answers to speech spread around the middle, and
# some lie a little outside; a typical one that is a whole range above is of another scale. On
# 1..5, 1..7 or 0..100 typical answers are 2.4 to 50. No scale in use lies below, but models that
# have hardly learnt anything do.
_LEAST, _MOST = -1.5, 2.0
# On -1..1 a typical answer is 0, as of a model that has hardly learnt anything: that is not seen.


def check_scale(vad: NDArray[np.float32]) -> None:
    """Refuse a head whose every answer would be cut to the end of the scale.

    Args:
        vad: `[utterances, 3]`, the reference's answers to speech, not cut.

    Raises:
        CheckpointError: a dimension's median is far outside 0..1.
    """
    medians = np.median(vad.astype(np.float64), axis=0)
    if not ((medians < _LEAST) | (medians > _MOST)).any():
        return
    listed = ", ".join(f"{n} {m:.2f}" for n, m in zip(DIMENSIONS, medians.tolist(), strict=True))
    width = SCORE_MAX - SCORE_MIN
    raise CheckpointError(
        "the checkpoint's answers to speech",
        expected="numbers around 0..1, which are scores of "
        f"{SCORE_MIN:g}..{SCORE_MAX:g} as (score - {SCORE_MIN:g}) / {width:g}",
        found=f"medians {listed}",
        advice="rescale the last layer to 0..1 before the export: one that was trained on "
        f"{SCORE_MIN:g}..{SCORE_MAX:g} needs weight / {width:g} and "
        f"(bias - {SCORE_MIN:g}) / {width:g}, one on LOW..HIGH weight / (HIGH - LOW) and "
        "(bias - LOW) / (HIGH - LOW)",
    )
