"""Sessions to export with: a real one, and one that answers wrongly."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError
from edge_ser.session import Session
from edge_ser_runtimes import registry

Speech = tuple[Path, ...]


def open_session(bundle: Bundle, runtime: str = "auto") -> Session:
    return registry.open_session(bundle, runtime, threads=1)


class Sabotaged:
    """A real session that is off by a thousandth, and by another where a row has 7.3 s."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        outputs = self.session.run(samples, lengths)
        off = np.where(lengths == 116_800, 2e-3, 1e-3).astype(np.float32)
        return Outputs.of(outputs.vad + off[:, None], outputs.region_logits)

    def close(self) -> None:
        self.session.close()


class Speechless:
    """A session that gives NaN where a row of a batch has a number of samples, as runtimes do."""

    def __init__(self, session: Session, samples: int, refuses: bool = True) -> None:
        self.session, self.samples, self.refuses = session, samples, refuses

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        outputs = self.session.run(samples, lengths)
        bad = lengths == self.samples
        if bad.any() and self.refuses:
            raise BundleError(
                Path("/exporting/machine/model.onnx"),
                expected="finite numbers",
                found="NaN or infinity",
            )
        vad = np.where(bad[:, None], np.float32(np.nan), outputs.vad)
        return Outputs.of(vad, outputs.region_logits)

    def close(self) -> None:
        self.session.close()


def sabotaged(bundle: Bundle, runtime: str = "auto") -> Session:
    return Sabotaged(open_session(bundle, runtime))
