"""Sessions to export with: a real one, and one that answers wrongly."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle import Bundle
from edge_ser.decode import Outputs
from edge_ser.session import Session
from edge_ser_runtimes import registry

Speech = tuple[Path, ...]


def open_session(bundle: Bundle) -> Session:
    return registry.open_session(bundle, threads=1)


class Sabotaged:
    """A real session that is off by a thousandth, and by another where a row has 7.3 s."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        outputs = self.session.run(samples, lengths)
        off = np.where(lengths == 116_800, 2e-3, 1e-3).astype(np.float32)
        return Outputs(outputs.vad + off[:, None], outputs.region_logits)


def sabotaged(bundle: Bundle) -> Session:
    return Sabotaged(open_session(bundle))
