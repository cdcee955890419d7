"""What every runtime checks before it computes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, UsageError


class BaseSession(ABC):
    """A session over a bundle: `run` checks, `_run` computes.

    Args:
        bundle: verified model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        p = bundle.manifest.preprocessing
        self._min, self._max = p.min_samples, p.max_samples
        self._most = bundle.manifest.max_batch  # rows of a run; a subclass may take fewer

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Run normalised samples `[batch, n]` of the given lengths `[batch]`.

        Raises:
            UsageError: wrong type or shape, or a length outside the model's range.
            BundleError: the model gave something else than its manifest says.
        """
        if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[0] == 0:
            raise UsageError(
                "samples",
                expected="float32 [batch, n]",
                found=f"{samples.dtype} {list(samples.shape)}",
            )
        if lengths.dtype != np.int64 or lengths.shape != samples.shape[:1]:
            raise UsageError(
                "lengths",
                expected=f"int64 [{samples.shape[0]}]",
                found=f"{lengths.dtype} {list(lengths.shape)}",
            )
        shortest, longest = int(lengths.min()), int(lengths.max())
        if shortest < self._min or longest > min(self._max, samples.shape[1]):
            raise UsageError(
                "lengths",
                expected=f"{self._min} to {min(self._max, samples.shape[1])} samples",
                found=f"{shortest} to {longest}",
            )
        most = self._most or lengths.size
        parts = [
            self._run(samples[first : first + most, : lengths[first : first + most].max()],
                      lengths[first : first + most])
            for first in range(0, lengths.size, most)
        ]  # fmt: skip
        outputs = parts[0]
        if len(parts) > 1:
            # here, as a first result should not wait for what judges answers
            from edge_ser.fidelity.compare import concatenate

            outputs = concatenate(parts)
        self._check(outputs, samples.shape[0])
        return outputs

    def _check(self, outputs: Outputs, batch: int) -> None:
        expected = [("vad", outputs.vad, 3)]
        if outputs.region_logits is not None:
            regions = len(self.bundle.manifest.partition.regions)
            expected.append(("region_logits", outputs.region_logits, regions))
        for name, array, width in expected:
            if array.shape != (batch, width):
                raise BundleError(
                    f"output {name}", expected=f"[{batch}, {width}]", found=f"{list(array.shape)}"
                )
            if not np.isfinite(array).all():
                raise BundleError(
                    f"output {name}",
                    expected="finite numbers",
                    found="NaN or infinity",
                    advice="use a bundle of higher precision",
                )

    @abstractmethod
    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Compute; inputs are checked and as short as the longest row."""
