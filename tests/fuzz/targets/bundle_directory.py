"""A directory: the first byte says which file is foreign, and whether its hash fits."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import GOLDEN, MANIFEST, SIGNATURE
from edge_ser.bundle.trust import UNASKED
from fuzz import small_bundle
from fuzz.small_bundle import new_folder

_FOLDER = new_folder()
_FILES = (MANIFEST, small_bundle.GRAPH, GOLDEN, SIGNATURE)


def seeds() -> Iterable[bytes]:
    whole = small_bundle.whole()
    for kind, name in enumerate(_FILES):
        content = whole.get(name, b"{}")
        yield bytes([kind]) + content
        yield bytes([kind + len(_FILES)]) + content


def _written(data: bytes) -> dict[str, bytes]:
    whole = small_bundle.whole()
    kind, content = (data[0] if data else 0), data[1:]
    name, is_sealed = _FILES[kind % len(_FILES)], kind % 8 < len(_FILES)
    if not is_sealed or name == SIGNATURE:
        return {**whole, name: content}
    others = {other: whole[other] for other in (small_bundle.GRAPH, GOLDEN)}
    if name != MANIFEST:
        return small_bundle.sealed({**others, name: content})
    try:
        return small_bundle.sealed(others, content)
    except (ValueError, RecursionError):
        return {**others, MANIFEST: content}


def attempt(data: bytes) -> bool:
    files = _written(data)
    for name in _FILES:
        if name in files:
            (_FOLDER / name).write_bytes(files[name])
        else:
            (_FOLDER / name).unlink(missing_ok=True)
    check_bundle(_FOLDER)
    return True


def check_bundle(path: Path) -> None:
    """Open a bundle and read all of it: what is read has the hashes of its manifest."""
    bundle = Bundle.open(path, UNASKED)
    try:
        for entry in bundle.manifest.files:
            content = bundle.read(entry.path)
            assert len(content) == entry.bytes
            assert hashlib.sha256(content).hexdigest() == entry.sha256
        graph = bundle.graph()
        content = graph if isinstance(graph, bytes) else graph.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        files = {entry.path: entry.sha256 for entry in bundle.manifest.files}
        assert digest == files[bundle.manifest.graph], "another graph than the one that was hashed"
        fingerprint = hashlib.sha256(bundle.read(MANIFEST)).hexdigest()
        assert fingerprint == bundle.fingerprint
        json.loads(bundle.read(MANIFEST))
        bundle.signature()
        bundle.golden()
    finally:
        bundle.close()
