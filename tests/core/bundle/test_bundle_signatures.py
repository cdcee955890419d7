"""Who made a bundle: signed as OpenSSF Model Signing does, checked with one small package."""

import base64
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from helpers.bundle_files import EditManifest, ZipBundle, listing, seal_as_is, snapshot
from helpers.keys import KeyPair, write_ed25519_keys, write_keys

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import DOCUMENTS
from edge_ser.bundle.keys import PrivateKey, PublicKey
from edge_ser.bundle.signing import sign_bundle
from edge_ser.bundle.trust import UNASKED, Trust
from edge_ser.bundle.writing import new_bundle, seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, SignatureError, UsageError


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return write_keys(tmp_path_factory.mktemp("keys"), "key")


@pytest.fixture
def signed(bundle_dir: Path, keys: KeyPair) -> Path:
    sign_bundle(bundle_dir, PrivateKey.load(keys.private))
    return bundle_dir


def open_trusted(path: Path, *public: Path) -> Bundle:
    return Bundle.open(path, Trust.in_keys(public, "keys"))


def edit_signature(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "model.sig"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


# --- signed and checked


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_bundle_says_which_trusted_key_signed_it(
    curve: ec.EllipticCurve, bundle_dir: Path, tmp_path: Path, keys: KeyPair
) -> None:
    pair = write_keys(tmp_path, "mine", curve)
    before, fingerprint = snapshot(bundle_dir), Bundle.open(bundle_dir).fingerprint
    sign_bundle(bundle_dir, PrivateKey.load(pair.private))
    bundle = open_trusted(bundle_dir, keys.public, pair.public)
    assert bundle.signer is not None
    assert bundle.signer.path == pair.public
    assert bundle.signer.id == hashlib.sha256(pair.public.read_bytes()).hexdigest()
    assert bundle.fingerprint == fingerprint, "it stands for the files, not for who signed them"
    after = snapshot(bundle_dir)
    assert after.pop("model.sig")
    assert after == before


def test_openssf_model_signing_accepts_what_is_signed_here(signed: Path, keys: KeyPair) -> None:
    verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=keys.public)
    verifier.verify(signed, signed / "model.sig")
    (signed / "parity.json").write_text("{}")
    with pytest.raises(ValueError, match=r"parity\.json"):
        verifier.verify(signed, signed / "model.sig")


def test_what_openssf_model_signing_signs_is_accepted_here(bundle_dir: Path, keys: KeyPair) -> None:
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=["model.sig"])
    signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=keys.private)
    signer.set_hashing_config(hashing).sign(bundle_dir, bundle_dir / "model.sig")
    signer_key = open_trusted(bundle_dir, keys.public).signer
    assert signer_key is not None
    assert signer_key.path == keys.public


@pytest.mark.parametrize("prefix", ["", "model/"])
def test_a_zipped_bundle_is_signed_inside_and_otherwise_the_same(
    prefix: str, tmp_path: Path, zip_bundle: ZipBundle, keys: KeyPair
) -> None:
    path = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip", prefix)
    with zipfile.ZipFile(path) as archive:
        before = {i.filename: (i.CRC, i.compress_type, i.date_time) for i in archive.infolist()}
    for _ in range(2):  # the second one replaces the first
        sign_bundle(path, PrivateKey.load(keys.private))
    with zipfile.ZipFile(path) as archive:
        after = {i.filename: (i.CRC, i.compress_type, i.date_time) for i in archive.infolist()}
        assert len(archive.namelist()) == len(before) + 1
    assert after.pop(f"{prefix}model.sig")
    assert after == before
    assert open_trusted(path, keys.public).signer is not None
    assert listing(tmp_path) == ["bundle.zip"]


# --- refused


def test_an_unsigned_bundle_is_refused_where_a_signature_is_asked_for(
    bundle_dir: Path, keys: KeyPair
) -> None:
    with pytest.raises(SignatureError, match=r"expected a signature by a trusted key, found no"):
        open_trusted(bundle_dir, keys.public)


def test_another_key_is_named_and_refused(signed: Path, tmp_path: Path, keys: KeyPair) -> None:
    other = write_keys(tmp_path, "other")
    with pytest.raises(SignatureError, match="found one by another key") as caught:
        open_trusted(signed, other.public)
    assert PublicKey.load(keys.public).id[:16] in str(caught.value)


def test_a_signature_that_claims_a_trusted_key_is_checked(signed: Path, tmp_path: Path) -> None:
    other = write_keys(tmp_path, "other")
    for hint in (PublicKey.load(other.public).id, ""):

        def claim(data: dict[str, Any], hint: str = hint) -> None:
            data["verificationMaterial"]["publicKey"]["hint"] = hint

        edit_signature(signed, claim)
        with pytest.raises(SignatureError, match="that this key has not made"):
            open_trusted(signed, other.public)


