"""Agreement with what people heard: computed at export, recorded in the manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_ser.typed_json import OpenEnded


@dataclass(frozen=True)
class LabelFidelity(OpenEnded):
    """How well reference and candidate agree with what people heard.

    Attributes:
        count: labelled utterances.
        before: concordance of the reference with the labels, per dimension.
        after: of the candidate.
        change: after - before.
    """

    count: int
    before: dict[str, float]
    after: dict[str, float]
    change: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)
