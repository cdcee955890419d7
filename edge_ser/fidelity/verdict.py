"""What of a comparison is judged, and by which limits; all else is only shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_ser.fidelity.compare import Fidelity
from edge_ser.fidelity.limits import Limits


@dataclass(frozen=True)
class Verdict:
    """Groups of utterances, and whether a candidate gives the reference's answers to them.

    Attributes:
        groups: fidelity by name of the group.
        asked: limits by name of the group; a group that has none is only shown.
        notes: what else to say about how it was judged, in words.
    """

    groups: Mapping[str, Fidelity]
    asked: Mapping[str, Limits]
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> dict[str, Limits]:
        """What decides: limits by name of the group; those that are None there are not judged."""
        return {
            name: self.asked[name].of_count(fidelity.judged)
            for name, fidelity in self.groups.items()
            if name in self.asked
        }

    @property
    def judged_record(self) -> dict[str, dict[str, float | None]]:
        """`judged` as JSON-ready data."""
        return {name: limits.to_dict() for name, limits in self.judged.items()}

    @property
    def failures(self) -> list[str]:
        """Broken limits, in words."""
        return [
            f"{name}: {failure}"
            for name, limits in self.judged.items()
            for failure in self.groups[name].failures(limits)
        ]

    @property
    def not_judged(self) -> list[str]:
        """Limits that a group was too small for, in words."""
        notes = {n: self.groups[n].not_judged(self.asked[n]) for n in self.judged}
        return [f"{name}: {note}" for name, note in notes.items() if note]

    @property
    def passed(self) -> bool:
        """Whether no limit is broken."""
        return not self.failures


def by_limits(judged: Mapping[str, Limits]) -> dict[Limits, list[str]]:
    """Names of groups by what they are judged by."""
    names: dict[Limits, list[str]] = {}
    for name, limits in judged.items():
        names.setdefault(limits, []).append(name)
    return names
