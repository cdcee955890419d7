"""Who made a bundle: `model.sig` beside its files, as OpenSSF Model Signing 1.x writes it.

It is a Sigstore bundle: a DSSE envelope with an in-toto statement, which names every file and its
SHA-256, and the key that signed it. `model_signing verify key` takes what is written here, and what
`model_signing sign key` writes is taken here. A signature says who; whether the files are whole,
opening the bundle has checked: so the statement is compared with the manifest's hashes and the
fingerprint, and nothing is read again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ser.bundle.files import MANIFEST, SIGNATURE
from edge_ser.bundle.limits import MAX_SIGNATURE_BYTES
from edge_ser.errors import SignatureError
from edge_ser.typed_json import Reader

if TYPE_CHECKING:
    from edge_ser.bundle.keys import PrivateKey, PublicKey
    from edge_ser.bundle.manifest import Manifest

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
# What model-signing leaves out of its hashes, besides the signature.
_NOT_OF_THE_MODEL = (".git", ".gitattributes", ".github", ".gitignore")
_COPY_OR_SIGN = "copy the bundle again, or let its maker sign it again"
_READER = Reader(SignatureError, _COPY_OR_SIGN, strict=False)


@dataclass(frozen=True)
class _KeyHint:
    hint: str = ""


@dataclass(frozen=True)
class _Material:
    publicKey: _KeyHint | None = None  # noqa: N815 - as the format has it


@dataclass(frozen=True)
class _EnvelopeSignature:
    sig: str


@dataclass(frozen=True)
class _Envelope:
    payload: str
    payloadType: str  # noqa: N815
    signatures: tuple[_EnvelopeSignature, ...]


@dataclass(frozen=True)
class _SigstoreBundle:
    mediaType: str  # noqa: N815
    verificationMaterial: _Material  # noqa: N815
    dsseEnvelope: _Envelope  # noqa: N815


@dataclass(frozen=True)
class _Resource:
    name: str
    algorithm: str
    digest: str


@dataclass(frozen=True)
class _Serialization:
    method: str
    hash_type: str


@dataclass(frozen=True)
class _Predicate:
    serialization: _Serialization
    resources: tuple[_Resource, ...]


@dataclass(frozen=True)
class _Statement:
    predicate: _Predicate


@dataclass(frozen=True)
class _Kind:
    predicateType: str = field(default="")  # noqa: N815


@dataclass(frozen=True)
class Signature:
    """A signature that was read, and not checked.

    Attributes:
        key_id: of the key that it says it was made with; "": it does not say.
        payload: the statement, byte for byte.
        signature: of it, in DER.
        place: where it lies, for errors.
    """

    key_id: str
    payload: bytes
    signature: bytes
    place: Path

    def files(self) -> dict[str, str]:
        """SHA-256 of each file by name, as the statement says.

        Raises:
            SignatureError: another kind of statement.
        """
        data = _READER.parse(self.payload, f"{self.place}: statement")
        kind = _READER.read(_Kind, data, f"{self.place}: statement").predicateType
        if kind != _PREDICATE_TYPE:
            raise SignatureError(
                self.place,
                expected=f"a statement of {_PREDICATE_TYPE}",
                found=f"{kind!r:.60}, an earlier or another one",
                advice="let its maker sign it again",
            )
        predicate = _READER.read(_Statement, data, f"{self.place}: statement").predicate
        how = predicate.serialization
        if (how.method, how.hash_type) != ("files", "sha256"):
            raise SignatureError(
                self.place,
                expected="SHA-256 of whole files",
                found=f"{how.hash_type:.20} of {how.method:.20}",
                advice="let its maker sign it again",
            )
        return {r.name: r.digest for r in predicate.resources if r.algorithm == "sha256"}


def read_signature(data: bytes, path: Path) -> Signature:
    """Read a signature.

    Args:
        data: the file's bytes, of more than `MAX_SIGNATURE_BYTES` one more than these.
        path: of the file, for errors.

    Raises:
        SignatureError: it is damaged, or of another kind.
    """
    if len(data) > MAX_SIGNATURE_BYTES:
        raise SignatureError(
            path, expected=f"at most {MAX_SIGNATURE_BYTES} bytes", found="more",
            advice=_COPY_OR_SIGN,
        )  # fmt: skip
    parsed = _READER.read(_SigstoreBundle, _READER.parse(data, str(path)), str(path))
    envelope, key = parsed.dsseEnvelope, parsed.verificationMaterial.publicKey
    if parsed.mediaType != _MEDIA_TYPE or envelope.payloadType != _PAYLOAD_TYPE:
        raise SignatureError(
            path,
            expected=f"{_MEDIA_TYPE} of {_PAYLOAD_TYPE}",
            found=f"{parsed.mediaType:.60} of {envelope.payloadType:.40}",
            advice="let its maker sign it again",
        )
    if key is None:
        raise SignatureError(
            path,
            expected="a signature by a key",
            found="one by a certificate or an identity",
            advice="check it with model_signing, or let its maker sign it with a key",
        )
    if len(envelope.signatures) != 1:
        raise SignatureError(
            path, expected="one signature", found=str(len(envelope.signatures)),
            advice=_COPY_OR_SIGN,
        )  # fmt: skip
    return Signature(
        key.hint, _decode(envelope.payload, path), _decode(envelope.signatures[0].sig, path), path
    )


def _decode(text: str, path: Path) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(
            path, expected="base64", found=str(error), advice=_COPY_OR_SIGN
        ) from error


def check_signature(
    signature: Signature | None,
    manifest: Manifest,
    fingerprint: str,
    keys: Sequence[PublicKey],
    bundle: object,
) -> PublicKey:
    """The key of those trusted that signed exactly these files.

    Args:
        signature: of the bundle; None: it has none.
        manifest: whose files were checked.
        fingerprint: of the bundle.
        keys: that are trusted.
        bundle: what the user calls it, for errors.

    Raises:
        SignatureError: unsigned, signed by another key, altered, or of other files.
    """
    if signature is None:
        raise SignatureError(
            bundle,
            expected="a signature by a trusted key",
            found=f"no {SIGNATURE}",
            advice="do not use it, or have its maker sign it: edge-ser sign",
        )
    # one that does not say its key may be of any
    candidates = [k for k in keys if signature.key_id in ("", k.id)]
    if not candidates:
        raise SignatureError(
            bundle,
            expected=f"a signature by {_names(keys)}",
            found=f"one by another key ({signature.key_id:.16}...)",
            advice="do not use it, or trust that key if you know whose it is",
        )
    message = _authenticated(signature.payload)
    signer = next((k for k in candidates if k.has_signed(message, signature.signature)), None)
    if signer is None:
        raise SignatureError(
            bundle,
            expected=f"a signature by {_names(candidates)}",
            found="one that this key has not made, or that was altered",
            advice="do not use it",
        )
    signed = signature.files()
    unsigned = [n for n, sha256 in _files(manifest, fingerprint).items() if signed.get(n) != sha256]
    if unsigned:
        raise SignatureError(
            bundle,
            expected="the files that were signed",
            found=f"others since: {', '.join(unsigned)}",
            advice="do not use it, or have its maker sign it again",
        )
    return signer


def make_signature(manifest: Manifest, fingerprint: str, key: PrivateKey) -> bytes:
    """The content of `model.sig`.

    Args:
        manifest: of a bundle that was opened.
        fingerprint: of it.
        key: that signs.
    """
    files = dict(sorted(_files(manifest, fingerprint).items()))
    payload = _statement(manifest.name, files)
    signature = key.sign(_authenticated(payload))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def _statement(name: str, files: Mapping[str, str]) -> bytes:
    """What is signed: an in-toto statement with each file's SHA-256, in the order of names."""
    of_all = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in files.values()))
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": of_all.hexdigest()}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [*_NOT_OF_THE_MODEL, SIGNATURE],
            },
            "resources": [
                {"name": file, "algorithm": "sha256", "digest": digest}
                for file, digest in files.items()
            ],
        },
    }
    return json.dumps(statement, indent=1).encode()


def _authenticated(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _files(manifest: Manifest, fingerprint: str) -> dict[str, str]:
    return {MANIFEST: fingerprint} | {entry.path: entry.sha256 for entry in manifest.files}


def _names(keys: Sequence[PublicKey]) -> str:
    return " or ".join(f"{k.path} ({k.id:.16}...)" for k in keys)
