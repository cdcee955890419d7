"""Keys of signatures: elliptic curves in PEM files, as `openssl` writes them.

What signs is the package `cryptography`, of the extra `sign`; only whoever asks for signatures
imports it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError, MissingPathError, UsageError
from edge_ser.libraries import loading

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

EXTRA = "sign"
# Variable of the environment that holds the password of an encrypted private key.
PASSWORD_VARIABLE = "EDGE_SER_KEY_PASSWORD"
_MAX_PEM_BYTES = 1 << 16
# Curves of the format, and the hash that each is signed with.
_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
_CURVES = "an elliptic curve P-256, P-384 or P-521"
_MAKE = "make one with: openssl ecparam -genkey -name prime256v1 -noout -out key.pem"
_MAKE_PUBLIC = "make it with: openssl ec -in key.pem -pubout -out key.pub.pem"


@dataclass(frozen=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        path: of its file.
        id: SHA-256 of its PEM text: what `sha256sum` gives of the file that `openssl` writes.
    """

    path: Path
    id: str
    _key: ec.EllipticCurvePublicKey

    @classmethod
    def load(cls, path: str | Path) -> PublicKey:
        """Read a PEM file.

        Raises:
            MissingPathError, UsageError: no such file, or no public key of a curve that is signed
                with.
            MissingExtraError: `cryptography` is not installed.
        """
        path = Path(path)
        data = _read_pem(path, "a public key")
        with loading("signatures", EXTRA, "cryptography"):
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        if b"PRIVATE KEY" in data:
            raise UsageError(
                path, expected="a public key", found="a private one", advice=_MAKE_PUBLIC
            )
        try:
            key = serialization.load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _unusable(path, "a public key in PEM", error, _MAKE_PUBLIC) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
            raise UsageError(path, expected=_CURVES, found="another kind of key", advice=_MAKE)
        return cls(path, _key_id(key), key)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature of the message was made with this key's private part."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message, _algorithm(self._key.curve.name))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs.

    Attributes:
        id: of its public part; see `PublicKey`.
    """

    id: str
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, path: str | Path, environment: Mapping[str, str] = os.environ) -> PrivateKey:
        """Read a PEM file.

        Args:
            path: of it.
            environment: its `EDGE_SER_KEY_PASSWORD` opens an encrypted key.

        Raises:
            MissingPathError, UsageError: no such file, no private key of a curve that is signed
                with, or another password.
            MissingExtraError: `cryptography` is not installed.
        """
        path = Path(path)
        data = _read_pem(path, "a private key")
        with loading("signatures", EXTRA, "cryptography"):
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        if b"PUBLIC KEY" in data:
            raise UsageError(path, expected="a private key", found="a public one", advice=_MAKE)
        password = environment.get(PASSWORD_VARIABLE)
        if b"ENCRYPTED" not in data:
            password = None
        try:
            key = serialization.load_pem_private_key(data, password.encode() if password else None)
        except TypeError as error:  # encrypted, and no password
            raise UsageError(
                path,
                expected=f"the password of this key in {PASSWORD_VARIABLE}",
                found="none",
                advice="set that variable",
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            if password:
                raise UsageError(
                    path,
                    expected=f"a private key that {PASSWORD_VARIABLE} opens",
                    found="another password, or a damaged key",
                ) from error
            raise _unusable(path, "a private key in PEM", error, _MAKE) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
            raise UsageError(path, expected=_CURVES, found="another kind of key", advice=_MAKE)
        return cls(_key_id(key.public_key()), key)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, in DER."""
        return self._key.sign(message, _algorithm(self._key.curve.name))


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(pem).hexdigest()


def _algorithm(curve: str) -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(getattr(hashes, _HASHES[curve])())


def _read_pem(path: Path, expected: str) -> bytes:
    if not path.exists():
        raise MissingPathError(path, expected=expected, found="no such file")
    if not path.is_file():
        raise UsageError(path, expected=expected, found="no file")
    with path.open("rb") as file:
        data = file.read(_MAX_PEM_BYTES + 1)
    if len(data) > _MAX_PEM_BYTES:
        raise UsageError(path, expected=f"{expected} in PEM", found="a file of another kind")
    return data


def _unusable(path: Path, expected: str, error: Exception, advice: str) -> EdgeSerError:
    words = next(iter(str(error).split(". ")), "") or "something else"
    return UsageError(path, expected=expected, found=words, advice=advice)
