"""Whose bundles are opened: the keys that are trusted, and whether a signature must be there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ser.errors import SignatureError, UsageError

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle

# Variables of the environment: 1 where no bundle is opened without a trusted signature, and the
# PEM files of the keys that are trusted, separated as the entries of PATH are.
REQUIRE_VARIABLE = "EDGE_SER_REQUIRE_SIGNATURE"
KEYS_VARIABLE = "EDGE_SER_TRUSTED_KEYS"
_SWITCH = {"": False, "0": False, "1": True}


@dataclass(frozen=True)
class Trust:
    """What is asked of a bundle before it is opened.

    Attributes:
        keys: PEM files of public keys, one of which must have signed it; none: not asked.
    """

    keys: tuple[Path, ...] = ()

    @classmethod
    def in_keys(cls, paths: Iterable[str | Path], source: str) -> Trust:
        """A signature by one of these keys is required.

        Args:
            paths: PEM files.
            source: of the paths, for the error.

        Raises:
            UsageError: there are none.
        """
        keys = tuple(Path(p) for p in paths)
        if not keys:
            raise UsageError(source, expected="PEM files of public keys", found="none")
        return cls(keys)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Trust:
        """As the variables say.

        Raises:
            UsageError: the switch is neither 0 nor 1, or it is 1 and there are no keys.
        """
        switch = environment.get(REQUIRE_VARIABLE, "")
        if switch not in _SWITCH:
            raise UsageError(REQUIRE_VARIABLE, expected="1 or 0", found=f"{switch!r:.40}")
        if not _SWITCH[switch]:
            return cls()
        return cls.in_keys(trusted_by_environment(environment), f"{KEYS_VARIABLE}, as signatures "
                           f"are required ({REQUIRE_VARIABLE}=1)")  # fmt: skip


UNASKED = Trust()


def trusted_by_environment(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The keys that the variable names, whether signatures are required or not."""
    return [Path(p) for p in environment.get(KEYS_VARIABLE, "").split(os.pathsep) if p]


def is_signed_by_trusted(bundle: Bundle, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a trusted key signed a bundle: one that was asked for, or that the variable names.

    Raises:
        UsageError, MissingPathError, MissingExtraError: the keys cannot be read.
    """
    keys = trusted_by_environment(environment)
    if bundle.signer is not None or not keys:
        return bundle.signer is not None
    from edge_ser.bundle.keys import PublicKey
    from edge_ser.bundle.signature import check_signature

    loaded = [PublicKey.load(key) for key in keys]
    try:
        signature = bundle.signature()
        check_signature(signature, bundle.manifest, bundle.fingerprint, loaded, bundle.root)
    except SignatureError:
        return False
    return True
