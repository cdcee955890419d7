"""Speech that travels in a bundle, with the reference's answers to it and the bundle's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.npz import DAMAGED, read_arrays
from edge_ser.emotion.decode import CATEGORY_LOGITS, VAD, Outputs
from edge_ser.errors import BundleError

_NAMES, _SAMPLES = "names", "samples_"


@dataclass(frozen=True)
class Golden:
    """A few utterances with answers to them.

    In its file, the reference's outputs have the names of the graph, and the bundle's own the name
    of the runtime before them, such as `onnx.vad`.

    Attributes:
        names: of the utterances.
        samples: mono int16 at the model's rate, one array `[n]` per utterance.
        reference: the PyTorch model's answers, float32.
        own: what the bundle itself answered where it was exported, by the runtime that ran it;
            empty in bundles of earlier versions.
    """

    names: list[str]
    samples: list[NDArray[np.int16]]
    reference: Outputs
    own: Mapping[str, Outputs] = field(default_factory=dict)

    def with_own(self, answers: Mapping[str, Outputs | None]) -> Golden:
        """The same with the bundle's own answers by runtime, where there are any."""
        return replace(self, own={name: own for name, own in answers.items() if own is not None})

    def own_in(self, runtime: str) -> Outputs | None:
        """The bundle's own answers to compare a runtime's with; None where none are recorded."""
        return self.own.get(runtime, self.own.get("onnx"))

    def check(self, source: object) -> None:
        """Refuse answers that do not fit their utterances."""
        n = len(self.names)
        answers = self.reference.arrays
        shapes = {name: array.shape for name, array in self.reference.arrays.items()}
        sound = (
            n > 0
            and all(x.ndim == 1 and x.dtype == np.int16 for x in self.samples)
            and (VAD in answers or CATEGORY_LOGITS in answers)
            and (VAD not in answers or answers[VAD].shape == (n, 3))
            and all(
                array.ndim == 2 and len(array) == n and array.dtype == np.float32
                for array in self.reference.arrays.values()
            )
            and all(
                {name: array.shape for name, array in own.arrays.items()} == shapes
                and all(array.dtype == np.float32 for array in own.arrays.values())
                for own in self.own.values()
            )
        )
        if not sound:
            raise BundleError(
                source,
                expected="int16 utterances and float32 answers for each",
                found=f"{n} names, {_told(answers) or 'no answers'}",
                advice="export again",
            )

    def save(self, path: Path) -> None:
        """Write as compressed npz."""
        arrays: dict[str, Any] = {_NAMES: np.array(self.names), **self.reference.arrays}
        arrays |= {f"{_SAMPLES}{i}": x for i, x in enumerate(self.samples)}
        for runtime, answers in self.own.items():
            arrays |= {f"{runtime}.{name}": array for name, array in answers.arrays.items()}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Golden:
        """As `read`, of a file of that name."""
        with path.open("rb") as file:
            return cls.read(file, path)

    @classmethod
    def read(cls, file: BinaryIO, path: Path) -> Golden:
        """Read; nothing is unpickled.

        Args:
            file: that is read.
            path: named in errors.

        Raises:
            BundleError: damaged or incomplete.
        """
        try:
            arrays = read_arrays(file)
            names = [str(n) for n in arrays.pop(_NAMES)]
            samples = [arrays.pop(f"{_SAMPLES}{i}") for i in range(len(names))]
            answers: dict[str, dict[str, NDArray[np.float32]]] = {"": {}}
            for key, array in arrays.items():
                if not key.startswith(_SAMPLES):
                    runtime, _, output = key.rpartition(".")
                    answers.setdefault(runtime, {})[output] = array
            reference = Outputs(answers.pop(""))
            golden = cls(names, samples, reference, {k: Outputs(v) for k, v in answers.items()})
            golden.check(path)
            return golden
        except DAMAGED as error:
            raise BundleError(
                path,
                expected="recorded answers",
                found="a damaged or foreign file",
                advice="export again",
            ) from error


def _told(arrays: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in arrays.items())