def test_an_altered_statement_is_refused(signed: Path, keys: KeyPair) -> None:
    def alter(data: dict[str, Any]) -> None:
        payload = base64.b64decode(data["dsseEnvelope"]["payload"])
        altered = payload.replace(b"model.onnx", b"model.onny")
        assert altered != payload
        data["dsseEnvelope"]["payload"] = base64.b64encode(altered).decode()

    edit_signature(signed, alter)
    with pytest.raises(SignatureError, match="or that was altered"):
        open_trusted(signed, keys.public)


@pytest.mark.parametrize("name", ["golden.npz", "model.onnx", "parity.json", *DOCUMENTS])
def test_an_altered_file_is_refused_signed_or_not(name: str, signed: Path, keys: KeyPair) -> None:
    data = bytearray((signed / name).read_bytes())
    data[-1] ^= 1
    (signed / name).write_bytes(data)
    with pytest.raises(BundleError, match="the file was altered"):
        open_trusted(signed, keys.public)


def test_files_replaced_with_their_hashes_are_others_than_were_signed(
    signed: Path, keys: KeyPair
) -> None:
    (signed / "parity.json").write_text((signed / "parity.json").read_text() + "\n")
    seal_as_is(signed, Bundle.open(DEFAULT_BUNDLE).manifest)
    Bundle.open(signed, UNASKED)
    with pytest.raises(SignatureError, match=r"others since: manifest\.json, parity\.json"):
        open_trusted(signed, keys.public)


def test_an_altered_manifest_is_refused(
    signed: Path, keys: KeyPair, edit_manifest: EditManifest
) -> None:
    edit_manifest(signed, lambda manifest: manifest.update(name="another"))
    with pytest.raises(SignatureError, match=r"others since: manifest\.json"):
        open_trusted(signed, keys.public)


def test_an_added_file_that_the_manifest_lists_is_no_signed_one(
    signed: Path, keys: KeyPair
) -> None:
    (signed / "extra.txt").write_text("extra")
    seal_as_is(signed, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(SignatureError, match=r"others since: manifest\.json, extra\.txt"):
        open_trusted(signed, keys.public)


@pytest.mark.parametrize("bytes_left", [0, 1, 100, 900, -1])
def test_a_truncated_signature_is_refused(bytes_left: int, signed: Path, keys: KeyPair) -> None:
    path = signed / "model.sig"
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(SignatureError, match="expected JSON"):
        open_trusted(signed, keys.public)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "expected an object"),
        (b"[" * 100_000, "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b" " * (1 << 20) + b"{}", "expected at most 1048576 bytes"),
    ],
)
def test_what_is_no_signature_is_refused(
    content: bytes, words: str, signed: Path, keys: KeyPair
) -> None:
    (signed / "model.sig").write_bytes(content)
    with pytest.raises(SignatureError, match=words):
        open_trusted(signed, keys.public)


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    *parents, last = path.split(".")

    def edit(data: dict[str, Any]) -> None:
        for name in parents:
            data = data[name]
        data[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_set("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.1"), "found .*0.1"),
        (_set("dsseEnvelope.payloadType", "text/plain"), "found .*text/plain"),
        (_set("verificationMaterial", {"certificate": {}}), "by a certificate or an identity"),
        (_set("dsseEnvelope.signatures", []), "expected one signature, found 0"),
        (_set("dsseEnvelope.payload", "%%%"), "expected base64"),
        (_set("dsseEnvelope.signatures", [{"sig": "AAAA"}]), "has not made"),
    ],
)
def test_signatures_of_other_kinds_say_so(
    edit: Callable[[dict[str, Any]], None], words: str, signed: Path, keys: KeyPair
) -> None:
    edit_signature(signed, edit)
    with pytest.raises(SignatureError, match=words):
        open_trusted(signed, keys.public)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ({"predicateType": "https://model_signing/Digests/v0.1"}, "Digests/v0.1', an earlier"),
        ({"predicateType": "https://model_signing/signature/v1.0"}, "predicate"),
        (
            {
                "predicateType": "https://model_signing/signature/v1.0",
                "predicate": {
                    "serialization": {"method": "shards", "hash_type": "sha256"},
                    "resources": [],
                },
            },
            "found sha256 of shards",
        ),
    ],
)
def test_statements_of_other_versions_say_so(
    statement: dict[str, Any], words: str, signed: Path, keys: KeyPair
) -> None:
    payload = json.dumps(statement).encode()
    kind = "application/vnd.in-toto+json"
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = PrivateKey.load(keys.private).sign(message)

    def replace(data: dict[str, Any]) -> None:
        data["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        data["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode()}]

    edit_signature(signed, replace)
    with pytest.raises(SignatureError, match=words):
        open_trusted(signed, keys.public)


