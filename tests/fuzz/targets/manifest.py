"""The text of a manifest."""

from collections.abc import Iterable

from edge_ser.bundle.manifest import Manifest
from edge_ser.data import DEFAULT_BUNDLE
from fuzz import small_bundle


def seeds() -> Iterable[bytes]:
    yield small_bundle.manifest().to_json().encode()
    yield (DEFAULT_BUNDLE / "manifest.json").read_bytes()
    yield b"{}"
    yield b'{"schema": 1, "files": [[[[[[[[]]]]]]]], "name": 1e999}'


def attempt(data: bytes) -> bool:
    manifest = Manifest.from_json(data, "manifest.json")
    again = Manifest.from_json(manifest.to_json().encode(), "manifest.json")
    assert again == manifest, "what is written is not what was read"
    return True
