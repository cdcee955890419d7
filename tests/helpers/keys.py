"""Key pairs for tests of signatures, made anew."""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519


class KeyPair(NamedTuple):
    private: Path
    public: Path


def write_keys(
    folder: Path, name: str, curve: ec.EllipticCurve | None = None, password: bytes = b""
) -> KeyPair:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return _write(key, folder, name, password)


def write_ed25519_keys(folder: Path, name: str) -> KeyPair:
    return _write(ed25519.Ed25519PrivateKey.generate(), folder, name, b"")


def _write(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    folder: Path,
    name: str,
    password: bytes,
) -> KeyPair:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return KeyPair(private, public)
