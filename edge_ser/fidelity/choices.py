"""Which of several categories two models find most probable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import CATEGORY_LOGITS, Outputs
from edge_ser.emotion.heads import softmax
from edge_ser.fidelity.points import mean


def compare_choice(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    margin: float | None,
    judged: NDArray[np.bool_],
) -> dict[str, Any]:
    """Which of the most probable categories changed, of logits `[n, categories]`."""
    before, after = softmax(reference), softmax(candidate)
    best = np.sort(before, axis=1)
    lead = best[:, -1] - best[:, -2] if before.shape[1] > 1 else best[:, -1]
    moved = 2 * np.abs(before - after).max(1)
    far = lead > (moved if margin is None else margin)
    flips = before.argmax(1) != after.argmax(1)
    return {
        "categories_far": int(far.sum()),
        "category_flips_far": int((flips & far).sum()),
        "categories_near": int((~far).sum()),
        "category_flips_near": int((flips & ~far).sum()),
        "category_flip_rate": mean(flips[far & judged]),
    }


def farthest(reference: Outputs, candidate: Outputs) -> int:
    """Position of the utterance whose probabilities moved most."""
    before, after = (softmax(x.arrays[CATEGORY_LOGITS]) for x in (reference, candidate))
    return int(np.abs(before - after).max(1).argmax())
