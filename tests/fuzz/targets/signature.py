"""Signatures of a bundle: as they are, or about a foreign statement that its maker signed."""

import base64
import functools
import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_ser.bundle.files import MANIFEST
from edge_ser.bundle.keys import PrivateKey, PublicKey
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.signature import check_signature, make_signature, read_signature
from fuzz import small_bundle


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1 << 200, ec.SECP256R1())


@functools.cache
def _keys() -> tuple[PrivateKey, PublicKey]:
    with tempfile.TemporaryDirectory() as folder:
        private, public = Path(folder) / "key.pem", Path(folder) / "key.pub.pem"
        pem = serialization.Encoding.PEM
        private.write_bytes(
            _key().private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public.write_bytes(
            _key().public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return PrivateKey.load(private), PublicKey.load(public)


@functools.cache
def _bundle() -> tuple[Manifest, str]:
    text = small_bundle.whole()[MANIFEST]
    return Manifest.from_json(text, MANIFEST), hashlib.sha256(text).hexdigest()


@functools.cache
def _signed() -> bytes:
    return make_signature(*_bundle(), _keys()[0])


def _payload(signed: bytes) -> bytes:
    envelope: dict[str, Any] = json.loads(signed)["dsseEnvelope"]
    return base64.b64decode(envelope["payload"])


def seeds() -> Iterable[bytes]:
    yield b"\0" + _signed()
    yield b"\1" + _payload(_signed())
    yield b"\0{}"


def _resigned(payload: bytes) -> bytes:
    """What the maker would have signed, had this been the statement."""
    data = json.loads(_signed())
    kind = data["dsseEnvelope"]["payloadType"]
    said = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    envelope = data["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(
        _key().sign(said, ec.ECDSA(hashes.SHA256()))
    ).decode()
    return json.dumps(data).encode()


def attempt(data: bytes) -> bool:
    content = _resigned(data[1:]) if data and data[0] % 2 else data[1:]
    signature = read_signature(content, Path("model.sig"))
    check_signature(signature, *_bundle(), [_keys()[1]], "bundle")
    manifest, fingerprint = _bundle()
    hashes_signed = signature.files()
    assert hashes_signed[MANIFEST] == fingerprint, "another bundle than the one that was signed"
    assert all(hashes_signed[f.path] == f.sha256 for f in manifest.files)
    return True