# --- keys


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("private", "expected a public key, found a private one"),
        ("text", "expected a public key in PEM"),
        ("folder", "found no file"),
        ("large", "found a file of another kind"),
        ("ed25519", "expected an elliptic curve P-256, P-384 or P-521"),
        ("k1", "expected an elliptic curve P-256, P-384 or P-521"),
        ("none", "found no such file"),
    ],
)
def test_what_is_no_public_key_is_named(
    name: str, words: str, signed: Path, tmp_path: Path, keys: KeyPair
) -> None:
    (tmp_path / "text").write_text("-----BEGIN")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    paths = {
        "private": keys.private,
        "ed25519": write_ed25519_keys(tmp_path, "e").public,
        "k1": write_keys(tmp_path, "k1", ec.SECP256K1()).public,
    }
    with pytest.raises((UsageError, FileNotFoundError), match=words):
        open_trusted(signed, paths.get(name, tmp_path / name))


def test_what_is_no_private_key_is_named(tmp_path: Path, keys: KeyPair) -> None:
    with pytest.raises(UsageError, match="expected a private key, found a public one"):
        PrivateKey.load(keys.public)
    with pytest.raises(UsageError, match="elliptic curve"):
        PrivateKey.load(write_ed25519_keys(tmp_path, "e").private)
    (tmp_path / "text").write_text("none")
    with pytest.raises(UsageError, match="private key in PEM"):
        PrivateKey.load(tmp_path / "text")


def test_an_encrypted_key_takes_its_password_from_the_environment(tmp_path: Path) -> None:
    pair = write_keys(tmp_path, "locked", password=b"open it")
    variable = "EDGE_SER_KEY_PASSWORD"
    assert PrivateKey.load(pair.private, {variable: "open it"}).id == PublicKey.load(pair.public).id
    with pytest.raises(UsageError, match=f"the password of this key in {variable}"):
        PrivateKey.load(pair.private, {})
    with pytest.raises(UsageError, match="another password"):
        PrivateKey.load(pair.private, {variable: "wrong"})


# --- loading


def test_load_asks_for_a_trusted_key_also_in_another_process(
    signed: Path, tmp_path: Path, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(keys.public.parent)
    ser = edge_ser.load(signed, trusted_keys=[keys.public.name])
    assert ser.bundle.signer is not None
    packed = pickle.dumps(ser)
    monkeypatch.chdir("/")
    again = pickle.loads(packed).bundle.signer
    assert again is not None
    assert again.id == ser.bundle.signer.id
    (signed / "model.sig").unlink()
    with pytest.raises(SignatureError, match=r"no model\.sig"):
        edge_ser.load(signed, trusted_keys=str(keys.public))
    with pytest.raises(UsageError, match=r"trusted_keys: expected PEM files .* found none"):
        edge_ser.load(signed, trusted_keys=[])


def test_the_environment_can_require_signatures(
    signed: Path, tmp_path: Path, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = tmp_path / "unsigned"
    shutil.copytree(DEFAULT_BUNDLE, unsigned)
    monkeypatch.setenv("EDGE_SER_REQUIRE_SIGNATURE", "1")
    with pytest.raises(UsageError, match="EDGE_SER_TRUSTED_KEYS"):
        edge_ser.load(signed)
    other = write_keys(tmp_path, "other")
    monkeypatch.setenv("EDGE_SER_TRUSTED_KEYS", f"{other.public}{os.pathsep}{keys.public}")
    signer = edge_ser.load(signed).bundle.signer
    assert signer is not None
    assert signer.path == keys.public
    for path in (unsigned, None):  # the package's own model is none of those signed, either
        with pytest.raises(SignatureError):
            edge_ser.load(path)
    with pytest.raises(SignatureError, match="another key"):
        edge_ser.load(signed, trusted_keys=[other.public])
    monkeypatch.setenv("EDGE_SER_REQUIRE_SIGNATURE", "0")
    assert edge_ser.load(unsigned).bundle.signer is None
    monkeypatch.setenv("EDGE_SER_REQUIRE_SIGNATURE", "yes")
    with pytest.raises(UsageError, match="expected 1 or 0, found 'yes'"):
        edge_ser.load(unsigned)


# --- writing


def test_a_signed_bundle_is_replaced_and_its_signature_is_not_kept(signed: Path) -> None:
    with new_bundle(signed) as work:
        shutil.copy(DEFAULT_BUNDLE / "model.onnx", work)
        seal_as_is(work, Bundle.open(DEFAULT_BUNDLE).manifest)
    assert listing(signed) == ["manifest.json", "model.onnx"]


def test_a_manifest_never_lists_the_signature(signed: Path) -> None:
    manifest = seal(signed, Bundle.open(DEFAULT_BUNDLE).manifest)
    assert "model.sig" not in {entry.path for entry in manifest.files}


def test_only_a_whole_bundle_is_signed(bundle_dir: Path, keys: KeyPair) -> None:
    (bundle_dir / "golden.npz").write_bytes(b"")
    with pytest.raises(BundleError, match="truncated or altered"):
        sign_bundle(bundle_dir, PrivateKey.load(keys.private))
    assert "model.sig" not in listing(bundle_dir)
