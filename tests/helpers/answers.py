"""What tests of fidelity share: answers of a model, and limits."""

import numpy as np

from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.limits import Limits

LIMITS = Limits(vad=1e-4, region_logits=1e-3)


def outputs(count: int = 40, seed: int = 0, head: bool = True) -> Outputs:
    rng = np.random.default_rng(seed)
    vad = rng.uniform(0.05, 0.95, (count, 3)).astype(np.float32)
    logits = rng.standard_normal((count, 8)).astype(np.float32) if head else None
    return Outputs.of(vad, logits)


def points(*vad: tuple[float, float, float]) -> Outputs:
    return Outputs.of(np.array(vad, np.float32), None)
