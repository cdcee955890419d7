"""The recorded reference answers that travel in a bundle."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import BundleError


class Golden:
    """A few utterances with the reference's answers.

    Attributes:
        names: of the utterances.
        samples: mono int16 at the model's rate, one array `[n]` per utterance.
        vad: `[utterances, 3]` float32 on 0..1.
        region_logits: `[utterances, regions]` float32, or None.
    """

    def __init__(
        self,
        names: list[str],
        samples: list[NDArray[np.int16]],
        vad: NDArray[np.float32],
        region_logits: NDArray[np.float32] | None,
    ) -> None:
        self.names, self.samples = names, samples
        self.vad, self.region_logits = vad, region_logits

    def check(self, source: object) -> None:
        """Refuse answers that do not fit their utterances."""
        n = len(self.names)
        sound = (
            n > 0
            and all(x.ndim == 1 and x.dtype == np.int16 for x in self.samples)
            and self.vad.shape == (n, 3)
            and self.vad.dtype == np.float32
            and (self.region_logits is None or len(self.region_logits) == n)
        )
        if not sound:
            raise BundleError(
                source,
                expected="int16 utterances and float32 answers for each",
                found=f"{n} names, vad {self.vad.dtype} {list(self.vad.shape)}",
                advice="export again",
            )

    def save(self, path: Path) -> None:
        """Write as compressed npz."""
        arrays: dict[str, NDArray[Any]] = {"names": np.array(self.names), "vad": self.vad}
        arrays |= {f"samples_{i}": x for i, x in enumerate(self.samples)}
        if self.region_logits is not None:
            arrays["region_logits"] = self.region_logits
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read; nothing is unpickled.

        Raises:
            BundleError: damaged or incomplete.
        """
        try:
            data: Any = np.load(path, allow_pickle=False)
            if not isinstance(data, np.lib.npyio.NpzFile):
                raise ValueError("an array without names")
            with data:
                names = [str(n) for n in data["names"]]
                samples = [data[f"samples_{i}"] for i in range(len(names))]
                logits = data.get("region_logits")
                golden = cls(names, samples, data["vad"], logits)
            golden.check(path)
            return golden
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BundleError(
                path,
                expected="recorded answers",
                found="a damaged or foreign file",
                advice="export again",
            ) from error
