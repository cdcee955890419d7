"""What one input may cost, whoever wrote it."""

from __future__ import annotations

import resource
import time
import warnings

from edge_ser.errors import EdgeSerError
from fuzz.targets import Target

MAX_SECONDS = 2.0  # of processor time: the machine may be busy with other things
MAX_BYTES = 512 << 20


class TooMuchError(Exception):
    """An input that took more time or memory than inputs may."""


def run_one(target: Target, data: bytes) -> bool:
    """Whether a target accepts an input; a refusal is no fault.

    Raises:
        TooMuchError: it took more than it may.
        Exception: whatever else left the target.
    """
    started, before = time.process_time(), _peak_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged audio
            is_accepted = target.attempt(data)
    except EdgeSerError:
        is_accepted = False
    seconds, grown = time.process_time() - started, _peak_bytes() - before
    if seconds > MAX_SECONDS or grown > MAX_BYTES:
        raise TooMuchError(f"{seconds:.1f} s, {grown >> 20} MB for {len(data)} bytes")
    return is_accepted


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
