"""Engines are code that runs on the GPU: which ones are loaded.

One that this user built on this machine; one of a bundle that a trusted key signed; or any, where
the user says so. Which engines were built here is remembered beside the user's settings and not in
the bundle, where whoever changes the engine could write it, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.trust import KEYS_VARIABLE, is_signed_by_trusted
from edge_ser.errors import SignatureError, UsageError

# Variable of the environment: 1 where engines are loaded whoever built them.
TRUST_VARIABLE = "EDGE_SER_TRUST_ENGINES"


def remember_built(plan: bytes) -> None:
    """Note that an engine was built here; where no note can be left, it is as one of elsewhere.

    Args:
        plan: the engine's bytes.
    """
    note = _note(hashlib.sha256(plan).hexdigest())
    with contextlib.suppress(OSError):  # a home that cannot be written
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def check_trusted(bundle: Bundle, engine: str) -> None:
    """Refuse an engine of unknown origin.

    Args:
        bundle: that was opened; of one that is still being made, the engine was just built here.
        engine: its name in the bundle.

    Raises:
        SignatureError: nobody who is trusted has built it.
        UsageError: the variable is neither 0 nor 1.
    """
    if not bundle.fingerprint or _all_are_trusted() or is_signed_by_trusted(bundle):
        return
    sha256 = next(f.sha256 for f in bundle.manifest.files if f.path == engine)
    if _note(sha256).is_file():
        return
    raise SignatureError(
        bundle.root / engine,
        expected="an engine that was built here, or a bundle that a trusted key signed",
        found="neither",
        advice=f"build it here (edge-ser build), name its maker's key in {KEYS_VARIABLE}, or set "
        f"{TRUST_VARIABLE}=1 if you know where it comes from",
    )


def _all_are_trusted(environment: Mapping[str, str] = os.environ) -> bool:
    switch = environment.get(TRUST_VARIABLE, "")
    if switch not in ("", "0", "1"):
        raise UsageError(TRUST_VARIABLE, expected="1 or 0", found=f"{switch!r:.40}")
    return switch == "1"


def _note(sha256: str) -> Path:
    """The file that is there if this user built the engine here."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "edge-ser" / "built-engines" / sha256
