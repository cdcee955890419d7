"""How much a bundle may ask for, checked before it gets it.

A bundle comes from anywhere: a few bytes of it must not take memory, disk or minutes. Each limit is
far above what exports write and far below what harms a device.
"""

from __future__ import annotations

from edge_ser.errors import BundleError

# A manifest is read as a whole, parsed and kept; those of exports have 6 to 60 kB.
MAX_MANIFEST_BYTES = 4 << 20
# Each is opened and hashed; exports write at most ten.
MAX_FILES = 64
# The least free room that a bundle's files may claim; WavLM large has 1.3 GB.
MAX_FILE_BYTES = 16 << 30
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
