"""A .zip: as it is, or made of foreign names and contents, with hashes that fit."""

import contextlib
import io
import zipfile
from collections.abc import Iterable, Mapping

from fuzz import small_bundle
from fuzz.small_bundle import BETWEEN, new_folder
from fuzz.targets.bundle_directory import check_bundle

_FOLDER = new_folder()


def _zip(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def seeds() -> Iterable[bytes]:
    whole = small_bundle.whole()
    yield b"\0" + _zip(whole)
    yield b"\0" + _zip(whole, zipfile.ZIP_STORED)
    yield b"\0" + _zip({f"folder/{name}": content for name, content in whole.items()})
    parts = [part for name, content in whole.items() for part in (name.encode(), content)]
    yield b"\1" + BETWEEN.join(parts)
    yield b"\1" + BETWEEN.join([*parts, b"../outside", b"mine"])


def attempt(data: bytes) -> bool:
    content = data[1:]
    if data and data[0] % 2:
        with contextlib.suppress(ValueError):
            content = small_bundle.packed(content.split(BETWEEN))
    path = _FOLDER / "bundle.zip"
    path.write_bytes(content)
    check_bundle(path)
    assert list(_FOLDER.iterdir()) == [path]
    return True
