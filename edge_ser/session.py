"""The one interface between this package and the runtimes."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ser.emotion.decode import Outputs

# What `edge_ser.load` takes: a name in the registry of runtimes, or "auto".
RuntimeName = Literal["auto", "onnx", "openvino", "trt"]
# Of ONNX Runtime.
ProviderName = Literal["cpu", "cuda", "tensorrt", "rtx"]


class Session(Protocol):
    """A loaded model that can be run."""

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Run normalised samples.

        Args:
            samples: `[batch, n]`, each row padded with zeros after its own samples.
            lengths: `[batch]`, samples of each row.

        Raises:
            UsageError: wrong type or shape, or a length outside the model's range.
            BundleError: the model cannot run, or gave something else than finite numbers in the
                shapes of its manifest.
        """

    def close(self) -> None:
        """Give back what the runtime holds; closing again does nothing."""


def computation_of(session: Session) -> str:
    """What its answers are computed by: a runtime's name, "onnx" where the session does not say.

    With another precision than the runtime's usual one behind it, such as "openvino-bf16".
    """
    return str(getattr(session, "computation", "onnx"))


def pad_batch(
    rows: list[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of any length as one batch: samples `[batch, longest]` and lengths `[batch]`."""
    lengths = np.array([r.size for r in rows], dtype=np.int64)
    samples = np.zeros((len(rows), int(lengths.max())), dtype=np.float32)
    for row, x in zip(samples, rows, strict=True):
        row[: x.size] = x
    return samples, lengths
