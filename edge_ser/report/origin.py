"""What a report says for who signs it: when and where it was written, and about what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from edge_ser.bundle import provenance
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import Row
from edge_ser.host.facts import Machine


@dataclass(frozen=True)
class Writing:
    """The writing of a page.

    Attributes:
        date: with its time zone.
        machine: that the page was written on.
        runtime: that ran the bundle there, with versions, in words.
        reference: sha256 of the checkpoint that the bundle was compared with there; empty: the
            comparisons with the checkpoint are those recorded at export.
        ran_engine: whether what ran there was the bundle's TensorRT engine.
    """

    date: datetime
    machine: Machine
    runtime: str
    reference: str = ""
    ran_engine: bool = False


def place_rows(written: Writing) -> list[Row]:
    """When a page was written, and on which machine."""
    rows = [
        ("written", f"{written.date.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"),
        ("on", str(written.machine)),
    ]
    if written.machine.flags:
        rows.append(("instructions", ", ".join(written.machine.flags)))
    return [*rows, ("with", f"{written.runtime}, Python {written.machine.python}")]


def writing_rows(written: Writing, ran: bool = True) -> list[Row]:
    """About the page of a bundle.

    Args:
        written: when and where.
        ran: whether a device ran the recorded answers for it.
    """
    *rows, (_, runtime) = place_rows(written)
    rows.append(("run by" if ran or written.reference else "written by", runtime))
    exported = "the checkpoint itself, when the bundle was exported"
    if written.reference:
        rows.append(("against", f"the checkpoint sha256 {written.reference}, here and now"))
    elif ran:
        rows.append(("against", f"the recorded answers, on the device; {exported}"))
    else:
        rows.append(("against", exported))
    return rows


def bundle_rows(manifest: Manifest) -> list[Row]:
    """About the bundle."""
    origin = manifest.provenance
    checkpoint = origin.checkpoint
    rows = [
        ("checkpoint", f"{checkpoint.kind or 'unknown'}, sha256 {checkpoint.sha256 or 'unknown'}"),
        *(("assumed", note) for note in checkpoint.assumed),
        ("made by", origin.made_by),
        *([("made at", origin.date)] if origin.date else []),
    ]
    made_with = [
        origin.made_with,
        f"Python {origin.python}" if origin.python else "",
        origin.machine or "",
    ]
    if any(made_with):
        rows.append(("with", ", ".join(w for w in made_with if w)))
    speed = provenance.speed(manifest.lowered)
    if speed:
        times = provenance.milliseconds(manifest.lowered)
        rows.append(("speed", f"{speed}: {times}" if times else speed))
    return [*rows, *provenance.elsewhere(manifest.parity)]
