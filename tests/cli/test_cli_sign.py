"""`edge-ser sign`, and what verify and inspect say of signatures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.keys import KeyPair, write_keys

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.keys import PublicKey
from edge_ser.data import DEFAULT_BUNDLE

Cli = Callable[..., Any]
SAMPLES = DEFAULT_BUNDLE.parent / "samples"


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return write_keys(tmp_path, "key")


def test_a_bundle_is_signed_verified_and_shown(cli: Cli, bundle_dir: Path, keys: KeyPair) -> None:
    key_id = PublicKey.load(keys.public).id
    assert cli("inspect", bundle_dir).out.splitlines()[2].split() == ["signature", "none"]
    done = cli("sign", bundle_dir, "--key", keys.private)
    assert done.code == 0 and done.err == ""
    signed, fingerprint = done.out.splitlines()
    assert signed.endswith(f"in {bundle_dir} by the key {key_id}")
    assert fingerprint == f"fingerprint {Bundle.open(bundle_dir).fingerprint}"

    verified = cli("verify", bundle_dir, "--trusted-key", keys.public)
    assert verified.code == 0
    assert f"signed by {keys.public} ({key_id})" in verified.out.splitlines()
    record = json.loads(cli("verify", bundle_dir, "--trusted-key", keys.public, "--json").out)
    assert record["signed_by"] == key_id

    shown = cli("inspect", bundle_dir).out.splitlines()[2]
    assert shown.startswith(f"signature      by the key {key_id}, not checked")
    assert "signed" not in cli("verify", bundle_dir).out, "not asked, not checked, not claimed"


def test_one_of_several_trusted_keys_is_enough(
    cli: Cli, bundle_dir: Path, keys: KeyPair, tmp_path: Path
) -> None:
    other = write_keys(tmp_path, "other")
    assert cli("sign", bundle_dir, "--key", keys.private).code == 0
    both = ("--trusted-key", other.public, "--trusted-key", keys.public)
    assert f"signed by {keys.public}" in cli("verify", bundle_dir, *both).out
    refused = cli("verify", bundle_dir, "--trusted-key", other.public)
    assert refused.code == 2 and refused.out == ""
    assert "by another key" in refused.err


def test_an_unsigned_bundle_ends_with_2_in_every_command_where_signatures_are_required(
    cli: Cli, bundle_dir: Path, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_SER_REQUIRE_SIGNATURE", "1")
    monkeypatch.setenv("EDGE_SER_TRUSTED_KEYS", str(keys.public))
    page, speech = bundle_dir.parent / "page.html", SAMPLES / "slt_vii_bored.flac"
    for command, *more in (("verify",), ("report", "-o", page), ("predict", speech)):
        done = cli(command, bundle_dir, *more)
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert "expected a signature by a trusted key, found no model.sig" in done.err
    assert cli("sign", bundle_dir, "--key", keys.private).code == 0, "or nothing could be signed"
    assert cli("inspect", bundle_dir).code == 0
    assert cli("verify", bundle_dir).code == 0


def test_a_damaged_signature_is_shown_as_such(cli: Cli, bundle_dir: Path) -> None:
    (bundle_dir / "model.sig").write_text('{"mediaType": ')
    done = cli("inspect", bundle_dir)
    assert done.code == 0
    assert done.out.splitlines()[2].startswith("signature      not readable: expected JSON")


@pytest.mark.parametrize("bytes_left", [0, 100, 900])
def test_a_truncated_signature_ends_with_2_and_nothing_is_run(
    bytes_left: int, cli: Cli, bundle_dir: Path, keys: KeyPair
) -> None:
    assert cli("sign", bundle_dir, "--key", keys.private).code == 0
    signature = bundle_dir / "model.sig"
    signature.write_bytes(signature.read_bytes()[:bytes_left])
    done = cli("verify", bundle_dir, "--trusted-key", keys.public)
    assert "model.sig: expected JSON" in done.error()
    assert done.out == ""


def test_sign_refuses_what_it_cannot_sign_with(
    cli: Cli, bundle_dir: Path, keys: KeyPair, tmp_path: Path
) -> None:
    for arguments, words in (
        ((bundle_dir,), "expected --key, found none"),
        ((bundle_dir, "--key", keys.public), "expected a private key, found a public one"),
        ((bundle_dir, "--key", tmp_path / "none.pem"), "expected a private key, found no such"),
        ((tmp_path / "none", "--key", keys.private), "expected a bundle, found no such"),
    ):
        done = cli("sign", *arguments)
        assert done.code == 2
        assert words in done.err
    assert not (bundle_dir / "model.sig").exists()
