"""How likely each region or category is, by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Probabilities(Mapping[str, float]):
    """Name to probability, in the order of the classifier's outputs; the sum is 1.

    `p["IV"]` is one of them, `dict(p)` and `p.items()` all, and `np.asarray(p)` `[names]` float64.

    Args:
        names: of what there is.
        shares: a probability for each.
    """

    __slots__ = ("_by_name",)
    _title = "probabilities"

    def __init__(self, names: Sequence[str], shares: Sequence[float]) -> None:
        self._by_name = dict(zip(names, shares, strict=True))

    def __getitem__(self, name: str) -> float:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name.items()))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self._title}: an array of them is always a copy")
        return np.array([*self._by_name.values()], np.float64 if dtype is None else dtype)

    def __repr__(self) -> str:
        shares = ", ".join(f"{name!r}: {share:.3f}" for name, share in self.items())
        return f"{type(self).__name__}({{{shares}}})"


class RegionProbabilities(Probabilities):
    """Of regions."""

    __slots__ = ()
    _title = "region probabilities"
