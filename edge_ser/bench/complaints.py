"""What is said of systems that could not be measured."""

from __future__ import annotations

from edge_ser.errors import MeasurementError


def too_small(name: str, need: int, free: int) -> MeasurementError:
    """What is said where memory would not do."""
    return MeasurementError(
        name,
        expected=f"about {need / 1e6:.0f} MB of free memory",
        found=f"{free / 1e6:.0f} MB",
        advice="free some, or take a smaller model or a lower precision",
    )


def not_run(subject: str, expected: str, error: Exception) -> MeasurementError:
    """What is said of a system that failed, with the first line of its error."""
    words = str(error).strip().splitlines()
    first_line = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    return MeasurementError(subject, expected=expected, found=first_line)
