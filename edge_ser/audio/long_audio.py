"""Audio that is longer than what the model takes of it: what is answered, and what is said."""

from __future__ import annotations

import sys
import warnings
from typing import Literal, get_args

from edge_ser.errors import LongAudioWarning, UsageError, did_you_mean

# What one answer to it is of: its first seconds, or all of it.
Long = Literal["first", "mean"]

# Warnings of one recogniser; more say nothing new.
MAX_CUTS_TOLD = 10


def check_long(long: str) -> None:
    """Refuse another word than those of `Long`.

    Raises:
        UsageError: naming them, and the way to an answer for each piece.
    """
    words = get_args(Long)
    if long not in words:
        advice = "call ser.segments(audio)" if long == "segments" else did_you_mean(long, words)
        raise UsageError("long", expected=" or ".join(words), found=repr(long), advice=advice)


class CutNotice:
    """Counts utterances that were cut, and warns of the first of them.

    A device that listens for months would otherwise say it for ever, and Python's own memory of
    warnings would grow with every new name.

    Attributes:
        count: utterances that were cut.
    """

    def __init__(self) -> None:
        self.count = 0

    def warn(self, name: str, used_seconds: float, total_seconds: float | None) -> None:
        """Count one utterance; warn at the place outside this package that called it.

        Args:
            name: of the utterance.
            used_seconds: of it.
            total_seconds: of it; None: longer, and nobody knows how long.
        """
        self.count += 1
        if self.count > MAX_CUTS_TOLD:
            return
        length = "longer audio"
        if total_seconds is not None:
            digits = 1 if total_seconds - used_seconds >= 0.1 else 3
            length = f"{total_seconds:.{digits}f} s"
        message = f"used the first {used_seconds:g} s of {length} of {name}"
        if self.count == MAX_CUTS_TOLD:
            message += "; longer audio after this is cut without a warning"
        warn_caller(message, LongAudioWarning)


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the place outside this package that called it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "<unknown>")
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, module)


def _is_ours(module: str) -> bool:
    return module.split(".", 1)[0] == "edge_ser"
