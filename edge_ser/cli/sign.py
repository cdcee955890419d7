"""`edge-ser sign`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_ser.bundle.files import SIGNATURE
from edge_ser.bundle.keys import PASSWORD_VARIABLE, PrivateKey
from edge_ser.bundle.signing import sign_bundle


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "sign",
        help="say who made a bundle: sign it with a key of yours",
        description=f"Verify a bundle's files and write {SIGNATURE} beside them, as OpenSSF Model "
        "Signing does. Who has the public key checks it with: edge-ser verify BUNDLE "
        "--trusted-key PUB.pem. Needs the sign extra.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory or .zip")
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="KEY.pem",
        help="private key: an elliptic curve P-256, P-384 or P-521; the password of an encrypted "
        f"one is read from {PASSWORD_VARIABLE}",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    key = PrivateKey.load(arguments.key)
    bundle = sign_bundle(arguments.bundle, key)
    print(f"signed {bundle.manifest.name} in {arguments.bundle} by the key {key.id}")
    print(f"fingerprint {bundle.fingerprint}")
    return 0
