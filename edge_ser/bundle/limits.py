"""How much a bundle may ask for, checked before it gets it.

A bundle comes from anywhere: a few bytes of it must not take memory, disk or minutes. Each limit is
far above what exports write and far below what harms a device.
"""

from __future__ import annotations

from typing import IO

from edge_ser.errors import BundleError

# A manifest is read as a whole, parsed and kept; those of exports have 6 to 60 kB.
MAX_MANIFEST_BYTES = 4 << 20
# Parsed and kept when it is checked; one of a bundle with the most files takes 16 kB.
MAX_SIGNATURE_BYTES = 1 << 20
# A bill of materials is parsed, a card printed; exports write 5 to 20 kB.
MAX_DOCUMENT_BYTES = 1 << 20
# Each is opened and hashed; exports write at most ten.
MAX_FILES = 64
# Of a .zip, with what is not the bundle's; a system's own notes double its files.
MAX_ZIP_ENTRIES = 1000
# How much larger than a .zip its content may be: weights hardly shrink, zeros a thousandfold.
MAX_ZIP_RATIO, MIN_ZIP_ROOM_BYTES = 20, 16 << 20
# Recorded utterances and answers, in memory; exports write sixteen clips, 0.4 MB packed.
MAX_GOLDEN_BYTES = 128 << 20
MAX_GOLDEN_ARRAYS = 1000
# Of all files together; WavLM large has 1.3 GB.
MAX_BUNDLE_BYTES = 16 << 30
# The graph is kept in memory from when it is checked to when it is loaded; exports put weights of
# more than 64 MB into a file of their own.
MAX_KEPT_BYTES = 96 << 20
# Fields of an ONNX file outside its weights, 1 us each; WavLM large has 40 thousand.
MAX_GRAPH_FIELDS = 400_000


def check_at_most(found: float, most: float, what: str, where: object) -> None:
    """Refuse what is beyond a limit.

    Args:
        found: how much there is.
        most: a limit of this module.
        what: it is, with its unit.
        where: named in the error.

    Raises:
        BundleError: it is more.
    """
    if found > most:
        raise BundleError(
            where,
            expected=f"at most {most} {what}",
            found=f"{found}",
            advice="do not use this bundle",
        )


def read_manifest_bytes(file: IO[bytes], where: object) -> bytes:
    """All of a manifest, and no more than a manifest may have.

    Args:
        file: of a directory or a .zip, whatever it says its size is.
        where: named in the error.

    Raises:
        BundleError: it goes on.
    """
    text = file.read(MAX_MANIFEST_BYTES + 1)
    check_at_most(len(text), MAX_MANIFEST_BYTES, "bytes of manifest", where)
    return text
