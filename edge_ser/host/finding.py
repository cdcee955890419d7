"""What was looked for on a machine and what was found: a line of `edge-ser doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "missing", "advice", "fails"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        area: what it belongs to, such as "runtime".
        name: of what was looked for.
        state: "ok"; "missing"; "advice": it works, and could be better; "fails": of a bundle, or of
            the search itself.
        found: what is there.
        advice: what to do, where there is something to do.
    """

    area: str
    name: str
    state: State
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON-ready data."""
        return asdict(self)
