"""A licence by its names elsewhere: SPDX's for bills of materials, Hugging Face's for cards."""

from __future__ import annotations

# Of weights as they are published; SPDX's name in small letters is Hugging Face's.
_SPDX = (
    "Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0",
)  # fmt: skip


def spdx(licence: str) -> str | None:
    """SPDX's identifier; None where the text is none of those that are known here."""
    return next((name for name in _SPDX if name.lower() == licence.lower()), None)


def hugging_face(licence: str) -> dict[str, str]:
    """Fields of a model card's head.

    Args:
        licence: as the manifest says it; "": nobody said one.
    """
    if not licence:
        return {"license": "unknown"}
    known = spdx(licence)
    return {"license": "other", "license_name": licence} if known is None else {
        "license": known.lower()
    }  # fmt: skip
